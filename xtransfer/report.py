"""What the command line prints: scores, checks, whole configurations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import yaml

from xtransfer.config import Plan
from xtransfer.datamodules.portion import describe
from xtransfer.results import MEAN, Results, markdown
from xtransfer.run_table import table
from xtransfer.stage_cli import parse
from xtransfer.steps import Step


def scored(results: Results, plan: Plan, program: str = "xtransfer", fitted: bool = True) -> str:
    """Return the tables of a run, how to read them, where everything is, and what to try next.

    Args:
        results: The scores.
        plan: The run.
        program: How the command line is called here.
        fitted: Whether they are those of the run itself, and written down.
    """
    if not len(results):
        return f"No scores: no row that was scored has a gold label. Predictions are in {plan.folder}."
    files = " ".join(f"--config {name}" for name in plan.files)
    stage = plan.stages[-1].name
    legend = [
        "mean: over the languages of a row; gap: English less the mean of the others (smaller is better transfer)",
        f"every score and how it came about: {plan.folder / 'results.jsonl'}",
        f"learning curves:                    tensorboard --logdir {plan.folder}",
        f"next, change something:             {program} fit {files} --stages.{stage}.seed_everything 2",
        "                                    (stages that did not change are not trained again)",
        f"next, the real thing:               {program} configs",
    ]
    if not fitted:
        legend[1:] = [f"these scores are shown, not kept; those of the run are in {plan.folder / 'results.jsonl'}"]
    return "\n".join(["", table(results), "", *legend])


def by_layer(results: Results) -> str:
    """Return development scores by encoder layer, languages as columns, and which layer is best on average."""
    rows, languages = results.where(main=True), results.languages()
    layers = sorted({row.layer for row in rows if row.layer is not None})
    means = {layer: rows.where(layer=layer).by_language()[MEAN] for layer in layers}
    best = max(layers, key=lambda layer: means[layer])
    lines = []
    for layer in layers:
        values = rows.where(layer=layer).by_language()
        cells = [f"{values[language]:.1f}" if language in values else "" for language in languages]
        lines.append([f"{layer}{' (best)' if layer == best else ''}", *cells, f"{means[layer]:.1f}"])
    first = rows.rows[0]
    title = f"{first.task}: {first.metric} in percent on {first.rows} rows, by layer (0 is the embeddings)"
    return f"{title}\n\n{markdown(['layer', *languages, MEAN], lines)}\n\nto test with it: --model.layer {best}"


def checked(steps: Sequence[Step]) -> str:
    """Return what a run would read, by stage and portion."""
    rows = []
    for step in steps:
        for portion, counts in step.counts.items():
            told = describe(counts)  # type: ignore[arg-type]
            count = told.pop("rows")
            rest = ", ".join(f"{key} {value}" for key, value in told.items() if key != "rows_in_source")
            rows.append([step.stage.name, portion, str(count), rest, "done" if step.done else "to do"])
    return markdown(["stage", "rows of", "rows", "notes", "state"], rows, left=(0, 1, 3, 4))


def printed(plan: Plan) -> str:
    """Return a run's stages with all defaults filled in, as a configuration that runs."""
    stages = {}
    for stage in plan.stages:
        cli = parse(stage, plan.folder / f"{stage.number}-{stage.name}")
        block = yaml.safe_load(cli.parser.dump(cli.config))
        init: dict[str, Any] | None = {"from": stage.start, "parts": list(stage.parts), "adapters": stage.adapters}
        init = init if stage.start or stage.parts else None
        stages[stage.name] = block | {"init": init, "select": stage.select, "protocol": stage.protocol}
    shared = {"store": str(plan.store)} if plan.store else {}
    whole = {"name": plan.name, "out_dir": str(plan.out_dir), **shared, "stages": stages}
    return yaml.safe_dump(whole, sort_keys=False, allow_unicode=True)
