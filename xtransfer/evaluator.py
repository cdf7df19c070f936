"""XTREME's and XTREME-R's scores of a folder of predictions, by the rules of the official evaluator."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from statistics import mean
from typing import get_args

from xtransfer import submission
from xtransfer.benchmarks import Benchmark, BenchmarkTask, Form, find
from xtransfer.errors import ConfigError, DataError, nearest
from xtransfer.metrics import accuracy, average_precision, exact_match, normalizer_of, pair_f1, span_f1, token_f1
from xtransfer.metrics.tagging import Variant
from xtransfer.sources import File

SHOWN = 20
"""How many broken files one message lists."""


@dataclass(frozen=True, kw_only=True)
class LanguageScore:
    """A task's scores in one language.

    Args:
        scores: Score -> value, in percent.
        n: How many rows, sentences, questions, pairs or queries they are of.
        unanswered: Questions or queries without a prediction; they count 0.
        unknown: Predictions of ids that the labels do not have; they count nothing.
    """

    scores: Mapping[str, float]
    n: int
    unanswered: int = 0
    unknown: int = 0

    @property
    def value(self) -> float:
        """The mean of the scores."""
        return mean(self.scores.values())


@dataclass(frozen=True, kw_only=True)
class TaskScore:
    """A task's scores in all its languages.

    Args:
        task: The task.
        languages: Language -> scores, where there are both predictions and gold labels.
        missing: Language -> which file is not there.
        unlabelled: Language -> why its labels are no gold labels.
    """

    task: BenchmarkTask
    languages: Mapping[str, LanguageScore]
    missing: Mapping[str, str]
    unlabelled: Mapping[str, str]

    @property
    def complete(self) -> bool:
        """Whether every language of the task has a score."""
        return not self.missing and not self.unlabelled

    @property
    def means(self) -> dict[str, float]:
        """Score -> mean over the languages that have one; over all their questions where the task is pooled."""
        rows = list(self.languages.values())
        weights = [row.n if self.task.pooled else 1 for row in rows]
        return {
            name: sum(w * row.scores[name] for w, row in zip(weights, rows, strict=True)) / sum(weights)
            for name in (self.task.scores if rows else ())
        }

    @property
    def average(self) -> float | None:
        """The task's score in the benchmark, the mean of its `means`; None unless every language is there."""
        return mean(self.means.values()) if self.complete else None

    @property
    def gap(self) -> float | None:
        """The English score less the mean over the other languages; None unless every language, and English, is there.

        The cross-lingual transfer gap of XTREME's paper, of the mean of the task's scores.
        """
        others = [score.value for language, score in self.languages.items() if language != "en"]
        return self.languages["en"].value - mean(others) if self.complete and "en" in self.languages else None


@dataclass(frozen=True, kw_only=True)
class Scores:
    """The scores of a folder of predictions.

    Args:
        benchmark: The benchmark.
        seqeval: The version of seqeval that tags are scored like.
        tasks: Task -> its scores, in the official order; those without any file too.
        ignored: Files and folders that belong to no task of the benchmark.
    """

    benchmark: Benchmark
    seqeval: Variant
    tasks: Mapping[str, TaskScore]
    ignored: Sequence[str] = ()

    @property
    def missing(self) -> list[tuple[str, str, str]]:
        """Task, language and which file is not there."""
        return [(name, *item) for name, task in self.tasks.items() for item in task.missing.items()]

    @property
    def unlabelled(self) -> list[tuple[str, str, str]]:
        """Task, language and why its labels are no gold labels."""
        return [(name, *item) for name, task in self.tasks.items() for item in task.unlabelled.items()]

    @property
    def groups(self) -> dict[str, float | None]:
        """Group -> mean of its tasks; None unless they are complete."""
        return {name: self._mean(tasks) for name, tasks in self.benchmark.groups.items()}

    @property
    def overall(self) -> float | None:
        """The mean over all tasks; None unless every task is there in every language."""
        return self._mean(tuple(self.tasks))

    def _mean(self, tasks: Sequence[str]) -> float | None:
        values = [self.tasks[task].average for task in tasks]
        there = [value for value in values if value is not None]
        return mean(there) if len(there) == len(values) else None


def score(predictions: Path, labels: Path, benchmark: str = "xtreme", seqeval: Variant = "0.0.12") -> Scores:
    """Score ``PREDICTIONS/<task>/test-<language>.<type>`` against the same files below `labels`.

    Follows ``evaluate.py`` of google-research/xtreme. What is not there, or has no gold labels, is listed and keeps the
    averages it belongs to from being formed; what is there but broken is an error.

    Args:
        predictions: Folder of predictions.
        labels: Folder of labels.
        benchmark: ``xtreme`` or ``xtreme-r``.
        seqeval: Which version of seqeval scores tags; the published scores are believed to be of 0.0.12.

    Raises:
        ConfigError: A folder does not exist or has no task's folder, or an option is unknown.
        DataError: Files are broken, or predictions and labels do not fit together; names the first twenty.
    """
    record = find(benchmark)
    if seqeval not in get_args(Variant):
        raise ConfigError(f"unknown version of seqeval '{seqeval}'{nearest(seqeval, get_args(Variant))}")
    for folder in (predictions, labels):
        if not any((folder / task.name).is_dir() for task in record.tasks):
            there = ", ".join(sorted(path.name for path in folder.iterdir())) if folder.is_dir() else "no such folder"
            wanted = ", ".join(task.name for task in record.tasks)
            raise ConfigError(f"{folder}: expected folders named after tasks ({wanted}), found: {there or 'nothing'}")
    broken: list[str] = []
    tasks = {task.name: _score_task(task, predictions, labels, seqeval, broken) for task in record.tasks}
    if broken:
        more = [f"and {len(broken) - SHOWN} more"] if len(broken) > SHOWN else []
        first = [f"{len(broken)} files cannot be scored:"] if len(broken) > 1 else []
        raise DataError("\n  ".join([*first, *broken[:SHOWN], *more]))
    ignored = [name for folder in (predictions, labels) for name in _ignored(folder, record)]
    return Scores(benchmark=record, seqeval=seqeval, tasks=tasks, ignored=ignored)


