"""Files in a data set's own format: found by their native names, plain or gzip, and read line by line."""

from __future__ import annotations

import gzip
import importlib.resources
import os
import zlib
from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path

from xtransfer.disk import known_digest
from xtransfer.errors import ConfigError, DataError, nearest
from xtransfer.sources.rows import renamed, speaks
from xtransfer.task import POOL, SPLITS, Row, Source

DEPTH = 4
"""How many folders deep below a task's folder its files are looked for."""

SHOWN = 20
"""How many of the names that are there a message lists."""


@dataclass(frozen=True)
class File:
    """A file that was found.

    Args:
        path: Where it is.
        name: What messages call it: its path from the task's folder on.
    """

    path: Path
    name: str

    def lines(self) -> Iterator[tuple[int, str]]:
        r"""Yield number (from 1) and text of each line, without its end.

        Only a line feed (and a carriage return before it) ends a line: texts do hold other characters that Unicode
        calls line ends.

        Raises:
            DataError: The file is empty, is not UTF-8, or is a gzip file cut short.
        """
        number = offset = 0
        for number, raw in enumerate(self._raw(), start=1):
            try:
                text = raw.decode("utf-8")
            except UnicodeDecodeError as error:
                raise DataError(
                    f"{self.name}:{number}: expected UTF-8, found the byte 0x{raw[error.start]:02x} at offset "
                    f"{offset + error.start}; convert the file, e.g. with iconv -f latin1 -t utf8"
                ) from None
            offset += len(raw)
            yield number, text.removeprefix("\ufeff" if number == 1 else "").removesuffix("\n").removesuffix("\r")
        if not number:
            raise DataError(f"{self.name}: the file is empty; fetch it again")

    def beside(self, name: str) -> File | None:
        """Return the file of that name, or of that name and ``.gz``, in the same folder; None if there is none.

        Raises:
            DataError: Both are there.
        """
        there = [path for each in (name, f"{name}.gz") if (path := self.path.with_name(each)).is_file()]
        if len(there) > 1:
            raise DataError(f"{self.name}: expected '{name}' beside it once, found both it and its .gz")
        return File(there[0], self.name.rpartition("/")[0] + "/" + there[0].name) if there else None

    def digest(self) -> str:
        """Return the SHA-256 of the file as it lies there."""
        return known_digest(self.path)

    def _raw(self) -> Iterator[bytes]:
        with self.path.open("rb") as stream:
            packed = stream.read(2) == b"\x1f\x8b"
            stream.seek(0)
            try:
                yield from gzip.GzipFile(fileobj=stream) if packed else stream
            except (EOFError, zlib.error, gzip.BadGzipFile) as error:
                what = "the gzip file is cut short or damaged"
                raise DataError(f"{self.name}: {what} ({error}); fetch it again") from None


@dataclass(frozen=True, kw_only=True)
class FileSource(Source):
    """Files that lie below a task's folder under the names their authors gave them.

    Args:
        paths: Split -> file name; may hold ``{language}``, ``*`` and folders (``{language}/dev``), or be several such
            names with ``|`` between them. A ``.gz`` after it is found too.
        rename: The data set's column -> the library's.
        codes: The library's language code -> the data set's.
        language_column: Read only rows whose value here, up to the first hyphen, is the language's code.
        optional: Columns (the library's names) that are None where a file lacks them.
        many: Several files may match; they are joined, sorted by name.
        package: Read from a folder of an installed package (``xtransfer/demo``) in place of the task's folder.
        unless: Split -> file name; where it lies there, this source steps aside: it is the same data, less complete.
    """

    paths: Mapping[str, str]
    rename: Mapping[str, str] = field(default_factory=dict)
    codes: Mapping[str, str] = field(default_factory=dict)
    language_column: str | None = None
    optional: tuple[str, ...] = ()
    many: bool = False
    package: str | None = None
    unless: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check the names of splits."""
        for name in (*self.paths, *self.unless):
            if name not in (*SPLITS, POOL):
                raise ConfigError(f"paths: unknown split '{name}'{nearest(name, SPLITS)}")

    @abstractmethod
    def parse(self, file: File, language: str) -> Iterator[Row]:
        """Yield the rows of one file, each with its `WHERE`; columns still have their native names."""

    def parts(self, file: File, language: str) -> list[File]:
        """Return all files that are read together with this one."""
        return [file]

    def rows(self, split: str, language: str, folder: Path | None) -> Iterator[Row]:
        """Yield the rows of one split in one language, in the order of the files.

        Raises:
            DataError: No file, or more than one, could be meant; or a file is broken. The message names it.
        """
        files, read, kept = self.files(split, language, folder), 0, 0
        for file in files:
            for row in self.parse(file, language):
                read += 1
                if self.language_column is None or speaks(row, self.language_column, self.code(language)):
                    kept += 1
                    yield renamed(row, self.rename, self.optional)
        if not kept:
            which = f" of language '{self.code(language)}' in column '{self.language_column}'" if read else ""
            raise DataError(f"{', '.join(file.name for file in files)}: expected rows, found none{which}")

    @property
    def embedded(self) -> bool:
        """Whether the files are shipped with an installed package."""
        return self.package is not None

    def declares(self, split: str) -> bool:
        """Say whether there is a file name for that split."""
        return split in self.paths

    def has(self, split: str, language: str, folder: Path | None) -> bool:
        """Say whether a file of the right name is there."""
        return bool(self.candidates(split, language, folder))

    def origin(self, split: str, language: str, folder: Path | None) -> str:
        """Return name and SHA-256 of every file read.

        Raises:
            DataError: No file, or more than one, could be meant.
        """
        files = [part for file in self.files(split, language, folder) for part in self.parts(file, language)]
        return ", ".join(f"{file.name} sha256:{file.digest()}" for file in files)

    def code(self, language: str) -> str:
        """Return the data set's own code of a language."""
        return self.codes.get(language, language)

    def wanted(self, split: str, language: str) -> str | None:
        """Return the file name looked for, or None if there is no such split."""
        pattern = self.paths.get(split)
        return None if pattern is None else pattern.replace("{language}", self.code(language))

    def candidates(self, split: str, language: str, folder: Path | None) -> list[File]:
        """Return all files that could be meant, sorted by name."""
        pattern, root = self.wanted(split, language), self.root(folder)
        if pattern is None or root is None:
            return []
        there = _files_below(root)
        rival = self.unless.get(split)
        if rival is not None and any(_matches(file, root, rival) for file in there):
            return []
        hits = sorted((file for file in there if _matches(file, root, pattern)), key=lambda file: (file.name, file))
        return [File(file, (Path(root.name) / file.relative_to(root)).as_posix()) for file in hits]

    def files(self, split: str, language: str, folder: Path | None) -> list[File]:
        """Return the files to read.

        Raises:
            DataError: None could be meant, or more than one.
        """
        found = self.candidates(split, language, folder)
        if not found:
            raise DataError(_nothing([self], split, language, folder, folder.name if folder else "files"))
        keys = [file.path.name.removesuffix(".gz") if self.many else "" for file in found]
        double = [file.name for file, key in zip(found, keys, strict=True) if keys.count(key) > 1]
        if double:
            wanted = _quoted(self.wanted(split, language)) + (", each name once" if self.many else ", one file")
            raise DataError(
                f"split '{split}' in '{language}': expected {wanted}, found {', '.join(double)}; point `folder` at the "
                f"folder of one of them"
            )
        return found

    def root(self, folder: Path | None) -> Path | None:
        """Return the folder to look in."""
        if self.package is None:
            return folder
        package, _, inside = self.package.partition("/")
        return Path(str(importlib.resources.files(package))) / inside


