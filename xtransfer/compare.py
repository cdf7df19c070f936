"""Two systems' predictions against the same labels: their difference in each language, and how sure it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from xtransfer.benchmarks import BenchmarkTask
from xtransfer.bootstrap import Array, Difference, ratio, resampled, summed_up
from xtransfer.errors import ConfigError, nearest
from xtransfer.example_scores import TASKS, UNITS, Counts, example_counts, unanswered
from xtransfer.results import MEAN, markdown
from xtransfer.submission import NoGold


@dataclass(frozen=True)
class Compared:
    """Two scores, in percent, and their difference.

    Attributes:
        a: Score of the first system.
        b: Score of the second.
        difference: The first less the second, in points.
    """

    a: float
    b: float
    difference: Difference


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Two systems compared in one task.

    Attributes:
        task: The task.
        metric: The score.
        languages: Language -> scores and difference.
        mean: The same of the mean over these languages, or over all their questions where the task is pooled.
        together: Whether an example's translations are drawn together.
        left_out: Language -> why it is not compared.
        unanswered: System (A or B) and language -> examples without a prediction, which count 0.
        samples: Number of resamples.
        seed: Seed of the draws.
    """

    task: BenchmarkTask
    metric: str
    languages: Mapping[str, Compared]
    mean: Compared
    together: bool
    left_out: Mapping[str, str]
    unanswered: Mapping[tuple[str, str], int]
    samples: int
    seed: int

    @property
    def unit(self) -> str:
        """What is drawn: lines, sentences, questions or queries."""
        return UNITS.get(self.task.form, "lines")

    def markdown(self) -> str:
        """Return a title, the table of languages, what it shows, and what was left out."""
        told = {**self.languages, **({MEAN: self.mean} if len(self.languages) > 1 else {})}
        drawn = "; translations drawn together" if self.together else ""
        header = ["language", "A", "B", "A - B", "95 % interval", "other sign", self.unit]
        draws = f"{self.samples} resamples of {self.unit}, seed {self.seed}{drawn}"
        parts = [
            f"{self.task.name}: {self.metric} in percent; {draws}",
            markdown(header, [_row(name, one) for name, one in told.items()]),
            self.verdict(),
        ]
        for system in ("A", "B"):
            missing = {code: number for (name, code), number in self.unanswered.items() if name == system}
            if missing:
                counted = ", ".join(f"{code} {n} of {self.languages[code].difference.n}" for code, n in missing.items())
                parts.append(f"not answered by {system}, which counts 0: {counted}")
        reasons: dict[str, list[str]] = {}
        for language, why in self.left_out.items():
            reasons.setdefault(why, []).append(language)
        parts += [f"left out ({why}): {' '.join(languages)}" for why, languages in reasons.items()]
        return "\n\n".join(parts)

    def verdict(self) -> str:
        """Say in a sentence what the mean over the languages shows."""
        one, n = self.mean.difference, f"n={self.mean.difference.n} {self.unit}"
        what = f"mean over {len(self.languages)} languages" if len(self.languages) > 1 else next(iter(self.languages))
        told = f"{what}: A - B is {one.mean:+.2f}, 95 % interval {one.low:+.2f} to {one.high:+.2f}"
        if not one.is_clear:
            return f"{told}: not distinguishable from zero at {n}"
        return f"{told}: {'A' if one.mean > 0 else 'B'} is better, at {n}"


def compare(
    a: str | Path,
    b: str | Path,
    labels: str | Path,
    task: str,
    metric: str | None = None,
    samples: int = 10_000,
    seed: int = 1,
) -> Comparison:
    """Compare two systems in one task by the paired bootstrap, in the languages that have both predictions and gold.

    Lines, questions or sentences are drawn anew within a language. Where languages hold translations of the same
    examples (questions of equal ids, or equally many lines of XNLI, PAWS-X and XCOPA), an example is drawn in all its
    languages at once: they would otherwise count as independent, and the interval of the mean be too narrow.

    Args:
        a: Folder of the first system's predictions, or of the stage that wrote them.
        b: That of the second.
        labels: Folder of labels, as ``xtransfer labels`` writes it.
        task: Name of the task.
        metric: The score; default F1 for questions, else the only one.
        samples: Number of resamples.
        seed: Seed of the draws; equal seeds give equal results.

    Raises:
        ConfigError: The task or score is unknown, or no language can be compared.
        DataError: Files are broken, or predictions and labels do not fit together.
    """
    record, metric, labels = *_scored(task, metric), Path(labels)
    if samples < 1:
        raise ConfigError(f"{samples} resamples: at least one is needed")
    systems = {"A": predictions_of(Path(a)), "B": predictions_of(Path(b))}
    counts, left_out = _read(record, list(systems.values()), labels, metric)
    missing = {
        (name, code): unanswered(record, code, folder, labels) for name, folder in systems.items() for code in counts
    }
    together = are_parallel(record, counts)
    groups = [list(counts.values())] if together else [[pair] for pair in counts.values()]
    languages, mean = paired_differences(groups, record.pooled, samples, seed)
    return Comparison(
        task=record,
        metric=metric,
        languages=dict(zip(counts, languages, strict=True)),
        mean=mean,
        together=together,
        left_out=left_out,
        unanswered={key: number for key, number in missing.items() if number},
        samples=samples,
        seed=seed,
    )