def _score_task(task: BenchmarkTask, predictions: Path, labels: Path, seqeval: Variant, broken: list[str]) -> TaskScore:
    """Score a task in every language; messages about broken files go to `broken`."""
    scores, missing, unlabelled = {}, {}, {}
    for language in task.languages:
        name = Path(task.name, f"test-{language}.{task.suffix}")
        paths = {"predictions": predictions / name, "labels": labels / name}
        absent = [what for what, path in paths.items() if not path.is_file()]
        if absent:
            missing[language] = " and no ".join(["no " + absent[0], *absent[1:]])
            continue
        predicted, gold = (File(path, f"{task.name} ({language}) {path}") for path in paths.values())
        try:
            scores[language] = SCORERS[task.form](predicted, gold, task, language, seqeval)
        except submission.NoGold as reason:
            unlabelled[language] = str(reason)
        except DataError as error:
            broken.append(str(error))
    return TaskScore(task=task, languages=scores, missing=missing, unlabelled=unlabelled)


def _ignored(folder: Path, record: Benchmark) -> list[str]:
    """Name what in a folder belongs to no task of the benchmark."""
    known = {task.name: {f"test-{language}.{task.suffix}" for language in task.languages} for task in record.tasks}
    found = [path for path in sorted(folder.iterdir()) if path.name not in known]
    for name, files in known.items():
        inside = sorted((folder / name).iterdir()) if (folder / name).is_dir() else []
        found += [path for path in inside if path.name not in files]
    return [str(path) for path in found if not path.name.startswith(".")]


# ------------------------------------------------------------------ one scorer a form of file
def _by_line(predicted: File, gold: File, task: BenchmarkTask, language: str, seqeval: Variant) -> LanguageScore:
    """Accuracy: equal lines."""
    read = submission.choices if task.form == "choices" else submission.labels
    right, guess = read(gold, task, True), read(predicted, task, False)
    if len(right) != len(guess):
        raise DataError(
            f"{predicted.name}: expected {len(right)} lines, as in {gold.path}, found {len(guess)}; write one a row, "
            "in the order of the rows"
        )
    return LanguageScore(scores={"accuracy": 100 * accuracy(guess, right)}, n=len(right))


def _tags(predicted: File, gold: File, task: BenchmarkTask, language: str, seqeval: Variant) -> LanguageScore:
    """Span F1 over all sentences."""
    right, guess = submission.sentences(gold, task, True), submission.sentences(predicted, task, False)
    for number, (wanted, found) in enumerate(zip_longest(right, guess), 1):
        sizes = [0 if sentence is None else len(sentence.tags) for sentence in (wanted, found)]
        if sizes[0] != sizes[1]:
            here = f":{found.line}" if found else ""
            there = f"{gold.path}:{wanted.line}" if wanted else f"{gold.path}, which has no such sentence"
            raise DataError(
                f"{predicted.name}{here}: expected {sizes[0]} tags in sentence {number}, as at {there}, found "
                f"{sizes[1]} ({len(guess)} sentences in all, expected {len(right)}); write every sentence whole, one "
                "tag a word, and one blank line after it"
            )
    value = span_f1([sentence.tags for sentence in right], [sentence.tags for sentence in guess], seqeval)
    return LanguageScore(scores={"f1": 100 * value}, n=len(right))


def _answers(predicted: File, gold: File, task: BenchmarkTask, language: str, seqeval: Variant) -> LanguageScore:
    """Exact match and F1 of answers, by the rules of SQuAD v1.1 or of MLQA."""
    normalize = normalizer_of("mlqa" if task.name == "mlqa" else "squad", language)
    right, guess = submission.questions(gold), submission.answers(predicted)
    answered = {name: golds for name, golds in right.items() if name in guess}
    em = sum(exact_match(guess[name], golds, normalize) for name, golds in answered.items())
    f1 = sum(token_f1(guess[name], golds, normalize) for name, golds in answered.items())
    return LanguageScore(
        scores={"em": 100 * em / len(right), "f1": 100 * f1 / len(right)},
        n=len(right),
        unanswered=len(right) - len(answered),
        unknown=len(guess.keys() - right.keys()),
    )


def _rankings(predicted: File, gold: File, task: BenchmarkTask, language: str, seqeval: Variant) -> LanguageScore:
    """Mean average precision at 20."""
    right, guess = submission.rankings(gold, True), submission.rankings(predicted, False)
    total = sum(average_precision(guess.get(name, ()), targets) for name, targets in right.items())
    return LanguageScore(
        scores={"map20": 100 * total / len(right)},
        n=len(right),
        unanswered=len(right.keys() - guess.keys()),
        unknown=len(guess.keys() - right.keys()),
    )


def _pairs(predicted: File, gold: File, task: BenchmarkTask, language: str, seqeval: Variant) -> LanguageScore:
    """F1 of pairs."""
    right, guess = submission.pairs(gold, True), submission.pairs(predicted, False)
    return LanguageScore(scores={"f1": 100 * pair_f1(guess, right)}, n=len(right))


SCORERS: Mapping[Form, Callable[[File, File, BenchmarkTask, str, Variant], LanguageScore]] = {
    "labels": _by_line,
    "numbers": _by_line,
    "choices": _by_line,
    "tags": _tags,
    "answers": _answers,
    "pairs": _pairs,
    "rankings": _rankings,
}