def choose(files: Sequence[Source], split: str, language: str, folder: Path | None, task_name: str) -> Source:
    """Return the one source, of a task's several formats, whose files are there.

    Raises:
        DataError: There are none, or files of two formats.
    """
    fitting = [source for source in files if source.has(split, language, folder)]
    if len(fitting) == 1:
        return fitting[0]
    if not fitting:
        raise DataError(_nothing(files, split, language, folder, task_name))
    names = [
        ", ".join(file.name for file in source.candidates(split, language, folder))
        if isinstance(source, FileSource)
        else repr(source)
        for source in (source.basis for source in fitting)
    ]
    raise DataError(
        f"{task_name} ({language}): expected the {split} split in one format, found {'; and '.join(names)}; "
        f"point `folder:` at the folder of one of them"
    )


def native_names(files: Sequence[Source], split: str, language: str) -> str:
    """Return the file names that are looked for, in all formats; empty where there is no such split."""
    found = [source for source in (source.basis for source in files) if isinstance(source, FileSource)]
    patterns = [source.wanted(split, language) for source in found]
    return " or ".join(_quoted(pattern) for pattern in patterns if pattern is not None)


def _files_below(root: Path) -> list[Path]:
    """Return the files up to `DEPTH` folders below, without hidden ones and what macOS adds to archives."""
    files: list[Path] = []
    for here, folders, names in os.walk(root, followlinks=True):
        depth = len(Path(here).relative_to(root).parts)
        folders[:] = [f for f in folders if depth < DEPTH and not f.startswith(".") and f != "__MACOSX"]
        files.extend(Path(here, name) for name in names if not name.startswith("."))
    return files


def _matches(file: Path, root: Path, pattern: str) -> bool:
    """Compare as many of the last parts of a path as a pattern has; the root's own name counts as one."""
    parts = [root.name, *file.relative_to(root).parts]
    parts[-1] = parts[-1].removesuffix(".gz")
    names = [name.split("/") for name in pattern.split("|")]
    return any(
        len(parts) >= len(wanted)
        and all(fnmatchcase(part, one) for part, one in zip(parts[-len(wanted) :], wanted, strict=True))
        for wanted in names
    )


def _quoted(pattern: str | None) -> str:
    return " or ".join(f"'{name}'" for name in (pattern or "").split("|"))


def _nothing(files: Sequence[Source], split: str, language: str, folder: Path | None, task_name: str) -> str:
    """Say what was looked for, where, and what is there instead."""
    start = f"{task_name} ({language}): no files of the {split} split"
    found = [source for source in (source.basis for source in files) if isinstance(source, FileSource)]
    wanted = native_names(files, split, language)
    if not wanted:
        splits = sorted({name for source in found for name in source.paths})
        return f"{start}: its files hold only {', '.join(splits) or 'nothing'}"
    start += f"; looked for {wanted} (or the same with .gz)"
    folder = next((source.root(folder) for source in found), folder)
    if folder is None:
        return f"{start}, but no data_dir is given"
    if not folder.is_dir():
        siblings = [path.name for path in folder.parent.iterdir() if path.is_dir()] if folder.parent.is_dir() else []
        parent = "" if folder.parent.is_dir() else f" (nor does {folder.parent})"
        return f"{start} below {folder}, but there is no such folder{parent}{nearest(folder.name, siblings)}"
    names = sorted(file.relative_to(folder).as_posix() for file in _files_below(folder))
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return f"{start} up to {DEPTH} folders below {folder}; there is: {', '.join(names[:SHOWN]) or 'nothing'}{more}"
