"""Where a task's rows of one split and language are read: its own, those of the task it is trained on, translations."""

from __future__ import annotations

import logging
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from xtransfer.datamodules.portion import Portion, parse_rows
from xtransfer.errors import ConfigError
from xtransfer.kinds import KINDS
from xtransfer.sources import Hub, locate
from xtransfer.task import POOL, Source, Task

if TYPE_CHECKING:
    from xtransfer.datamodules.base import TaskDataModule

log = logging.getLogger(__name__)


def portion_of(data: TaskDataModule, split: str, language: str) -> Portion:
    """Return what is read for a split in one language.

    Raises:
        ConfigError: The task has no such rows.
        DataError: Their files are not there.
    """
    rows = data.splits.get(split) or _default_rows(data, split, language)
    wanted = parse_rows(rows, data.record.name)[0]
    provider = _provider(data, wanted, language)
    if provider is None:
        raise ConfigError(f"task '{data.record.name}' has no '{wanted}' rows, for '{split}'")
    own, folder = provider is data.record, None
    if data.data_dir is not None:
        folder = Path(data.data_dir) / ((data.folder if own else None) or provider.folder or provider.name)
    source = _translations(data, wanted, language) or (data.source if own else None)
    source = source or locate(provider, wanted, language, folder)
    # Rows of the task trained on play the roles of its record, under this task's name and settings; its labels are
    # numbered as this task's, whose order a mix may have changed.
    same = provider.labels_from_train or set(provider.labels) == set(data.record.labels)
    labels = data.record.labels if same else provider.labels
    task = replace(provider, name=data.record.name, options=data.record.options, labels=labels)
    shots = data.shots if split == "train" else None
    return Portion(task, split, language, source, folder, rows, data.limit, shots=shots, seed=data.run_seed)


def developed_in(data: TaskDataModule) -> list[str]:
    """Return the languages of a task's development scores: those it is trained in, as far as they have such rows."""
    spoken = {*data.original.languages, *data.original.train_languages}
    return [code for code in data.record.train_languages if code in spoken] or data.languages


def tested_in(data: TaskDataModule) -> list[str]:
    """Return the languages of a task's test scores: all it has; of an auxiliary task, those it is trained in.

    Where its rows are read from the hub, languages that the copy there lacks are left out, which is logged.
    """
    spoken = list(data.record.train_languages if KINDS[data.record.kind].auxiliary else data.record.languages)
    hub = data.source or (data.record.hub if data.data_dir is None else None)
    if not isinstance(hub, Hub) or not (there := [language for language in spoken if hub.holds(language)]):
        return spoken
    if lacking := tuple(language for language in spoken if language not in there):
        _tell(data.record.name, hub.path, lacking)
    return there


@cache
def _tell(task: str, path: str, lacking: tuple[str, ...]) -> None:
    """Say, once, which languages are left out."""
    log.warning(
        "%s is not tested in %s: %s on the hub has no such rows; the data set's own files (data.data_dir) do",
        *(task, ", ".join(lacking), path),
    )


def has(data: TaskDataModule, split: str, language: str) -> bool:
    """Say whether a task has rows for a split at all, without looking for files."""
    rows = data.splits.get(split, split)
    return _provider(data, parse_rows(rows, data.record.name)[0], language) is not None


def test_portions(data: TaskDataModule) -> list[Portion]:
    """Return the pool that all languages share, if there is one, and each language's rows."""
    pool = [data.portion(POOL, language) for language in data.record.pool]
    return pool + [data.portion("test", language) for language in data.languages]


def _default_rows(data: TaskDataModule, split: str, language: str) -> str:
    """Return the split of that name; tasks without (labelled) test rows are tested on their development rows."""
    return "validation" if split == "test" and _provider(data, split, language) is None else split


def _provider(data: TaskDataModule, wanted: str, language: str) -> Task | None:
    """Return the record whose rows serve as a split: this task's, or that of the task it is trained on.

    Training rows are those of the other task, in other languages this one's own translations of them; development rows
    are the other task's too where this one has none in that language.
    """
    own = data.record if (data.source or data.record).declares(wanted) else None
    other = data.trains_on.task if data.trains_on else None
    if other is None or wanted in ("test", POOL):
        return data.record if _translations(data, wanted, language) else own
    if wanted == "train":
        return other if language in other.train_languages or _translations(data, wanted, language) else own
    return own if wanted == "validation" and own is not None and language in data.record.languages else other


def _translations(data: TaskDataModule, wanted: str, language: str) -> Source | None:
    """Return where training rows in a language lie that is not the one the task was made in."""
    base = data.trains_on.task if data.trains_on else data.original
    return data.translations if wanted == "train" and language not in base.train_languages else None
