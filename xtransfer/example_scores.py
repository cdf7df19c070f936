"""What each example adds to an official score, read from files of predictions and labels."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from pathlib import Path

from xtransfer import submission
from xtransfer.benchmarks import XTREME, XTREME_R, BenchmarkTask, Form
from xtransfer.evaluator import SCORERS
from xtransfer.metrics import average_precision, exact_match, normalizer_of, token_f1
from xtransfer.metrics.tagging import spans
from xtransfer.sources import File

TASKS: Mapping[str, BenchmarkTask] = {task.name: task for task in (*XTREME.tasks, *XTREME_R.tasks)}
"""Tasks of which there are official files; of those in both benchmarks XTREME-R's languages."""

UNITS: Mapping[Form, str] = {"answers": "questions", "rankings": "queries", "tags": "sentences", "pairs": "sentences"}
"""What an example is; a line in all other forms."""

Counts = dict[Hashable, tuple[float, float]]
"""Example -> what it adds to the numerator and to the denominator of the score."""


def example_counts(task: BenchmarkTask, language: str, predictions: Path, labels: Path, metric: str) -> Counts:
    """Return what each example of a language adds to a score: sum of numerators / sum of denominators is the score.

    Accuracy, exact match, a question's F1 and average precision are means over examples; for span F1 a sentence adds
    2 · right spans to the numerator and predicted + gold spans to the denominator, and so do the pairs of a foreign
    sentence in BUCC (sentences that are in no pair add nothing, and are not there).

    Args:
        task: The task.
        language: The language.
        predictions: Folder of predictions.
        labels: Folder of labels.
        metric: The score, one of the task's.

    Raises:
        FileNotFoundError: A file is not there; says which.
        NoGold: The labels are no gold labels.
        DataError: A file is broken, or predictions and labels do not fit together.
    """
    predicted, gold = (_file(task, language, folder) for folder in (predictions, labels))
    for what, folder, file in (("predictions", predictions, predicted), ("labels", labels, gold)):
        if not file.path.is_file():
            raise FileNotFoundError(f"no {what} in {folder}")
    official = SCORERS[task.form](predicted, gold, task, language, "0.0.12")  # checks that they fit together
    counts = READERS[task.form](predicted, gold, task, language, metric)
    above, below = (sum(column) for column in zip(*counts.values(), strict=True))
    assert abs(100 * above / (below or 1) - official.scores[metric]) < 1e-6, "examples add up to the official score"
    return counts


def unanswered(task: BenchmarkTask, language: str, predictions: Path, labels: Path) -> int:
    """Return how many questions or queries have no prediction; they count 0. Other forms have one for each example."""
    predicted, gold = (_file(task, language, folder) for folder in (predictions, labels))
    if task.form == "answers":
        return len(submission.questions(gold).keys() - submission.answers(predicted).keys())
    if task.form == "rankings":
        return len(submission.rankings(gold, True).keys() - submission.rankings(predicted, False).keys())
    return 0


def _file(task: BenchmarkTask, language: str, folder: Path) -> File:
    path = folder / task.name / f"test-{language}.{task.suffix}"
    return File(path, f"{task.name} ({language}) {path}")


def _lines(predicted: File, gold: File, task: BenchmarkTask, language: str, metric: str) -> Counts:
    read = submission.choices if task.form == "choices" else submission.labels
    pairs = zip(read(predicted, task, False), read(gold, task, True), strict=True)
    return {number: (float(guess == right), 1.0) for number, (guess, right) in enumerate(pairs)}


def _tags(predicted: File, gold: File, task: BenchmarkTask, language: str, metric: str) -> Counts:
    counts: Counts = {}
    pairs = zip(submission.sentences(predicted, task, False), submission.sentences(gold, task, True), strict=True)
    for number, sentences in enumerate(pairs):
        guess, right = (set(spans(sentence.tags)) for sentence in sentences)
        counts[number] = (2.0 * len(guess & right), float(len(guess) + len(right)))
    return counts


def _answers(predicted: File, gold: File, task: BenchmarkTask, language: str, metric: str) -> Counts:
    score = {"em": exact_match, "f1": token_f1}[metric]
    normalize = normalizer_of("mlqa" if task.name == "mlqa" else "squad", language)
    found, right = submission.answers(predicted), submission.questions(gold)
    return {
        name: (score(found[name], golds, normalize) if name in found else 0.0, 1.0) for name, golds in right.items()
    }


def _rankings(predicted: File, gold: File, task: BenchmarkTask, language: str, metric: str) -> Counts:
    found = submission.rankings(predicted, False)
    right = submission.rankings(gold, True)
    return {name: (average_precision(found.get(name, ()), targets), 1.0) for name, targets in right.items()}


def _pairs(predicted: File, gold: File, task: BenchmarkTask, language: str, metric: str) -> Counts:
    found, right = submission.pairs(predicted, False), submission.pairs(gold, True)
    counts: Counts = {}
    for pair in [*found, *right]:  # a right pair is met twice
        both, total = counts.get(pair[0], (0.0, 0.0))
        counts[pair[0]] = (both + (pair in found and pair in right), total + 1.0)
    return counts


READERS: Mapping[Form, Callable[[File, File, BenchmarkTask, str, str], Counts]] = {
    "labels": _lines,
    "numbers": _lines,
    "choices": _lines,
    "tags": _tags,
    "answers": _answers,
    "pairs": _pairs,
    "rankings": _rankings,
}
