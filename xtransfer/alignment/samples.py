"""Samples of tasks: rows drawn by a seed, and their texts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import xtransfer.datamodules as datamodules
from xtransfer.alignment.arrays import Texts
from xtransfer.datamodules import TaskDataModule
from xtransfer.errors import ConfigError, DataError, nearest
from xtransfer.kinds import KINDS, Example, Layout
from xtransfer.samplers.order import permutation
from xtransfer.task import Task

ROLES: Mapping[str, Sequence[str]] = {
    "classification": ("text", "pair"),
    "span": ("question", "context"),
    "tagging": ("tokens",),
    "multiple_choice": ("text", "choices"),
    "retrieval": ("text",),
    "mlm": ("text",),
}
"""Kind -> roles that hold what a model reads; of pairs to be retrieved see `sides`."""


@dataclass(frozen=True)
class Sample:
    """Rows of a task in one language.

    Attributes:
        task: The task's record.
        split: What the rows serve as.
        language: Their language.
        examples: The rows drawn, in their order.
        there: How many rows there were to draw from.
        origin: Where they come from, and by which seed they were drawn.
    """

    task: Task
    split: str
    language: str
    examples: Sequence[Example]
    there: int
    origin: str

    def texts(self, layout: Layout) -> Texts:
        """Return the distinct texts of the rows, and their subwords."""
        found = dict.fromkeys(text for example in self.examples for text in texts_of(example, self.task))
        return Texts(list(found), layout.ids(list(found)))


def task_data(name: str | TaskDataModule, options: Mapping[str, Any]) -> TaskDataModule:
    """Return the DataModule of a task by its class's name or its own, e.g. ``MNLI`` or ``mnli``.

    Args:
        name: The name, or a DataModule, which is taken as it is.
        options: Arguments of the DataModule.

    Raises:
        ConfigError: There is no such task.
    """
    if isinstance(name, TaskDataModule):
        return name
    classes = [getattr(datamodules, own) for own in datamodules.__all__]
    known = {key: cls for cls in classes if hasattr(cls, "task") for key in (cls.task.name, cls.__name__)}
    if name not in known:
        raise ConfigError(f"no task '{name}'{nearest(name, known)}")
    found: TaskDataModule = known[name](**options)
    return found


def draw(data: TaskDataModule, split: str, language: str, limit: int | None, seed: int) -> Sample:
    """Draw rows of a task.

    All rows are read, and some drawn: the first ones of a file are often of one article or genre.

    Args:
        data: The task.
        split: ``train``, ``validation`` or ``test``.
        language: Two-letter code.
        limit: How many; all if there are fewer, or without a limit.
        seed: By which they are drawn.

    Raises:
        ConfigError: The task has no such rows.
        DataError: A row or file is broken.
    """
    data.specs()  # names the labels of a task that has them from its training rows
    portion = data.portion(split, language)
    read = [row for row in portion.examples() if row.get("side") != "candidate"]
    if not read:
        raise DataError(f"{portion.name}: no row to measure in {portion.origin()}")
    order = sorted(permutation(len(read), seed, portion.task.name, split).tolist()[:limit])
    rows = [{**read[place], "index": number} for number, place in enumerate(order)]
    return Sample(portion.task, split, language, rows, len(read), f"{portion.origin()} seed {seed}")


def texts_of(example: Example, task: Task) -> list[str]:
    """Return the texts of a row, as a model reads them, in the language of the row."""
    if "candidate" in example:
        return [example[sides(task)[0]]]
    found: list[str] = []
    for role in ROLES[task.kind]:
        value = example.get(role)
        if role == "tokens":
            found.append(" ".join(example["tokens"]))
        elif isinstance(value, list):
            found += value
        elif value is not None:
            found.append(value)
    return found


def sides(task: Task) -> tuple[str, str]:
    """Return which role of a pair to be retrieved is in the row's language, and the other, which is in English."""
    own = KINDS[task.kind].settings(task.options)["own_side"]
    return (own, "text") if own == "candidate" else (own, "candidate")
