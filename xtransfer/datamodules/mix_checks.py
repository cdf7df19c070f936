"""What is settled between the tasks of a mix before any row is read: names, shared heads, and who stands beside."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import inf
from typing import TYPE_CHECKING, Any

from xtransfer.errors import ConfigError, nearest
from xtransfer.kinds import KINDS
from xtransfer.samplers import Sampling

if TYPE_CHECKING:
    from xtransfer.datamodules.base import TaskDataModule


def check_names(names: Sequence[str], settings: Mapping[str, Any]) -> None:
    """Check the names of a mix's tasks, and settings that go by them.

    Raises:
        ConfigError: There is no task, two have one name, a setting names none of them, or is no number above 0.
    """
    if not names:
        raise ConfigError("tasks: name at least one task")
    for name in names:
        if names.count(name) > 1:
            raise ConfigError(f"tasks: two tasks are named '{name}'; to read other rows give one a record of its own")
    for setting, given in settings.items():
        for name, value in given.items() if isinstance(given, dict) else [("all", given)]:
            if isinstance(given, dict) and name not in names:
                raise ConfigError(f"{setting}: no task '{name}' in the mix{nearest(name, names)}")
            if value is not None and not value > 0:
                raise ConfigError(f"{setting}: expected a number above 0 for '{name}', found {value}")


def share_labels(tasks: Sequence[TaskDataModule]) -> None:
    """Give tasks of one head its labels in one order; the names of the labels tell which is which."""
    first: dict[str, TaskDataModule] = {}
    for task in tasks:
        other = first.setdefault(task.record.head or task.record.name, task).record
        for member in (task, *task.evaluate):
            if member.record.kind == other.kind and set(member.record.labels) == set(other.labels):
                member.record = replace(member.record, labels=other.labels)


def check_heads(specs: Sequence[Mapping[str, Any]]) -> None:
    """Check that tasks of one head have one kind and one list of labels.

    Raises:
        ConfigError: Two have not.
    """
    first: dict[str, Mapping[str, Any]] = {}
    for spec in specs:
        other = first.setdefault(spec["head"], spec)
        if (spec["kind"], spec["labels"]) != (other["kind"], other["labels"]):
            raise ConfigError(
                f"tasks '{other['name']}' and '{spec['name']}' cannot share the head '{spec['head']}': expected "
                f"{other['kind']} with labels {other['labels']}, found {spec['kind']} with {spec['labels']}"
            )


def with_auxiliary(sampling: Sampling, tasks: Sequence[TaskDataModule]) -> Sampling:
    """Put auxiliary tasks, such as masked language modelling, beside the others, one step for each of theirs."""
    given = {**(sampling.weights or {}), **(sampling.schedule or {}), **(sampling.beside or {})}
    auxiliary = [task.record.name for task in tasks if KINDS[task.record.kind].auxiliary]
    if len(auxiliary) == len(tasks):
        return sampling
    extra = {name: 1.0 for name in auxiliary if name not in given}
    return replace(sampling, beside={**(sampling.beside or {}), **extra} or None)


def plain(value: Any) -> Any:
    """Return a setting as JSON has it: infinity, which JSON has not, as a text."""
    return str(value) if value == inf else value
