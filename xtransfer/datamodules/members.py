"""What a task's DataModule settles with further data sets, and with its rows, before any of them is read."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING

from xtransfer.errors import ConfigError, DataError

if TYPE_CHECKING:
    from xtransfer.datamodules.base import TaskDataModule

log = logging.getLogger(__name__)
INHERITED = (
    "data_dir",
    "tokenizer",
    "batch_size",
    "max_length",
    "eval_batch_size",
    "eval_tokens",
    "limit",
    "cache_dir",
    "num_workers",
    "seed",
)
"""Settings a further data set has from the task it is scored with, unless it has its own."""


def adopt(parent: TaskDataModule, member: TaskDataModule) -> None:
    """Give a further data set the settings it did not set itself; check that the head fits it.

    Raises:
        ConfigError: It is of another kind or has other labels.
    """
    inherit(parent, member)
    mine, other = parent.record, member.record
    if (mine.kind, mine.labels, mine.labels_from_train) != (other.kind, other.labels, other.labels_from_train):
        raise ConfigError(
            f"task '{other.name}' ({other.kind}, labels {list(other.labels)}) cannot be scored with the head of "
            f"'{mine.name}' ({mine.kind}, labels {list(mine.labels)})"
        )


def inherit(parent: TaskDataModule, member: TaskDataModule) -> None:
    """Give a data set the settings it did not set itself, and the data sets it is evaluated on too."""
    for name in INHERITED:
        if getattr(member, name) is None:
            setattr(member, name, getattr(parent, name))
    for further in member.evaluate:
        inherit(member, further)


def present(member: TaskDataModule) -> bool:
    """Say whether a data set's test rows are there; where they are not, log that it is left out, and why."""
    try:
        for language in member.languages:
            member.portion("test", language).origin()
    except (ConfigError, DataError) as error:
        log.warning("%s is left out, its rows are not there: %s", member.record.name, error)
        return False
    return True


def check_languages(data: TaskDataModule) -> None:
    """Name all languages whose files are missing at once, with those that are there.

    Raises:
        DataError: The files of some languages are missing, of others not.
    """
    missing: dict[str, DataError] = {}
    for language in data.languages:
        try:
            data.portion("test", language)
        except DataError as error:
            missing[language] = error
    there = [language for language in data.languages if language not in missing]
    if missing and there:
        raise DataError(
            f"task '{data.record.name}': no files for {', '.join(missing)} ({next(iter(missing.values()))}); "
            f"to test in the others only, set its languages: [{', '.join(there)}]"
        )


def name_labels(data: TaskDataModule) -> None:
    """Take a task's labels from its training rows, once, where it has them from there.

    Raises:
        ConfigError: The training rows are nowhere to be looked for.
        DataError: They are missing or broken, or have no labels.
    """
    if data.record.labels_from_train and not data.record.labels:
        labels = _labels_of_training(data)
        for member in data.members:
            member.record = replace(member.record, labels=labels)


def _labels_of_training(data: TaskDataModule) -> tuple[str, ...]:
    """Return the labels of a task's training rows, sorted."""
    task = data.record
    try:
        portions = [data.portion("train", language) for language in task.train_languages]
    except (ConfigError, DataError) as error:
        why = "its labels are those of its training rows, which are needed for scoring too"
        raise type(error)(f"task '{task.name}': {why}: {error}") from error
    labels = sorted(set().union(*(portion.labels() for portion in portions)))
    if not labels:
        raise DataError(f"task '{task.name}': expected labels in its training rows, found none")
    return tuple(labels)
