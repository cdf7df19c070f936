"""A run from start to end: parse and check every stage, then train, hand over, score; skip what is done."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from xtransfer.config import Plan, expand, parse_overrides, read
from xtransfer.errors import ConfigError
from xtransfer.layer_sweep import scores_by_layer
from xtransfer.lock import locked
from xtransfer.predictions import PredictionWriter
from xtransfer.provenance import result_rows
from xtransfer.results import Results
from xtransfer.resuming import Resume, changed, unfinished
from xtransfer.stage_cli import StageCLI, data_of
from xtransfer.steps import Step, prepare
from xtransfer.stopping import OnPreempt, StopSignals
from xtransfer.training import build, release, train

__all__ = ["evaluate", "expand", "layers", "prepare", "run"]

log = logging.getLogger(__name__)


FIXED = (
    *("model.layer:", "model.heads", "model.adapters", "data.class_path:"),
    *("data.init_args.task:", "data.init_args.task.", "data.init_args.max_length:", "data.init_args.limit:"),
)
"""Settings that a finished stage is scored with as it was trained: its predictions are of all rows and one model."""


def run(
    config: str | Path | Mapping[str, Any] | Plan,
    overrides: Sequence[str] | Sequence[tuple[str, Any]] = (),
    out_dir: str | Path | None = None,
    force: bool = False,
    resume: Resume = "auto",
    allow_config_change: bool = False,
    on_preempt: OnPreempt = "exit",
) -> Results:
    """Train and score every stage of a run; what the command ``fit`` and notebooks call.

    Every stage is parsed and its data are checked before the first is trained. A stage that was finished with the
    same configuration and data is not trained again. One that was interrupted goes on from its last snapshot, and ends
    with the weights it would have had.

    Args:
        config: A file, a mapping, or a plan.
        overrides: Settings laid over it, as on the command line: ``["--trainer.max_epochs", "1"]`` or pairs.
        out_dir: Folder for the run's folder; default that of the configuration.
        force: Train finished stages again, also those that the store has.
        resume: ``auto``: an interrupted stage goes on; ``must``: there has to be one; ``never``: it begins anew.
        allow_config_change: It goes on even though its configuration has changed.
        on_preempt: ``requeue``: put a SLURM job that has to stop back into the queue.

    Returns:
        The test scores of all stages.

    Raises:
        ConfigError: The configuration is wrong, or the run's folder is in use.
        DataError: The data are, or the loss is not a number.
        KeyboardInterrupt, Stopped: Ctrl-C or SIGTERM; a snapshot was written.
    """
    plan = _plan(config, overrides, out_dir)
    steps = prepare(plan)
    if resume == "must" and not any(step.done or unfinished(step) for step in steps):
        raise ConfigError(f"--resume must: nothing to go on from in {plan.folder}; to begin, leave the option out")
    signals = StopSignals(on_preempt)
    with locked(plan.folder), signals.heeded():
        results = [
            _done(plan, step)
            if step.done and not force
            else train(plan, step, resume, allow_config_change, signals, force)
            for step in steps
        ]
    return Results(row for found in results for row in found)


def evaluate(
    config: str | Path | Mapping[str, Any] | Plan,
    command: str,
    overrides: Sequence[str] | Sequence[tuple[str, Any]] = (),
    out_dir: str | Path | None = None,
) -> Results:
    """Score or predict with the models of finished stages.

    Args:
        config: As for `run`.
        command: ``validate`` (development rows), ``test`` or ``predict`` (files of predictions only).
        overrides: As for `run`.
        out_dir: As for `run`.

    Raises:
        ConfigError: A stage has not been trained.
    """
    plan = _plan(config, overrides, out_dir)
    results = Results()
    for step in prepare(plan, ("validation",) if command == "validate" else ("test",)):
        if command == "validate" and not step.origins:
            continue
        writer = PredictionWriter(step.folder / "predictions")
        cli = _finished(step, (writer,))
        if command != "validate" and cli.datamodule.calibrates:
            cli.trainer.validate(cli.model, datamodule=cli.datamodule, verbose=False)
        runner = getattr(cli.trainer, command)
        runner(cli.model, datamodule=cli.datamodule, **({"verbose": False} if command != "predict" else {}))
        if command != "predict":
            results.rows += result_rows(plan, step, cli).rows
        if writer.files:
            log.info("predictions: %d files in %s", len(writer.files), writer.folder)
        release(cli)
    return results


def layers(
    config: str | Path | Mapping[str, Any] | Plan,
    overrides: Sequence[str] | Sequence[tuple[str, Any]] = (),
    out_dir: str | Path | None = None,
) -> Results:
    """Score every encoder layer on the development rows of a run's retrieval stages, never on test rows.

    The scores are also written to ``layers.jsonl`` in the run's folder.

    Args:
        config: As for `run`.
        overrides: As for `run`.
        out_dir: As for `run`.

    Raises:
        ConfigError: No stage has a retrieval task with development rows, or a stage has not been trained.
    """
    plan = _plan(config, overrides, out_dir)
    results = Results()
    for step in prepare(plan, ("validation",)):
        data = data_of(step.parsed)
        if data.retrieves and data.portions("validation"):
            cli = _finished(step, ())
            cli.datamodule.setup("validate")
            for layer, scores in scores_by_layer(cli):
                cli.model.layer, cli.model.scores = layer, scores
                results.rows += result_rows(plan, step, cli).rows
            release(cli)
    if not results:
        raise ConfigError(
            "no stage has a retrieval task with development rows, and a layer is never chosen on test rows: choose it "
            "on a task that has them (BUCC2018, or a trained one), and set model.layer"
        )
    results.append(plan.folder / "layers.jsonl")
    return results


def _done(plan: Plan, step: Step) -> Results:
    """Return the scores of a stage that was finished before."""
    log.info("[%d/%d] %s: done before, nothing to do", step.stage.number, len(plan.stages), step.stage.name)
    return Results.load(step.folder)


def _finished(step: Step, callbacks: tuple[PredictionWriter, ...]) -> StageCLI:
    """Build a stage with the weights it was finished with; it logs nothing, for CSVLogger would start its file anew."""
    cli = build(step, callbacks)
    cli.trainer.loggers = []
    if (step.folder / "encoder").is_dir():
        fixed = [told for told in changed(step.folder, cli.dump()) if told.startswith(FIXED)]
        if cli.datamodule.retrieves:  # a layer is found out afterwards, by `layers`
            fixed = [told for told in fixed if not told.startswith("model.layer:")]
        if fixed:
            raise ConfigError(
                f"stage '{step.stage.name}' was trained with other settings (then -> now): {'; '.join(fixed)}; "
                "undo the change, or train a run of another name with it"
            )
        cli.model.load_parts(step.folder, ("encoder", "heads"))
    elif cli.datamodule.trains or step.stage.start:
        raise ConfigError(f"stage '{step.stage.name}' is not trained: run `xtransfer fit` first")
    return cli


def _plan(
    config: str | Path | Mapping[str, Any] | Plan,
    overrides: Sequence[str] | Sequence[tuple[str, Any]],
    out_dir: str | Path | None,
) -> Plan:
    pairs = parse_overrides([str(o) for o in overrides]) if overrides and isinstance(overrides[0], str) else overrides
    if isinstance(config, Plan):
        plan = config
    elif isinstance(config, Mapping):
        plan = expand(config, list(pairs))  # type: ignore[arg-type]
    else:
        plan = read([config], list(pairs))  # type: ignore[arg-type]
    return replace(plan, out_dir=Path(out_dir) if out_dir else plan.out_dir)
