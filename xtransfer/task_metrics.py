"""The metrics of a module's tasks: one a split, task and language, filled and scored together."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer
from torch import nn

from xtransfer.errors import ConfigError, DataError
from xtransfer.hardware import native_bf16
from xtransfer.kinds import KINDS, Retrieval
from xtransfer.metrics import Piece, RetrievalScores, RowMetric, TaskMetric
from xtransfer.once import Once

ALL = "all"
"""In the name of a metric: it takes all languages of its task."""

BF16 = "bf16"
"""Rows are scored in bfloat16, by autocast."""

MEAN = "val/mean"
"""The score by which models of several tasks are chosen: the mean of the tasks' main development scores."""

COUNTS = ("n", "unlabelled")
"""What a metric tells besides scores."""


class TaskMetrics(nn.ModuleDict):
    """One metric for each split (``val`` or ``test``), task and language; retrieval has one for all languages.

    Args:
        tasks: Plain records of the tasks.
    """

    def __init__(self, tasks: Sequence[Mapping[str, Any]]) -> None:
        super().__init__()
        self.once = Once()
        for spec in tasks:
            kind = KINDS[spec["kind"]]
            joint = isinstance(kind, Retrieval)  # one metric takes the vectors of all languages
            for split, languages in (("val", spec["dev_languages"]), ("test", spec["languages"])):
                for language in [ALL] * bool(languages) if joint else languages:
                    self[f"{split}/{spec['name']}/{language}"] = kind.metric(spec, language)

    def of(self, split: str, task: str, language: str) -> TaskMetric:
        """Return what scores a task in a language: ``split`` is ``val`` or ``test``."""
        name = f"{split}/{task}/{language}"
        metric = self[name if name in self else f"{split}/{task}/{ALL}"]
        assert isinstance(metric, RowMetric | RetrievalScores)
        return metric

    def add(self, split: str, task: str, language: str, pieces: list[Piece], golds: list[Any]) -> None:
        """Take in what was predicted and what is right."""
        metric = self.of(split, task, language)
        if isinstance(metric, RetrievalScores):
            metric.update(pieces, golds, language)
        else:
            metric.update(pieces, golds)

    def forget(self, split: str) -> None:
        """Forget what a split's metrics have taken in, and all vectors."""
        self.once.forget()
        for _, metric in self._all(split):
            metric.reset()

    def scores(self, split: str) -> dict[str, dict[str, float]]:
        """Return the scores of every language with gold labels, by ``split/task/language``; all processes must call it.

        Raises:
            DataError: A score is not a number, or infinite: no model may be chosen by it.
        """
        found: dict[str, dict[str, float]] = {}
        self.once.forget()
        for name, metric in self._all(split):
            prefix, language = name.rsplit("/", 1)
            computed = metric.compute()
            for code, scores in (computed if language == ALL else {language: computed}).items():
                if scores["n"]:
                    found[f"{prefix}/{code}"] = {score: float(value) for score, value in scores.items()}
        for name, scores in found.items():
            for score, value in scores.items():
                if not math.isfinite(value):
                    raise DataError(f"{name}: the score '{score}' is {value}; look at the loss and the learning rate")
        return found

    def hand_over_thresholds(self) -> None:
        """Test pairs by the thresholds that were best on the development rows."""
        for name, metric in self._all("val"):
            if isinstance(metric, RetrievalScores):
                test = self[f"test/{name.removeprefix('val/')}"]
                assert isinstance(test, RetrievalScores)
                test.chosen = {language: threshold for language, (threshold, _) in metric.thresholds.items()}

    def search(self) -> None:
        """Search the neighbours of all queries that were taken in."""
        self.once.forget()
        for metric in self.values():
            if isinstance(metric, RetrievalScores) and metric.items:
                metric.compute()

    def _all(self, split: str) -> Iterator[tuple[str, Any]]:
        return ((name, metric) for name, metric in self.items() if name.startswith(f"{split}/"))


def means(scores: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    """Return each score by ``split/task/score/language``, and its mean over languages as language ``mean``."""
    told: dict[str, float] = {}
    by_score: dict[str, list[float]] = {}
    for name, values in scores.items():
        prefix, language = name.rsplit("/", 1)
        for score, value in values.items():
            if score not in COUNTS:
                told[f"{prefix}/{score}/{language}"] = value
                by_score.setdefault(f"{prefix}/{score}/mean", []).append(value)
    return told | {name: sum(values) / len(values) for name, values in by_score.items()}


def judged(tasks: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """Return task -> the score by which models are chosen, its main score in its first development language."""
    found = {spec["name"]: spec for spec in tasks if spec["dev_languages"]}
    proper = {name: spec for name, spec in found.items() if not KINDS[spec["kind"]].auxiliary}
    return {
        name: f"val/{name}/{KINDS[spec['kind']].main_score(spec)}/{spec['dev_languages'][0]}"
        for name, spec in (proper or found).items()
    }


def monitor(tasks: Iterable[Mapping[str, Any]]) -> str:
    """Return the name of the score by which models are chosen: a task's main score, or the mean of several tasks'.

    Raises:
        ConfigError: No task has a development language.
    """
    tasks = list(tasks)
    scores = judged(tasks)
    if not scores:
        raise ConfigError(f"{', '.join(spec['name'] for spec in tasks)}: no development rows to choose a model by")
    return MEAN if len(scores) > 1 else next(iter(scores.values()))


def precision(module: LightningModule, chosen: bool | None = None) -> AbstractContextManager[Any]:
    """Return the context in which rows are scored; see `scored_in`.

    Where nothing is lowered the trainer's own precision holds: autocast that is switched off would undo it.
    """
    lower = scored_in(module.trainer, chosen) == BF16
    return torch.autocast(module.device.type, torch.bfloat16) if lower else nullcontext()


def scored_in(trainer: Trainer, chosen: bool | None = None) -> str:
    """Return the precision in which rows are scored: `BF16`, or that of the trainer.

    Args:
        trainer: The trainer; only single precision is lowered.
        chosen: Whether it is lowered; None leaves it to the device.
    """
    given = str(trainer.precision)
    lower = native_bf16(trainer.strategy.root_device) if chosen is None else chosen
    return BF16 if lower and given == "32-true" else given
