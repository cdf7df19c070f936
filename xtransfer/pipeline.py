"""A run from start to end: parse and check every stage, then train, hand over, score; skip what is done."""

from __future__ import annotations

import gc
import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from xtransfer.config import Plan, expand, parse_overrides, read
from xtransfer.errors import ConfigError
from xtransfer.layer_sweep import scores_by_layer
from xtransfer.predictions import PredictionWriter
from xtransfer.provenance import result_rows
from xtransfer.results import Results
from xtransfer.stage_cli import StageCLI, data_of
from xtransfer.steps import Step, prepare, stage_folder

__all__ = ["evaluate", "expand", "layers", "prepare", "run"]

log = logging.getLogger(__name__)


def run(
    config: str | Path | Mapping[str, Any] | Plan,
    overrides: Sequence[str] | Sequence[tuple[str, Any]] = (),
    out_dir: Path | None = None,
    force: bool = False,
) -> Results:
    """Train and score every stage of a run; what the command ``fit`` and notebooks call.

    Every stage is parsed and its data are checked before the first is trained. A stage that was finished with the
    same configuration and data is not trained again.

    Args:
        config: A file, a mapping, or a plan.
        overrides: Settings laid over it, as on the command line: ``["--trainer.max_epochs", "1"]`` or pairs.
        out_dir: Folder for the run's folder; default that of the configuration.
        force: Train finished stages again.

    Returns:
        The test scores of all stages.

    Raises:
        ConfigError: The configuration is wrong.
        DataError: The data are.
    """
    plan = _plan(config, overrides, out_dir)
    results = Results()
    for step in prepare(plan):
        if step.done and not force:
            log.info("[%d/%d] %s: done before, nothing to do", step.stage.number, len(plan.stages), step.stage.name)
            results.rows += Results.load(step.folder).rows
            continue
        results.rows += _train(plan, step).rows
    return results


def evaluate(
    config: str | Path | Mapping[str, Any] | Plan,
    command: str,
    overrides: Sequence[str] | Sequence[tuple[str, Any]] = (),
    out_dir: Path | None = None,
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
        _tell_files(writer)
        _release(cli)
    return results


def layers(
    config: str | Path | Mapping[str, Any] | Plan,
    overrides: Sequence[str] | Sequence[tuple[str, Any]] = (),
    out_dir: Path | None = None,
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
            _release(cli)
    if not results:
        raise ConfigError(
            "no stage has a retrieval task with development rows, and a layer is never chosen on test rows: choose it "
            "on a task that has them (BUCC2018, or a trained one), and set model.layer"
        )
    results.append(plan.folder / "layers.jsonl")
    return results


def _finished(step: Step, callbacks: tuple[PredictionWriter, ...]) -> StageCLI:
    """Build a stage with the weights it was finished with; it logs nothing, for CSVLogger would start its file anew."""
    cli = _build(step, callbacks)
    cli.trainer.loggers = []
    if (step.folder / "encoder").is_dir():
        cli.model.load_parts(step.folder, ("encoder", "heads"))
    elif cli.datamodule.trains or step.stage.start:
        raise ConfigError(f"stage '{step.stage.name}' is not trained: run `xtransfer fit` first")
    return cli


def _train(plan: Plan, step: Step) -> Results:
    stage, folder = step.stage, step.folder
    (folder / "DONE").unlink(missing_ok=True)
    writer = PredictionWriter(folder / "predictions")
    cli = _build(step, (writer,))
    model, data, trainer = cli.model, cli.datamodule, cli.trainer
    if stage.start is not None:
        start = next(other for other in plan.stages if other.name == stage.start)
        model.load_parts(stage_folder(plan, start), stage.parts)
    started = f"from {stage.start}" if stage.start else f"from {cli.config.model.encoder}"
    log.info("[%d/%d] %s: %s, %s", stage.number, len(plan.stages), stage.name, type(data).__name__, started)
    selected = "not trained"
    if data.trains:
        trainer.fit(model, datamodule=data)
        if not trainer.state.finished:
            raise ConfigError(f"stage '{stage.name}' was interrupted")
        selected = _select(cli)
        log.info("%s: trained for %d steps; kept: %s", stage.name, trainer.global_step, selected)
    steps, results = trainer.global_step, Results()
    if trainer.is_global_zero:
        model.save_parts(folder)
        data.load_tokenizer().save_pretrained(folder / "encoder")
        (folder / "config.yaml").write_text(cli.dump(), encoding="utf-8")
    for split in ("validation", "test"):
        if data.portions(split):
            score = trainer.validate if split == "validation" else trainer.test
            score(model, datamodule=data, verbose=False)
            results.rows += result_rows(plan, step, cli, selected, steps).rows
    if trainer.is_global_zero:
        (folder / "results.jsonl").unlink(missing_ok=True)
        results.append(folder / "results.jsonl")
        results.append(plan.folder / "results.jsonl")
        _tell_files(writer)
        (folder / "DONE").write_text(json.dumps({"identity": step.identity}) + "\n", encoding="utf-8")
    trainer.strategy.barrier()
    _release(cli)
    return results


def _build(step: Step, callbacks: tuple[PredictionWriter, ...]) -> StageCLI:
    step.folder.mkdir(parents=True, exist_ok=True)
    return StageCLI(step.stage, step.folder, build=True, callbacks=callbacks)


def _select(cli: StageCLI) -> str:
    """Load the chosen model into the module and say which it is."""
    best = cli.checkpoint.best_model_path if cli.checkpoint else ""
    if not best or cli.checkpoint is None or cli.checkpoint.best_model_score is None:
        return "last" if cli.stage.select == "last" else "last (no development score was computed)"
    saved = torch.load(best, map_location="cpu", weights_only=True)
    cli.model.load_state_dict(saved["state_dict"])
    score = float(cli.checkpoint.best_model_score)
    return f"best {cli.checkpoint.monitor} {score:.2f} at step {saved['global_step']}"


def _plan(
    config: str | Path | Mapping[str, Any] | Plan,
    overrides: Sequence[str] | Sequence[tuple[str, Any]],
    out_dir: Path | None,
) -> Plan:
    pairs = parse_overrides([str(o) for o in overrides]) if overrides and isinstance(overrides[0], str) else overrides
    if isinstance(config, Plan):
        plan = config
    elif isinstance(config, Mapping):
        plan = expand(config, list(pairs))  # type: ignore[arg-type]
    else:
        plan = read([config], list(pairs))  # type: ignore[arg-type]
    return Plan(plan.name, out_dir or plan.out_dir, plan.stages, plan.files)


def _tell_files(writer: PredictionWriter) -> None:
    if writer.files:
        log.info("predictions: %d files in %s", len(writer.files), writer.folder)


def _release(cli: StageCLI) -> None:
    """Let go of a stage's model before the next is built."""
    del cli.model, cli.datamodule, cli.trainer
    gc.collect()
