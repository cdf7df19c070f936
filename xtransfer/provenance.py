"""From a scored model to result rows that say how each score came about."""

from __future__ import annotations

import datetime
import json
from collections.abc import Mapping
from typing import Any

from xtransfer.adapters import described
from xtransfer.config import Plan
from xtransfer.datamodules.portion import describe
from xtransfer.hand_over import FOLDER
from xtransfer.kinds import KINDS
from xtransfer.metrics import RetrievalScores, TaskMetric
from xtransfer.results import Results, Row
from xtransfer.stage_cli import StageCLI, seed
from xtransfer.steps import Step
from xtransfer.task_metrics import scored_in
from xtransfer.versions import versions

TRAINING = "training.json"
"""File of a stage's folder that tells of its training data."""
NOTED = ("steps", "selected", "tokens", "seconds", "reused_from")
"""What rows tell of a stage's training."""


def result_rows(
    plan: Plan,
    step: Step,
    cli: StageCLI,
    noted: Mapping[str, Any] | None = None,
) -> Results:
    """Return a row for each score of the last evaluation.

    Args:
        plan: The run.
        step: The stage, parsed and checked.
        cli: Its model and data, evaluated.
        noted: What was noted when the stage's training ended, if that is known.
    """
    facts = {name: noted[name] for name in NOTED if noted and name in noted}
    common: dict[str, Any] = {
        "run": plan.name,
        "stage": step.stage.name,
        "protocol": step.stage.protocol,
        "chain": step.chain,
        "trained": step.trained,
        "training": training_of(step),
        "encoder": cli.config.model.encoder,
        "adapters": adapters_of(step, cli),
        "seed": None if cli.config.seed_everything is False else seed(),
        **facts,
        "config": step.identity,
        "config_file": str(step.folder / "config.yaml"),
        "versions": versions(),
        "time": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
    }
    rows: list[Row] = []
    for name, scores in cli.model.scores.items():
        rows += _rows_of(name, scores, cli, common)
    return Results(rows)


def training_of(step: Step) -> dict[str, Any]:
    """Return what results tell of a stage's training data, as it was written down when its training ended."""
    file = step.folder / TRAINING
    return dict(json.loads(file.read_text(encoding="utf-8"))) if file.is_file() else {}


def adapters_of(step: Step, cli: StageCLI) -> str:
    """Return what results tell of adapters: those of the stage, then what became of those before."""
    stage = step.stage
    before = {"merge": "", "keep": f"going on from those of {stage.start}", "drop": f"without those of {stage.start}"}
    own = described(step.folder / FOLDER, cli.model.encoder) if cli.config.model.adapters else ""
    return "; ".join(filter(None, (own, before[stage.adapters])))


def _rows_of(name: str, scores: Mapping[str, float], cli: StageCLI, common: Mapping[str, Any]) -> list[Row]:
    split, task, language = name.split("/")
    model, data = cli.model, cli.datamodule
    spec = model.tasks[task]
    metric = model.metric_of(split, task, language)
    wanted = {"val": "validation"}.get(split, split)
    portion = next(p for p in data.portions(wanted) if (p.task.name, p.split, p.language) == (task, wanted, language))
    counts = data.sets[task, wanted, language].counts
    head = model.head(spec["head"])
    return [
        Row(
            **common,
            task=task,
            head=spec["head"],
            language=language,
            split=wanted,
            rows=portion.rows,
            metric=score,
            value=value,
            n=int(scores["n"]),
            main=score == KINDS[spec["kind"]].main_score(spec),
            variant=metric.variant[score],
            counts=describe(counts),
            origin=portion.origin(),
            precision=scored_in(cli.trainer, model.eval_bf16),
            layer=model.layer_of(spec),
            pooling=str(head.config().get("pooling", "")),
            threshold=_threshold(metric, language),
        )
        for score, value in scores.items()
        if score not in ("n", "unlabelled")
    ]


def _threshold(metric: TaskMetric, language: str) -> str:
    if not isinstance(metric, RetrievalScores) or language not in metric.thresholds:
        return ""
    value, how = metric.thresholds[language]
    return f"{value:.6f}, {how}"
