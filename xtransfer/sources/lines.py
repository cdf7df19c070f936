"""Plain text, one example a line."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from xtransfer.errors import DataError
from xtransfer.sources.files import File, FileSource
from xtransfer.task import BLANK, WHERE, Row


@dataclass(frozen=True, kw_only=True)
class TextLines(FileSource):
    """Text files; each line that is not blank is a row.

    Rows have `text`, without the white space around it. Blank lines are skipped, and counted with the next row.
    """

    def parse(self, file: File, language: str) -> Iterator[Row]:
        """Yield one row a line that is not blank.

        Raises:
            DataError: There is no such line.
        """
        blank, read = 0, 0
        for read, line in file.lines():
            text = line.strip()
            if text:
                yield {"text": text, BLANK: blank, WHERE: f"{file.name}:{read}"}
            blank = 0 if text else blank + 1
        if blank == read:
            raise DataError(f"{file.name}: expected a text in at least one line, found {read} blank lines")
