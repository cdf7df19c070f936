"""How sure the differences of a study are: the paired bootstrap over examples, corrected for their number."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import stdev
from typing import TYPE_CHECKING

from xtransfer.bootstrap import Difference, holm, two_sided
from xtransfer.compare import are_parallel, paired_differences
from xtransfer.errors import ConfigError, DataError
from xtransfer.example_scores import TASKS, Counts, example_counts
from xtransfer.results import Results, Row
from xtransfer.study import NONE, Study, common_languages, differing, lay_out
from xtransfer.study_tables import by_target
from xtransfer.submission import NoGold
from xtransfer.tables import Table

if TYPE_CHECKING:
    from pandas import DataFrame

LEVEL = 0.05
"""Below this a corrected probability is called clear."""
HINT = "; `xtransfer labels DIR` writes labels, and --labels DIR reads them"
TOLERANCE = 0.01
"""By how many points a score may differ from that of the predictions on the disk."""


@dataclass(frozen=True)
class Gain:
    """An intermediate's score of a target less the baseline's, means over languages and seeds.

    Attributes:
        intermediate: The intermediate.
        target: The target.
        metric: The score.
        seeds: The seeds that both have.
        languages: The languages, those that every row of the target has.
        difference: The difference in points, with its interval, over examples drawn anew.
        spread: Standard deviation of the difference over seeds; None with one seed.
        p: How probable so large a difference of either sign is by chance.
        holm: The same, corrected for the number of differences.
    """

    intermediate: str
    target: str
    metric: str
    seeds: tuple[int | None, ...]
    languages: tuple[str, ...]
    difference: Difference
    spread: float | None
    p: float
    holm: float = 1.0

    @property
    def is_clear(self) -> bool:
        """Whether chance among the examples does not explain it, at 5 % after the correction."""
        return self.holm < LEVEL


@dataclass(frozen=True)
class Gains:
    """All differences of a study.

    Attributes:
        study: The study.
        gains: Those that could be tested.
        notes: Why the others could not be.
        samples: Number of resamples.
    """

    study: Study
    gains: tuple[Gain, ...]
    notes: tuple[str, ...]
    samples: int

    def to_frame(self) -> DataFrame:
        """Return a pandas data frame, a row a difference."""
        import pandas

        rows = []
        for gain in self.gains:
            told = asdict(gain) | asdict(gain.difference) | {"clear": gain.is_clear}
            del told["difference"], told["p"]
            told |= {"difference": gain.difference.mean, "p": gain.p}
            told |= {"seeds": len(gain.seeds), "languages": " ".join(gain.languages)}
            del told["mean"]
            rows.append(told)
        names = ["intermediate", "target", "metric", "difference", "low", "high", "p", "holm", "clear", "spread"]
        return pandas.DataFrame(rows, columns=[*names, "seeds", "n", "languages"])

    def table(self) -> Table:
        """Return the main table, intermediates by targets, clear differences with a star."""
        found = by_target(self.study)
        clear = {(gain.intermediate, gain.target) for gain in self.gains if gain.is_clear}
        cells = tuple(
            tuple(
                replace(cell, clear=(name, column) in clear) for cell, column in zip(row, found.header[1:], strict=True)
            )
            for name, row in zip(found.names, found.cells, strict=True)
        )
        told = (
            f"*: not by chance among the examples (two-sided, 5 %, paired bootstrap with {self.samples} resamples, "
            f"corrected by Holm for {len(self.gains)} differences); another seed is another question"
        )
        return replace(found, cells=cells, notes=(*found.notes, told, *self.notes))


def gains(
    results: Results,
    metric: str | None = None,
    baseline: str = NONE,
    recipes: Mapping[str, str] | None = None,
    tasks: Sequence[str] = (),
    labels: str | Path | None = None,
    samples: int = 10_000,
    seed: int = 1,
) -> Gains:
    """Compare every intermediate with the baseline on every target, by the predictions that are on the disk.

    In a resample the same examples are drawn for both, in all seeds; translations are drawn together. The difference is
    that of the mean over seeds and languages.

    Args:
        results: Rows of a sweep, or of any runs.
        metric: As for `lay_out`.
        baseline: As for `lay_out`.
        recipes: As for `lay_out`.
        tasks: As for `lay_out`.
        labels: Folder of labels, as ``xtransfer labels`` writes it; a sweep has its own.
        samples: Number of resamples.
        seed: Seed of the draws.

    Raises:
        ConfigError: There is no baseline, or fewer than one resample.
    """
    study = lay_out(results, metric, "test", baseline, recipes, tasks)
    if not study.baseline:
        raise ConfigError(f"no scores of the baseline '{baseline}', so there is nothing to compare with")
    gold = Path(labels) if labels else None
    if samples < 1:
        raise ConfigError(f"{samples} resamples: at least one is needed")
    found: list[Gain] = []
    notes: list[str] = []
    for target in study.targets:
        rows = study.rows(target)
        languages = common_languages(rows)
        for name, own in rows.items():
            if name != study.baseline:
                try:
                    pairs = _pairs(own, rows.get(study.baseline, []), languages, results, gold)
                    found.append(_gain(name, target, pairs, samples, seed))
                except (DataError, NoGold, FileNotFoundError) as error:
                    hint = HINT if isinstance(error, FileNotFoundError) else ""
                    notes.append(f"{target} after {name}: not tested: {error}{hint}")
    corrected = holm([gain.p for gain in found])
    found = [replace(gain, holm=p) for gain, p in zip(found, corrected, strict=True)]
    return Gains(study, tuple(found), tuple(notes), samples)


Pairs = dict[tuple[int | None, str], tuple[Row, Counts, Counts]]
"""(seed, language) -> a row of the intermediate, what its examples add, and what the baseline's do."""


