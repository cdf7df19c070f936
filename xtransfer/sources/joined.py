"""Where a task's rows lie, and several data sets read as one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from xtransfer.errors import ConfigError, DataError
from xtransfer.sources.files import choose
from xtransfer.task import PART, SPLITS, WHERE, Row, Source, Task


def locate(record: Task, split: str, language: str, folder: Path | None) -> Source:
    """Return where a task's split is read: data shipped with the package, files below `folder`, or else the hub.

    Raises:
        ConfigError: The task is not on the hub and no folder was given.
        DataError: No file fits, or several do.
    """
    if folder is not None or any(source.embedded for source in record.files):
        return choose(record.files, split, language, folder, record.name)
    if record.hub is None:
        from_where = f", from {record.home}" if record.home else ""
        raise ConfigError(
            f"task '{record.name}' is not on the hub: set data.data_dir to a folder with its files{from_where}"
        )
    return record.hub


@dataclass(frozen=True)
class Joined(Source):
    """The rows of several data sets, one after another, as the rows of one task.

    Each data set is looked for by itself: with a folder in the one beside it that is the data set's own (in the folder
    itself if all data sets share one), else on its own place on the hub. A row's column `PART` names its data set. It
    serves as a task's `hub` and `files` both.

    Args:
        parts: Records of the data sets, of one kind and with equal labels.
        fields: Role -> column of the joined task: what plays that role in a data set is put there.

    Raises:
        ConfigError: The data sets are of different kinds, or lack a role.
    """

    parts: tuple[Task, ...]
    fields: Mapping[str, str | list[str]]

    def __post_init__(self) -> None:
        """Check that the data sets can be one task."""
        first = self.parts[0]
        for part in self.parts:
            if (part.kind, part.labels) != (first.kind, first.labels):
                raise ConfigError(
                    f"'{part.name}' ({part.kind}, labels {list(part.labels)}) cannot be joined to '{first.name}' "
                    f"({first.kind}, labels {list(first.labels)})"
                )
            missing = sorted(self.fields.keys() - part.fields.keys())
            if missing:
                raise ConfigError(f"'{part.name}' cannot be joined: it has no {', '.join(missing)}")

    def rows(self, split: str, language: str, folder: Path | None) -> Iterator[Row]:
        """Yield the rows of all data sets, in their order, each with the place it was read at.

        Raises:
            ConfigError: A data set is not on the hub and no folder was given.
            DataError: A data set is missing, which the message names with what was looked for, or is broken.
        """
        for part, source, inside in self._located(split, language, folder):
            for row in source.rows(split, language, inside):
                roles = {str(column): part.read(row, role) for role, column in self.fields.items()}
                yield roles | {WHERE: row[WHERE], PART: part.name}

    def declares(self, split: str) -> bool:
        """Say whether all data sets have such a split."""
        return all(part.declares(split) for part in self.parts)

    def has(self, split: str, language: str, folder: Path | None) -> bool:
        """Say whether there is such a split; a data set that is missing is told of by `rows` and `origin`."""
        return self.declares(split)

    def origin(self, split: str, language: str, folder: Path | None) -> str:
        """Name what `rows` reads, data set by data set.

        Raises:
            ConfigError: A data set is not on the hub and no folder was given.
            DataError: A data set is missing.
        """
        located = self._located(split, language, folder)
        return "; ".join(source.origin(split, language, inside) for _, source, inside in located)

    @property
    def sizes(self) -> dict[str, int]:
        """The published number of rows of all data sets together, of the splits of which each has one."""
        return {
            split: sum(part.sizes[split] for part in self.parts)
            for split in SPLITS
            if all(split in part.sizes for part in self.parts)
        }

    @property
    def path(self) -> str:
        """Where the data sets lie on the hub, for lists of tasks."""
        return " + ".join(dict.fromkeys(getattr(part.hub, "path", part.name) for part in self.parts))

    def _located(self, split: str, language: str, folder: Path | None) -> list[tuple[Task, Source, Path | None]]:
        found = []
        homes = [part.folder or part.name for part in self.parts]
        for part, home in zip(self.parts, homes, strict=True):
            inside = folder if folder is None or len(set(homes)) == 1 else folder.parent / home
            try:
                found.append((part, locate(part, split, language, inside), inside))
            except (ConfigError, DataError) as error:
                names = ", ".join(each.name for each in self.parts)
                raise type(error)(f"{error}; it is one of the data sets joined here: {names}") from error
        return found
