"""One stage from its start weights to its scores."""

from __future__ import annotations

import gc
import json
import logging
import time
import warnings
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback

from xtransfer.active import Activation
from xtransfer.board import Board, log_settings
from xtransfer.checkpoints import CheckedFiles
from xtransfer.config import Plan
from xtransfer.costs import tokens_trained
from xtransfer.curves import set_aside
from xtransfer.datamodules.features import words_of
from xtransfer.datamodules.mixture import place_of, progress_of
from xtransfer.disk import write
from xtransfer.errors import ConfigError
from xtransfer.hand_over import hand_over, load_start
from xtransfer.identity import PLACES, SCORING, VOLATILE
from xtransfer.predictions import PredictionWriter
from xtransfer.provenance import TRAINING, result_rows
from xtransfer.results import Results
from xtransfer.resuming import TRAINED, Resume, as_begun, begin, changed, checkpoints_of, facts_of, finish, trained
from xtransfer.sharing import Share
from xtransfer.snapshots import Snapshots, files_of
from xtransfer.stage_cli import StageCLI
from xtransfer.steps import Step
from xtransfer.stopping import StopSignals
from xtransfer.store import clear

log = logging.getLogger(__name__)


def train(
    plan: Plan, step: Step, resume: Resume, allow_change: bool, signals: StopSignals, afresh: bool = False
) -> Results:
    """Train a stage, go on with it or take it from the store, then hand its parts over and score it.

    Args:
        plan: The run.
        step: The stage, parsed and checked.
        resume: What to do if it was interrupted.
        allow_change: Go on even though its configuration has changed.
        signals: Tells when to stop.
        afresh: Train it although it was trained before.
    """
    stage, folder = step.stage, step.folder
    (folder / "DONE").unlink(missing_ok=True)
    writer, facts = PredictionWriter(folder / "predictions"), dict[str, Any]()
    snapshots = Snapshots(checkpoints_of(step), *stage.how_often, signals, facts)
    cli = build(step, (writer, snapshots, Board()))
    model, data, trainer = cli.model, cli.datamodule, cli.trainer
    facts.update(facts_of(step, trainer.world_size))
    started = f"from {stage.start}" if stage.start else f"from {cli.config.model.encoder}"
    log.info("[%d/%d] %s: %s, %s", stage.number, len(plan.stages), stage.name, type(data).__name__, started)
    file = checkpoints_of(step) / f"words-{trainer.global_rank}.safetensors"
    model.activation = Activation(partial(words_of, data.sets, data.load_tokenizer().pad_token_id), file)
    if afresh and trainer.is_global_zero:
        (folder / TRAINED).unlink(missing_ok=True)
    noted = None if afresh or resume == "never" else trained(folder, step.training)
    share = Share(plan, step, cli)
    if noted is not None:
        log.info("%s: trained before, to be scored", stage.name)
        take_up(cli, noted)
        share.give(noted)
    else:
        with share.turn():
            noted = None if afresh else share.take()
            if noted is not None:
                take_up(cli, noted)
            else:
                load_start(model, plan, stage)
                noted = make(cli, step, partial(begin, step, facts, resume, allow_change))
                share.give(noted, afresh)
    results = score(plan, step, cli, noted)
    if trainer.is_global_zero:
        if writer.files:
            log.info("predictions: %d files in %s", len(writer.files), writer.folder)
        _mark(folder / "DONE", {"identity": step.identity})
        finish(step)
    trainer.strategy.barrier()
    release(cli)
    return results


CHANGELESS = (
    *(f"trainer.{name}" for name in (*VOLATILE, *SCORING)),
    *(f"data.init_args.{name}" for name in (*PLACES, "eval_batch_size", "eval_tokens", "languages")),
)
"""Settings that make no other training."""


def warn_of_change(step: Step, cli: StageCLI) -> None:
    """Say so if a stage that was trained before is trained again, in the place of what lies there."""
    if (step.folder / TRAINED).is_file() and trained(step.folder, step.training) is None:
        differences = [told for told in changed(step.folder, cli.dump()) if not told.startswith(CHANGELESS)]
        told = "; ".join(differences[:5]) or "its data, the stage before or the code"
        words = "%s: trained before, and trained again now, in place of what is there, for this has changed: %s"
        log.warning(words, step.stage.name, told)


def make(cli: StageCLI, step: Step, begins: Callable[[bool], Path | None]) -> dict[str, Any]:
    """Bring a stage's weights about, by training where it trains, and write its parts down.

    Args:
        cli: The stage, its start loaded.
        step: The same, parsed and checked.
        begins: Says from which snapshot it goes on, if it does; is told whether this process writes.

    Returns:
        What is noted of its training.
    """
    noted: dict[str, Any] = {"identity": step.training, "steps": 0, "selected": "not trained"}
    writes, trains = cli.trainer.is_global_zero, cli.datamodule.trains
    warn_of_change(step, cli)
    snapshot = begins(writes) if trains else None
    if writes:
        clear(cli.folder)
    if trains:
        noted |= fit(cli, snapshot)
        noted["as_begun"] = as_begun(step)
    if writes:
        keep(cli, noted)
    return noted


