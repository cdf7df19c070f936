"""Parallel texts: two files of which line i of the one translates line i of the other."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from xtransfer.errors import DataError
from xtransfer.sources.files import File, FileSource
from xtransfer.sources.rows import in_order
from xtransfer.task import WHERE, Row


@dataclass(frozen=True, kw_only=True)
class ParallelLines(FileSource):
    """Two text files, one sentence a line, in one folder.

    Rows have `source_sentence` (of the file in `paths`), `target_sentence` (English) and `line`, the number of the
    pair from 0. They come sorted by the English sentence, as the official preprocessing of Tatoeba sorts them.

    Args:
        partner: Name of the English file; may hold ``{language}``.
    """

    partner: str

    def parse(self, file: File, language: str) -> Iterator[Row]:
        """Yield one row a pair of lines.

        Raises:
            DataError: The English file is missing, or the files have not equally many lines.
        """
        _, english = self.parts(file, language)
        sides = [[line.strip() for _, line in side.lines()] for side in (file, english)]
        if len(sides[0]) != len(sides[1]):
            counts = f"{file.name} has {len(sides[0])}, {english.name} has {len(sides[1])}"
            raise DataError(f"expected equally many lines in two parallel files: {counts}; fetch both again")
        rows = (
            {"source_sentence": foreign, "target_sentence": text, WHERE: f"{file.name}:{number}"}
            for number, (foreign, text) in enumerate(zip(*sides, strict=True), start=1)
        )
        yield from in_order(rows, "target_sentence")

    def parts(self, file: File, language: str) -> list[File]:
        """Return the file and its English partner.

        Raises:
            DataError: The partner is missing, or lies there twice.
        """
        name = self.partner.replace("{language}", self.code(language))
        partner = file.beside(name)
        if partner is None:
            raise DataError(f"{file.name}: expected its English side '{name}' beside it, found none")
        return [file, partner]
