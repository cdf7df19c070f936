"""What an intermediate task has gained, read from the results of runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from statistics import fmean

from xtransfer.errors import ConfigError
from xtransfer.results import LESS_IS_BETTER, Results
from xtransfer.study import ARROW, NONE, before, lay_out, scores
from xtransfer.study_tables import minus


@dataclass(frozen=True)
class Gains:
    """Gains over the baseline by intermediate, target and language.

    Attributes:
        values: (intermediate, target, language) -> score less the baseline's, in points; the mean over seeds.
        seeds: The numbers of seeds behind the values.
        encoders: Encoders of the runs.
        notes: What was left out or pooled.
        tokens: Intermediate -> tokens it was trained on, the mean over runs, where its own rows are among the results.
    """

    values: Mapping[tuple[str, str, str], float]
    seeds: tuple[int, ...]
    encoders: tuple[str, ...]
    notes: tuple[str, ...]
    tokens: Mapping[str, float] = field(default_factory=dict)


def gains_of(
    results: Results,
    metric: str | None = None,
    split: str = "test",
    baseline: str = NONE,
    recipes: Mapping[str, str] | None = None,
) -> Gains:
    """Return the gains that runs have shown, laid out as `xtransfer.study` lays out tables.

    Of a score of which less is better, such as perplexity, a fall is the gain.

    Args:
        results: Rows of any number of runs.
        metric: Name of the score; default each task's main score.
        split: ``test`` or ``validation``.
        baseline: The intermediate that the others are compared with; ``none`` is no intermediate task.
        recipes: As for `Results.table`.

    Raises:
        ConfigError: There is no baseline among the results, or nothing to compare with it.
    """
    study = lay_out(results, metric, split, baseline, recipes)
    if not study.baseline:
        raise ConfigError(f"no scores of the baseline '{baseline}' among the results: gains are differences to it")
    values: dict[tuple[str, str, str], float] = {}
    seeds: set[int] = set()
    notes = study.told()
    for target in study.targets:
        rows = study.rows(target)
        task = next(iter(rows.values()))[0].task
        if study.baseline not in rows:
            notes.append(f"{target}: no score of the baseline, so there is no gain")
        for name in [name for name in rows if name != study.baseline and study.baseline in rows]:
            for code in sorted({row.language for row in rows[name]}):
                found = minus(scores(rows[name], [code]), scores(rows[study.baseline], [code]))
                if not found:
                    notes.append(f"{name} → {target} ({code}): no score of the baseline in this language")
                elif (name, task, code) in values:
                    notes.append(f"{name} → {target} ({code}): left out, '{task}' has another column already")
                else:
                    sign = -1 if rows[name][0].metric in LESS_IS_BETTER else 1
                    values[name, task, code] = sign * fmean(found.values())
                    seeds.add(len(found))
    if not values:
        raise ConfigError("no gain among the results: no target was scored both after an intermediate and without one")
    encoders = {row.encoder for rows in study.cells.values() for row in rows if row.encoder}
    return Gains(values, tuple(sorted(seeds)), tuple(sorted(encoders)), tuple(notes), _tokens(results))


def _tokens(results: Results) -> dict[str, float]:
    """Return intermediate -> tokens it was trained on, of all its stages, the mean over runs."""
    of_stage = {(row.run, row.stage): row.tokens for row in results if row.tokens}
    found: dict[str, dict[str, int]] = {}
    for row in results:
        stages = row.chain[:-1] if row.stage in row.chain else row.chain
        if stages and all((row.run, stage) in of_stage for stage in stages):
            found.setdefault(ARROW.join(before(row)), {})[row.run] = sum(of_stage[row.run, s] for s in stages)
    return {name: fmean(by_run.values()) for name, by_run in found.items()}