def take_up(cli: StageCLI, noted: Mapping[str, Any]) -> None:
    """Load the parts that lie in a stage's folder, so that it can be scored as if it had just been trained."""
    cli.model.load_parts(cli.folder, ("encoder", "heads"))
    # Lightning's loggers count the steps of the loop, which did not take them here.
    cli.trainer.fit_loop.epoch_loop._batches_that_stepped = int(noted["steps"])
    if cli.trainer.is_global_zero:
        set_aside(cli.folder)
        (cli.folder / "config.yaml").write_text(cli.dump(), encoding="utf-8")
        _mark(cli.folder / TRAINED, noted)


def fit(cli: StageCLI, snapshot: Path | None) -> dict[str, Any]:
    """Train, from a snapshot if there is one; load the chosen model and say which it is, and after how many steps.

    Raises:
        ConfigError: Training was interrupted, or development rows are to be looked at less often than it has batches.
    """
    trainer, name = cli.trainer, cli.stage.name
    if snapshot is not None and trainer.is_global_zero:
        set_aside(cli.folder)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*dataloader is not resumable")  # the DataModule is
        begun = time.monotonic()
        try:
            trainer.fit(cli.model, datamodule=cli.datamodule, ckpt_path=snapshot)
        except ValueError as error:
            if "val_check_interval" not in str(error):
                raise
            raise ConfigError(f"stage '{name}': trainer: {' '.join(str(error).split())}") from error
        finally:
            trainer.fit_loop.teardown()  # an error in a validation leaves the processes that load training batches
        seconds = time.monotonic() - begun
    if not trainer.state.finished:
        raise ConfigError(f"stage '{name}' was interrupted")
    files = files_of(trainer)
    files.raise_together(trainer.strategy.broadcast)
    selected = _select(cli, files)
    hand_over(cli.model, cli.folder, writes=trainer.is_global_zero)
    log.info("%s: trained for %d steps; kept: %s", name, trainer.global_step, selected)
    cost = tokens_trained(trainer.train_dataloader, place_of(trainer, 0, progress_of(None)))
    done = trainer.global_step - (int(snapshot.stem.split("-")[-1]) if snapshot else 0)
    return {
        "steps": trainer.global_step,
        "selected": selected,
        "tokens": round(cost * trainer.global_step),
        "seconds": round(seconds, 3),
        "tokens_per_second": round(cost * done / seconds, 1),  # an interrupted run's seconds are those since
    }


def keep(cli: StageCLI, noted: Mapping[str, Any]) -> None:
    """Write the parts a stage hands over, and a mark that its training is over."""
    cli.model.save_parts(cli.folder)
    cli.datamodule.load_tokenizer().save_pretrained(cli.folder / "encoder")
    (cli.folder / "config.yaml").write_text(cli.dump(), encoding="utf-8")
    _mark(cli.folder / TRAINING, cli.datamodule.training)
    _mark(cli.folder / TRAINED, noted)


def score(plan: Plan, step: Step, cli: StageCLI, noted: Mapping[str, Any]) -> Results:
    """Score a stage's model on its development and test rows, and write the scores down."""
    results = Results()
    for split in ("validation", "test"):
        if cli.datamodule.portions(split):
            scoring = cli.trainer.validate if split == "validation" else cli.trainer.test
            scoring(cli.model, datamodule=cli.datamodule, verbose=False)
            results.rows += result_rows(plan, step, cli, noted).rows
    if cli.trainer.is_global_zero:
        (step.folder / "results.jsonl").unlink(missing_ok=True)
        results.append(step.folder / "results.jsonl")
        results.replace(plan.folder / "results.jsonl")
        log_settings(cli.trainer, cli.model.hparams, results)
    return results


def build(step: Step, callbacks: tuple[Callback, ...]) -> StageCLI:
    """Build a stage's model, data and trainer."""
    step.folder.mkdir(parents=True, exist_ok=True)
    return StageCLI(step.stage, step.folder, build=True, callbacks=callbacks, chooses=step.chooses)


def release(cli: StageCLI) -> None:
    """Let go of a stage's model before the next is built."""
    del cli.model, cli.datamodule, cli.trainer
    gc.collect()


def _select(cli: StageCLI, files: CheckedFiles) -> str:
    """Load the chosen model into the module and say which it is."""
    best = cli.checkpoint.best_model_path if cli.checkpoint else ""
    if not best or cli.checkpoint is None or cli.checkpoint.best_model_score is None:
        return "last" if cli.stage.select == "last" else "last (no development score was computed)"
    saved = files.load_checkpoint(best)
    cli.model.load_state_dict(saved["state_dict"])
    score = float(cli.checkpoint.best_model_score)
    return f"best {cli.checkpoint.monitor} {score:.2f} at step {saved['global_step']}"


def _mark(path: Path, content: Mapping[str, Any]) -> None:
    write(path, json.dumps(dict(content), ensure_ascii=False, indent=1) + "\n")
