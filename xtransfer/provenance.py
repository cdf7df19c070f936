"""From a scored model to result rows that say how each score came about."""

from __future__ import annotations

import datetime
import importlib.metadata
import platform
from collections.abc import Mapping
from typing import Any

import xtransfer
from xtransfer.config import Plan, Stage
from xtransfer.datamodules.portion import describe
from xtransfer.kinds import KINDS
from xtransfer.results import Results, Row
from xtransfer.stage_cli import StageCLI, seed

PACKAGES = ("torch", "lightning", "transformers", "datasets", "torchmetrics", "tokenizers")


def versions() -> dict[str, str]:
    """Return the versions of everything that can change a score."""
    found = {"xtransfer": xtransfer.__version__, "python": platform.python_version()}
    return found | {name: importlib.metadata.version(name) for name in PACKAGES}


def result_rows(
    plan: Plan,
    stage: Stage,
    cli: StageCLI,
    identity: str,
    chain: tuple[str, ...],
    selected: str = "",
    steps: int = 0,
) -> Results:
    """Return a row for each score of the last evaluation.

    Args:
        plan: The run.
        stage: The stage.
        cli: Its model and data, evaluated.
        identity: Digest of all that determined the outcome.
        chain: The stages the weights went through.
        selected: Which model was kept.
        steps: Optimisation steps of this stage.
    """
    common: dict[str, Any] = {
        "run": plan.name,
        "stage": stage.name,
        "chain": chain,
        "encoder": cli.config.model.encoder,
        "seed": seed(),
        "steps": steps,
        "selected": selected,
        "config": identity,
        "config_file": str(plan.folder / f"{stage.number}-{stage.name}" / "config.yaml"),
        "versions": versions(),
        "time": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
    }
    rows: list[Row] = []
    for name, scores in cli.model.scores.items():
        rows += _rows_of(name, scores, cli, common)
    return Results(rows)


def _rows_of(name: str, scores: Mapping[str, float], cli: StageCLI, common: Mapping[str, Any]) -> list[Row]:
    split, task, language = name.split("/")
    model, data = cli.model, cli.datamodule
    spec = model.tasks[task]
    metric = model.metrics[name]
    wanted = {"val": "validation"}.get(split, split)
    portion = next(p for p in data.portions(wanted) if (p.task.name, p.language) == (task, language))
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
            main=score == (spec["metric"] or KINDS[spec["kind"]].main),
            variant=str(metric.variant[score]),  # type: ignore[index]
            counts=describe(counts),
            origin=portion.origin(),
            layer=model.layer_of(spec),
            pooling=str(head.config().get("pooling", "")),
        )
        for score, value in scores.items()
        if score not in ("n", "unlabelled")
    ]
