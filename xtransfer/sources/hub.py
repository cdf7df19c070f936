"""Data sets on the Hugging Face hub, or a local folder of the hub's layout."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import KW_ONLY, dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xtransfer.errors import DataError, UnavailableError
from xtransfer.sources.rows import CHANGED, flattened, found, in_order, renamed, speaks
from xtransfer.task import SPLITS, WHERE, Row, Source

if TYPE_CHECKING:
    from datasets import Dataset

log = logging.getLogger(__name__)

BATCH = 1000
"""Rows read at a time."""


@dataclass(frozen=True)
class Hub(Source):
    """A data set of the hub, without loading scripts.

    Class numbers are turned into names by the data set's own features, so that their order does not matter.

    Args:
        path: Id on the hub (``owner/name``), or a local folder laid out like one.
        config: Configuration; may hold ``{language}``.
        splits: Split -> its name there; default: the same names.
        revision: Commit; default: the newest, which is looked up once and remembered.
        codes: The library's language code -> the data set's.
        language_column: Read only rows whose value here, up to the first hyphen, is the language's code.
        languages: Languages it holds; default: any.
        rename: The data set's column -> the library's.
        optional: Columns (the library's names) that are None where they are missing.
        sort_by: Column (the library's name) by whose stripped text the rows are sorted; adds the column `line`, the
            number a row had before. All text columns are stripped.
        elsewhere: Language -> where its rows are found instead.
    """

    path: str
    config: str | None = None
    _: KW_ONLY
    splits: Mapping[str, str] = field(default_factory=lambda: {split: split for split in SPLITS})
    revision: str | None = None
    codes: Mapping[str, str] = field(default_factory=dict)
    language_column: str | None = None
    languages: tuple[str, ...] = ()
    rename: Mapping[str, str] = field(default_factory=dict)
    optional: tuple[str, ...] = ()
    sort_by: str | None = None
    elsewhere: Mapping[str, Hub] = field(default_factory=dict)

    def rows(self, split: str, language: str, folder: Path | None) -> Iterator[Row]:
        """Yield the rows of one split in one language, in the order of the hub.

        Raises:
            DataError: The data set cannot be loaded, lacks a column, or does not hold the language.
        """
        if language in self.elsewhere:
            yield from self.elsewhere[language].rows(split, language, folder)
            return
        rows = self._rows(split, language)
        if self.sort_by is not None:
            stripped = ({k: v.strip() if isinstance(v, str) else v for k, v in row.items()} for row in rows)
            rows = iter(in_order(stripped, self.sort_by))
        empty = True
        for row in rows:
            empty = False
            yield row
        if empty:
            raise DataError(f"{self._name(split, language)}: expected rows of '{language}', found none")

    def declares(self, split: str) -> bool:
        """Say whether there is such a split."""
        return split in self.splits

    def has(self, split: str, language: str, folder: Path | None) -> bool:
        """Say whether it should hold that split in that language, without asking the hub."""
        if language in self.elsewhere:
            return self.elsewhere[language].has(split, language, folder)
        return split in self.splits and self.holds(language)

    def holds(self, language: str) -> bool:
        """Say whether it should hold a language, without asking the hub."""
        if language in self.elsewhere:
            return self.elsewhere[language].holds(language)
        return not self.languages or language in self.languages

    def origin(self, split: str, language: str, folder: Path | None) -> str:
        """Return id, configuration, split and commit; for a local folder, the digest of its files.

        Raises:
            DataError: The data set cannot be loaded, or does not hold the language.
        """
        if language in self.elsewhere:
            return self.elsewhere[language].origin(split, language, folder)
        self._check(language)
        name = f"{self.path} {self._config(language) or 'default'} {self.splits.get(split, split)}"
        if Path(self.path).is_dir():
            return f"{name} sha256:{_folder_digest(Path(self.path))}"
        revision = self._revision()
        if revision is None:
            # Offline: the cache is keyed by the commit, which is the last folder of its path.
            files = self._load(split, language).cache_files
            revision = f"cache:{Path(files[0]['filename']).parent.name}" if files else "unknown"
        return f"{name} @{revision}"

    def _check(self, language: str) -> None:
        if not self.holds(language):
            raise UnavailableError(f"{self.path} has no '{language}', only {', '.join(sorted(self.languages))}")

    def _rows(self, split: str, language: str) -> Iterator[Row]:
        self._check(language)
        name = self._name(split, language)
        data = self._load(split, language)
        convert = {column: _reader(feature) for column, feature in data.features.items()}
        number = 0
        for batch in data.iter(batch_size=BATCH):
            for values in zip(*batch.values(), strict=True):
                row: Row = {column: convert[column](value) for column, value in zip(batch, values, strict=True)}
                row[WHERE] = f"{name} row {number}"
                number += 1
                if self.language_column is None or speaks(row, self.language_column, self._code(language)):
                    yield renamed(row, self.rename, self.optional)

    def _load(self, split: str, language: str) -> Dataset:
        import datasets

        if split not in self.splits:
            raise DataError(f"{self.path}: no {split} split; there is: {', '.join(self.splits)}")
        revision = self._revision()
        try:
            data = datasets.load_dataset(
                self.path, self._config(language), split=self.splits[split], revision=revision, streaming=False
            )
        except Exception as error:
            # Its errors come from a dozen libraries; all mean the same to the user.
            raise UnavailableError(_cannot_load(self._name(split, language), error)) from error
        assert isinstance(data, datasets.Dataset)
        expected = {native.split(".")[0] for native, ours in self.rename.items() if ours not in self.optional}
        expected |= {self.language_column} if self.language_column else set()
        if missing := sorted(expected - set(data.column_names)):
            there = found(dict.fromkeys(data.column_names))
            raise DataError(
                f"{self._name(split, language)}: expected columns {', '.join(missing)}, found {there}; {CHANGED}"
            )
        return data

    def _revision(self) -> str | None:
        if self.revision is not None or Path(self.path).is_dir():
            return self.revision
        return newest_commit(self.path)

    def _code(self, language: str) -> str:
        return self.codes.get(language, language)

    def _config(self, language: str) -> str | None:
        return None if self.config is None else self.config.replace("{language}", self._code(language))

    def _name(self, split: str, language: str) -> str:
        config, wanted = self._config(language), self.splits.get(split, split)
        at = f" @{(self._revision() or 'newest')[:7]}" if not Path(self.path).is_dir() else ""
        return f"{self.path}{f' [{config}]' if config else ''} {wanted}{at}"


@cache
def newest_commit(path: str) -> str | None:
    """Ask the hub for the newest commit of a data set; None if it does not answer.

    The answer is remembered as long as the process lives, so that all its splits are read at one commit.
    """
    from huggingface_hub import HfApi

    try:
        return HfApi().dataset_info(path).sha
    except Exception as error:
        # No network, or no such id: what lies in the cache may still serve, and if not, loading says so.
        log.info("%s: its newest commit cannot be asked for (%s)", path, error)
        return None


def _cannot_load(name: str, error: Exception) -> str:
    reason = str(error).strip().split("\n")[0][:300]
    return (
        f"{name} cannot be loaded from the hub ({type(error).__name__}: {reason}). Either the hub cannot be reached "
        f"from here (no network, or HF_HUB_OFFLINE is set and the data are not in the cache), or the data set is no "
        f"longer there under this id. Load it once on a machine with network and take the cache (HF_HOME) along, or "
        f"download the data set's own files from its authors"
    )


def _reader(feature: object) -> Callable[[Any], Any]:
    """Return what turns a column's values into plain ones: class numbers into names, lists of objects turned round."""
    import datasets

    if isinstance(feature, datasets.ClassLabel):
        names = feature.names
        return lambda value: None if value is None or value < 0 else names[value]
    if isinstance(feature, (datasets.List, datasets.LargeList)):
        inner = _reader(feature.feature)
        return lambda value: None if value is None else flattened([inner(item) for item in value])
    if isinstance(feature, dict):
        readers = {key: _reader(inner) for key, inner in feature.items()}
        return lambda value: None if value is None else {key: read(value[key]) for key, read in readers.items()}
    return lambda value: value


def _folder_digest(folder: Path) -> str:
    digest = hashlib.sha256()
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        digest.update(f"{file.relative_to(folder).as_posix()} ".encode() + hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()
