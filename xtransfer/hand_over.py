"""What a stage takes over from one that has trained adapters: an encoder with them merged, kept on or left out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from xtransfer.config import Plan, Stage
from xtransfer.errors import ConfigError
from xtransfer.module import TransferModule
from xtransfer.stage_cli import StageCLI

FOLDER = "adapter"
"""Where a stage writes its adapters, within its folder."""


def stage_folder(plan: Plan, stage: Stage) -> Path:
    """Return a stage's folder within that of its run."""
    return plan.folder / f"{stage.number}-{stage.name}"


def named(name: str | None, stages: Sequence[Stage]) -> Stage | None:
    """Return the stage of a name, if there is one."""
    return next((stage for stage in stages if stage.name == name), None)


def base_of(stage: Stage, stages: Sequence[Stage]) -> Stage | None:
    """Return the stage whose encoder another's training, or its adapters, began with; None: the pretrained encoder.

    Args:
        stage: The stage.
        stages: All stages of the run.
    """
    start = named(stage.start, stages)
    if start is None or "encoder" not in stage.parts:
        return None
    return start if stage.adapters == "merge" else base_of(start, stages)


def history_of(stage: Stage, stages: Sequence[Stage]) -> Stage | None:
    """Return the stage whose weights another goes on from, if any of them are left when adapters are dropped."""
    start = named(stage.start, stages)
    if start is None or stage.adapters != "drop" or any(part.startswith("heads") for part in stage.parts):
        return start
    return base_of(start, stages)


def load_start(model: TransferModule, plan: Plan, stage: Stage) -> None:
    """Load what a stage starts from into its model; adapters to go on with are named, and laid on when it is trained.

    Raises:
        ConfigError: A part is missing or does not fit.
    """
    start = named(stage.start, plan.stages)
    if start is None:
        return
    folder, base = stage_folder(plan, start), base_of(stage, plan.stages)
    model.load_parts(folder, [part for part in stage.parts if part != "encoder"])
    if base is not None:
        model.load_parts(stage_folder(plan, base), ["encoder"])
    if stage.adapters == "keep":
        model.start_adapters = folder / FOLDER


def hand_over(model: TransferModule, folder: Path, writes: bool) -> None:
    """End a stage's training: adapters are written and merged, words that were not trained come back.

    After that its encoder is a plain one.

    Args:
        model: The trained model.
        folder: The stage's folder.
        writes: Whether this process is the one that writes.
    """
    if writes:
        for old in (folder / FOLDER).glob("adapter_*"):  # of an earlier training
            old.unlink()
        if model.encoder.adapters is not None:
            model.encoder.adapters.save(folder / FOLDER)
    model.encoder.merge_adapters()
    model.encoder.settle()


def check_adapters_left(cli: StageCLI, trains: bool, start: StageCLI, trained: bool) -> None:
    """Check that a stage which keeps or drops adapters starts from one that has left some.

    Args:
        cli: The stage.
        trains: Whether it trains.
        start: The stage it starts from.
        trained: Whether that one has trained.

    Raises:
        ConfigError: There are none, or those to be kept were trained with other settings or on another encoder.
    """
    mode, where = cli.stage.adapters, f"init.adapters: {cli.stage.adapters}: stage '{start.stage.name}'"
    own, left = cli.config.model, start.config.model
    if left.adapters is None or not trained:
        raise ConfigError(f"{where} trains no adapters; set model.adapters there, or leave init.adapters out")
    if "encoder" not in cli.stage.parts:
        raise ConfigError(f"init.adapters: {mode}: the encoder is not among init.parts; leave init.adapters out")
    if mode == "keep" and not trains:
        raise ConfigError("init.adapters: keep: nothing is trained here, so that merge gives the very same scores")
    if mode == "keep" and (own.adapters, own.encoder) != (left.adapters, left.encoder):
        raise ConfigError(
            f"{where} has model.adapters {left.adapters} on {left.encoder}, this one {own.adapters} on {own.encoder}; "
            "adapters can be kept only with the same settings on the same encoder"
        )
