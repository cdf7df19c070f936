"""A run's own scores, as the command line prints them: a table a task, stages by languages."""

from __future__ import annotations

from collections.abc import Sequence

from xtransfer.results import GAP, LESS_IS_BETTER, MEAN, Results, markdown, unit


def table(results: Results) -> str:
    """Return a run's scores: one table a task and score, stages as rows, languages as columns, with mean and gap.

    A task's main score comes first. Development scores are told of tasks that have no test scores.
    """
    tested = {row.task for row in results.where(split="test")}
    shown = Results(row for row in results if row.split == "test" or row.task not in tested)
    tasks = dict.fromkeys(row.task for row in shown)
    parts = []
    for task in tasks:
        rows = shown.where(task=task)
        metrics = dict.fromkeys([row.metric for row in rows.where(main=True)] + [row.metric for row in rows])
        parts += [_one_table(rows.where(metric=metric)) for metric in metrics]
    return "\n\n".join(parts)


def _one_table(chosen: Results) -> str:
    """Return one task's table; two stages that differ in what came before are compared in a last row."""
    stages = list(dict.fromkeys(row.stage for row in chosen))
    values = {stage: chosen.where(stage=stage).by_language() for stage in stages}
    columns = [c for c in [*chosen.languages(), MEAN, GAP] if any(c in row for row in values.values())]
    digits = 2 if chosen.rows[0].metric in LESS_IS_BETTER else 1
    chains = {stage: chosen.where(stage=stage).rows[-1].chain for stage in stages}
    rows = [
        [
            _label(chains[stage], stage),
            *[f"{values[stage][c]:.{digits}f}" if c in values[stage] else "" for c in columns],
        ]
        for stage in stages
    ]
    longer, alone = [s for s in stages if len(chains[s]) > 1], [s for s in stages if len(chains[s]) == 1]
    note = ""
    if len(longer) == len(alone) == 1:
        shared = {row.language for row in chosen.where(stage=longer[0])} & {
            row.language for row in chosen.where(stage=alone[0])
        }
        both = Results(row for row in chosen if row.language in shared)
        a, b = (both.where(stage=stage).by_language() for stage in (*longer, *alone))
        rows.append(["difference", *[f"{a[c] - b[c]:+.{digits}f}" if c in a and c in b else "" for c in columns]])
        if len(shared) < len(chosen.languages()):
            note = f"\n\ndifference: mean and gap over the languages that both have ({', '.join(both.languages())})"
    counted = {row.n for row in chosen}
    n = f"{min(counted)}" if len(counted) == 1 else f"{min(counted)} to {max(counted)}"
    first = chosen.rows[0]
    split = f"{first.split} rows" if first.rows == first.split else f"{first.split} rows ({first.rows})"
    title = f"{first.task}: {first.metric} {unit(first.metric)}, {split}, {n} examples a language"
    return f"{title}\n\n{markdown(['trained on', *columns], rows)}{note}"


def _label(chain: Sequence[str], stage: str) -> str:
    return " → ".join(chain if stage in chain else [*chain, f"{stage} (not trained)"])
