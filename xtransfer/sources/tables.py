"""Tables: tab-separated, comma-separated and JSON lines."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from xtransfer.errors import DataError
from xtransfer.sources.files import File, FileSource
from xtransfer.sources.rows import flattened
from xtransfer.task import WHERE, Row


@dataclass(frozen=True, kw_only=True)
class Tsv(FileSource):
    """Tab-separated text without quoting: a quotation mark is a character like any other, as in GLUE and XNLI.

    Args:
        columns: Names of the columns of files without a header; default: the first line names them. The last ones may
            be missing if they are `optional`: in the whole file where there is no header, in single lines where there
            is one.
    """

    columns: tuple[str, ...] = ()

    def parse(self, file: File, language: str) -> Iterator[Row]:
        """Yield one row a line; empty lines are none.

        Raises:
            DataError: A line has another number of columns, or the header lacks one.
        """
        cells = ((number, line.split("\t")) for number, line in file.lines() if line)
        yield from _table(self, file, cells, self.columns)


@dataclass(frozen=True, kw_only=True)
class Csv(FileSource):
    """Comma-separated text with a header, quoted as RFC 4180 says; a quoted cell may hold line ends."""

    def parse(self, file: File, language: str) -> Iterator[Row]:
        """Yield one row a record, named by the line it starts at.

        Raises:
            DataError: The quoting is broken, a record has another number of columns, or the header lacks one.
        """
        yield from _table(self, file, _records(file), ())


@dataclass(frozen=True, kw_only=True)
class JsonLines(FileSource):
    """One JSON object a line.

    Args:
        flatten: Turn lists of objects into objects of lists, the layout of the hub.
        labels: Name of a file beside it that holds one label a line, which becomes the column `label`;
            ``{stem}`` in it is the file's own name without its ending.
    """

    flatten: bool = False
    labels: str = ""

    def parse(self, file: File, language: str) -> Iterator[Row]:
        """Yield one row a line; empty lines are none.

        Raises:
            DataError: A line is no JSON or no object, or there are not as many labels as rows.
        """
        labels = self._labels(file, language)
        for number, (where, row) in enumerate(objects(file)):
            try:
                columns = {key: flattened(value) for key, value in row.items()} if self.flatten else row
            except ValueError as error:
                raise DataError(f"{where}: {error}") from None
            label = {"label": labels[number]} if self.labels else {}
            yield columns | label | {WHERE: where}

    def parts(self, file: File, language: str) -> list[File]:
        """Return the file, and that of its labels where they are kept apart.

        Raises:
            DataError: The file of labels is missing, or lies there twice.
        """
        if not self.labels:
            return [file]
        name = self.labels.replace("{stem}", file.path.name.removesuffix(".gz").rpartition(".")[0])
        beside = file.beside(name)
        if beside is None:
            raise DataError(f"{file.name}: expected its labels '{name}' beside it, found none")
        return [file, beside]

    def _labels(self, file: File, language: str) -> list[str]:
        """Return the labels of a file's rows that are kept apart."""
        if not self.labels:
            return []
        _, beside = self.parts(file, language)
        labels = [line.strip() for _, line in beside.lines()]
        number = sum(1 for _ in objects(file))
        if len(labels) != number:
            counts = f"{file.name} has {number}, {beside.name} has {len(labels)}"
            raise DataError(f"expected one label a row: {counts}; fetch both again")
        return labels


def objects(file: File) -> Iterator[tuple[str, Row]]:
    """Yield place and content of each line that holds a JSON object; empty lines are none.

    Raises:
        DataError: A line is no JSON or no object.
    """
    for number, line in file.lines():
        if not line.strip():
            continue
        where = f"{file.name}:{number}"
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            reason = f"{error.msg}, column {error.colno}"
            raise DataError(f"{where}: expected JSON, found {line[:60]!r} ({reason})") from None
        if not isinstance(row, dict):
            raise DataError(f"{where}: expected a JSON object, found {line[:60]!r}")
        yield where, row


def _records(file: File) -> Iterator[tuple[int, list[str]]]:
    reader = csv.reader((line + "\n" for _, line in file.lines()), strict=True)
    start = 1
    try:
        for record in reader:
            if record:
                yield start, record
            start = reader.line_num + 1
    except csv.Error as error:
        raise DataError(f"{file.name}:{start}: broken quoting ({error})") from None


def _table(
    source: FileSource, file: File, lines: Iterator[tuple[int, list[str]]], columns: Sequence[str]
) -> Iterator[Row]:
    """Name the cells of each line."""
    header, width = list(columns), 0
    for number, cells in lines:
        where = f"{file.name}:{number}"
        if not header:
            header = cells
            _check_header(source, header, where)
            continue
        if not width:
            left_out = header[len(cells) :] if columns else []
            width = len(cells) if left_out and all(name in source.optional for name in left_out) else len(header)
        missing = set(header[len(cells) :])
        if len(cells) != width and (columns or not missing or not missing <= set(source.optional)):
            names = ", ".join(header[:width])
            raise DataError(f"{where}: expected {width} columns ({names}), found {len(cells)}")
        yield dict(zip(header, cells, strict=False)) | {WHERE: where}


def _check_header(source: FileSource, header: Sequence[str], where: str) -> None:
    needed = {name for name, ours in source.rename.items() if ours not in source.optional}
    needed |= {source.language_column} if source.language_column else set()
    missing = sorted(needed - set(header))
    if missing:
        raise DataError(f"{where}: expected a header with {', '.join(missing)}, found {', '.join(header)[:200]}")
    if len(set(header)) < len(header):
        raise DataError(f"{where}: a column is named twice in the header: {', '.join(header)[:200]}")