def _scored(task: str, metric: str | None) -> tuple[BenchmarkTask, str]:
    """Return the record of a task that has official files, and the score."""
    if task not in TASKS:
        raise ConfigError(f"no official files of a task '{task}'{nearest(task, TASKS)}")
    record = TASKS[task]
    metric = metric or record.scores[-1]
    if metric not in record.scores:
        raise ConfigError(f"{task} has no score '{metric}'{nearest(metric, record.scores)}")
    return record, metric


def _read(
    task: BenchmarkTask, systems: Sequence[Path], labels: Path, metric: str
) -> tuple[dict[str, tuple[Counts, Counts]], dict[str, str]]:
    """Return language -> the examples of both systems, and language -> why it is left out."""
    counts: dict[str, tuple[Counts, Counts]] = {}
    left_out: dict[str, str] = {}
    for language in task.languages:
        try:
            first, second = (example_counts(task, language, folder, labels, metric) for folder in systems)
            counts[language] = first, second
        except (NoGold, FileNotFoundError) as reason:
            left_out[language] = str(reason)
    if not counts:
        reasons = "; ".join(f"{language}: {reason}" for language, reason in list(left_out.items())[:3])
        raise ConfigError(f"{task.name}: none of its {len(left_out)} languages can be compared ({reasons})")
    return counts, left_out


def predictions_of(folder: Path) -> Path:
    """Return the folder of predictions in a stage's folder, or the folder itself."""
    return folder / "predictions" if (folder / "predictions").is_dir() else folder


def common_tasks(a: Path, b: Path, labels: Path) -> list[str]:
    """Return the tasks of which all three folders have one of their own."""
    folders = (predictions_of(a), predictions_of(b), labels)
    return [name for name in TASKS if all((folder / name).is_dir() for folder in folders)]


def are_parallel(task: BenchmarkTask, counts: Mapping[str, tuple[Counts, Counts]]) -> bool:
    """Say whether languages hold translations of the same examples, as far as their ids or numbers of lines tell."""
    keys = [set(first) for first, _ in counts.values()]
    if task.form in ("labels", "choices"):
        return len(keys) > 1 and all(own == keys[0] for own in keys)
    return task.form in ("answers", "rankings") and len(set().union(*keys)) < sum(map(len, keys))


def paired_differences(
    groups: Sequence[Sequence[tuple[Counts, Counts]]], pooled: bool, samples: int, seed: int
) -> tuple[list[Compared], Compared]:
    """Return the comparison in each language, and of their mean; languages of one group are drawn together."""
    rng = np.random.default_rng(seed)
    totals, sizes, units = [], [], 0
    for group in groups:
        examples = list(dict.fromkeys(key for pair in group for counts in pair for key in counts))
        none = (0.0, 0.0)
        table = np.array([[c.get(key, none) for pair in group for c in pair] for key in examples])
        table = table.reshape(len(examples), -1)
        drawn = np.concatenate([table.mean(0)[None], resampled(table, samples, rng)]) * len(examples)
        totals.append(drawn.reshape(samples + 1, len(group), 2, 2))
        sizes += [len(pair[0].keys() | pair[1].keys()) for pair in group]
        units += len(examples)
    sums = np.concatenate(totals, axis=1)  # (observed and resamples, languages, systems, numerator and denominator)
    scores = 100 * ratio(sums)
    mean = 100 * ratio(sums.sum(1)) if pooled else scores.mean(1)
    return [_compared(scores[:, i], n) for i, n in enumerate(sizes)], _compared(mean, units)


def _compared(scores: Array, n: int) -> Compared:
    """Return what scores ``(1 + S, 2)`` say: those observed first, then those of the resamples."""
    differences = scores[:, 0] - scores[:, 1]
    return Compared(float(scores[0, 0]), float(scores[0, 1]), summed_up(float(differences[0]), differences[1:], n))


def _row(name: str, one: Compared) -> list[str]:
    found = one.difference
    interval = f"{found.low:+.2f} to {found.high:+.2f}"
    return [
        name,
        f"{one.a:.2f}",
        f"{one.b:.2f}",
        f"{found.mean:+.2f}",
        interval,
        f"{100 * found.p:.1f} %",
        str(found.n),
    ]