def _pairs(
    own: Sequence[Row], base: Sequence[Row], languages: Sequence[str], results: Results, labels: Path | None
) -> Pairs:
    """Read the predictions of an intermediate and of the baseline, for the seeds that both have.

    Raises:
        DataError: There is no such seed, a stage is there twice, or files do not fit together.
        FileNotFoundError, NoGold: Predictions or labels are not there.
    """
    seeds = [seed for seed in dict.fromkeys(row.seed for row in own) if seed in {row.seed for row in base}]
    if not seeds or not languages:
        raise DataError("it has no seed, or no language, in common with the baseline")
    pairs: Pairs = {}
    for seed in seeds:
        for language in languages:
            both = [[row for row in rows if (row.seed, row.language) == (seed, language)] for rows in (own, base)]
            if any(len(rows) != 1 for rows in both):
                raise DataError(
                    f"seed {seed}, {language}: {len(both[0])} and {len(both[1])} scores in place of one each"
                )
            (a,), (b,) = both
            if told := differing(a.task, {"it": [a], "the baseline": [b]}):
                raise DataError("; ".join(told))
            pairs[seed, language] = (a, _counts(a, results, labels), _counts(b, results, labels))
    return pairs


def _counts(row: Row, results: Results, labels: Path | None) -> Counts:
    """Return what each example adds to a score.

    Raises:
        DataError: The task has no official files, or the predictions on the disk are not those that were scored.
    """
    if row.task not in TASKS or row.metric not in TASKS[row.task].scores:
        raise DataError(f"there are no official files of the task '{row.task}' and its score '{row.metric}'")
    stage, gold = Path(row.config_file).parent, labels or Path("labels")
    sweep = results.sweep.folders.get(row.run) if results.sweep else None
    if sweep is not None:
        stage, gold = sweep / stage.name, labels or gold_of(sweep.parents[1] / "labels", row.origin)
    counts = example_counts(TASKS[row.task], row.language, stage / "predictions", gold, row.metric)
    above, below = (sum(column) for column in zip(*counts.values(), strict=True))
    if abs(100 * above / (below or 1) - row.value) > TOLERANCE:
        told = f"{100 * above / (below or 1):.2f}, the score is {row.value:.2f}"
        raise DataError(f"{row.language}: the predictions in {stage} give {told}: score the stage again")
    return counts


def gold_of(labels: Path, origin: str) -> Path:
    """Return where a sweep keeps the labels of rows, by where the rows come from."""
    return labels / hashlib.sha256(origin.encode()).hexdigest()[:12]


def _gain(name: str, target: str, pairs: Pairs, samples: int, seed: int) -> Gain:
    """Compare an intermediate with the baseline; seeds of a language are drawn together."""
    row = next(iter(pairs.values()))[0]
    seeds = tuple(dict.fromkeys(seed for seed, _ in pairs))
    languages = tuple(dict.fromkeys(language for _, language in pairs))
    counts = {key: (a, b) for key, (_, a, b) in pairs.items()}
    groups = [[counts[s, language] for s in seeds] for language in languages]
    if are_parallel(TASKS[row.task], {language: counts[seeds[0], language] for language in languages}):
        groups = [[pair for group in groups for pair in group]]
    each, mean = paired_differences(groups, TASKS[row.task].pooled, samples, seed)
    by_seed = [sum(one.difference.mean for one in each[i :: len(seeds)]) / len(languages) for i in range(len(seeds))]
    difference = mean.difference
    return Gain(
        name,
        target,
        row.metric,
        seeds,
        languages,
        difference,
        stdev(by_seed) if len(seeds) > 1 else None,
        two_sided(difference.p, samples),
    )
