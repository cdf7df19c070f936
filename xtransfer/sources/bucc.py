"""BUCC's texts to mine translations from: sentences of two languages, and a list of the pairs among them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from xtransfer.errors import DataError
from xtransfer.sources.files import File, FileSource
from xtransfer.task import WHERE, Row

Gold = dict[str, dict[str, str]]
"""Foreign id -> its English ids -> the place where the pair is named."""


@dataclass(frozen=True, kw_only=True)
class Bucc(FileSource):
    """Three files with one name: ``xx-en.sample.xx`` and ``.en`` hold ``id TAB sentence``, ``.gold`` pairs of ids.

    `paths` names the foreign file. Rows have `side`, `id`, `text` (stripped) and `targets`. All foreign sentences come
    first, as queries, then all English ones, as candidates. The targets of a query are the English ids it is paired
    with, an empty list for a sentence without a translation; they are None for all where there is no gold file. A pair
    that is named twice counts once, as in the official evaluator. The copies on the hub hold the gold pairs alone, and
    so nothing to mine.
    """

    def parse(self, file: File, language: str) -> Iterator[Row]:
        """Yield one row a sentence.

        Raises:
            DataError: A line is not ``id TAB sentence``, an id repeats, the English file is missing, or the gold file
                names an id that no sentence has.
        """
        foreign, english, *rest = self.parts(file, language)
        gold = _gold(rest[0]) if rest else None
        queries: set[str] = set()
        for row in _sentences(foreign, queries):
            targets = None if gold is None else list(gold.get(row["id"], ()))
            yield row | {"side": "query", "targets": targets}
        candidates: set[str] = set()
        for row in _sentences(english, candidates):
            yield row | {"side": "candidate", "targets": None}
        for query, pairs in (gold or {}).items():
            for candidate, where in pairs.items():
                for name, known, side in ((query, queries, foreign), (candidate, candidates, english)):
                    if name not in known:
                        raise DataError(
                            f"{where}: expected an id of {side.name}, found '{name}'; fetch all three again"
                        )

    def parts(self, file: File, language: str) -> list[File]:
        """Return the foreign file, the English one and, where it is, the gold file.

        Raises:
            DataError: The English file is missing, or one lies there twice.
        """
        stem = file.path.name.removesuffix(".gz").removesuffix(f".{self.code(language)}")
        english, gold = file.beside(f"{stem}.en"), file.beside(f"{stem}.gold")
        if english is None:
            raise DataError(f"{file.name}: expected its English side '{stem}.en' beside it, found none")
        return [file, english] if gold is None else [file, english, gold]


def _sentences(file: File, seen: set[str]) -> Iterator[Row]:
    for where, name, text in _lines(file, "id TAB sentence"):
        if name in seen:
            raise DataError(f"{where}: a second sentence has the id '{name}'")
        seen.add(name)
        yield {"id": name, "text": text, WHERE: where}


def _gold(file: File) -> Gold:
    gold: Gold = {}
    for where, foreign, english in _lines(file, "foreign id TAB English id"):
        gold.setdefault(foreign, {}).setdefault(english, where)
    return gold


def _lines(file: File, expected: str) -> Iterator[tuple[str, str, str]]:
    """Yield place and both columns, stripped; empty lines are none."""
    for number, line in file.lines():
        cells = line.split("\t")
        if len(cells) == 2:
            yield f"{file.name}:{number}", cells[0].strip(), cells[1].strip()
        elif line:
            raise DataError(f"{file.name}:{number}: expected {expected}, found {len(cells)} columns: {line[:60]!r}")
