"""Words and their CCG categories, one sentence a line: CCGbank's derivations, and the plain format of jiant."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from xtransfer.errors import DataError
from xtransfer.sources.files import File, FileSource
from xtransfer.task import WHERE, Row

PIECE = re.compile(
    r"\(<L (?P<tag>\S+) \S+ \S+ (?P<word>\S+) \S+>\)|(?P<opened>\(<T \S+ \d+ \d+>)|(?P<closed>\))|(?P<blank> +)",
    re.ASCII,
)
"""What a derivation is made of: leaves, the two ends of an inner node, and the spaces between them."""

SHOWN = 40
"""How many characters of a line a message cites."""


@dataclass(frozen=True, kw_only=True)
class TaggedLines(FileSource):
    """A sentence a line: its words, a tab, their tags; words and tags have spaces between them."""

    def parse(self, file: File, language: str) -> Iterator[Row]:
        """Yield one row a line; empty lines are none.

        Raises:
            DataError: A line has not two columns, or not as many tags as words.
        """
        for number, line in file.lines():
            if not line:
                continue
            where, cells = f"{file.name}:{number}", line.split("\t")
            if len(cells) != 2:
                found = f"found {len(cells)}: {line[:SHOWN]!r}"
                raise DataError(f"{where}: expected 2 columns (words, tab, tags), {found}")
            tokens, tags = ([part for part in cell.split(" ") if part] for cell in cells)
            if len(tokens) != len(tags) or not tokens:
                found = f"found {len(tokens)} words and {len(tags)} tags: {line[:SHOWN]!r}"
                raise DataError(f"{where}: expected a tag for every word, {found}")
            yield {"tokens": tokens, "tags": tags, WHERE: where}


@dataclass(frozen=True, kw_only=True)
class CcgBank(FileSource):
    """CCGbank's ``.auto`` files: a line that names the sentence (``ID=...``), then a line with its derivation.

    A derivation is a tree in brackets. Its leaves are ``(<L category modified_pos original_pos word
    predicate_argument_category>)``, its inner nodes ``(<T category head children> ... )``. Only words and categories of
    the leaves are read, as they are written.
    """

    def parse(self, file: File, language: str) -> Iterator[Row]:
        """Yield one row a derivation.

        Raises:
            DataError: A line is neither a name nor a whole derivation, or a name has no derivation after it.
        """
        named = 0
        for number, line in file.lines():
            where = f"{file.name}:{number}"
            if not line.strip():
                continue
            if line.startswith("ID="):
                _refuse_name_alone(file, named)
                named = number
                continue
            tokens, tags = zip(*_leaves(line.rstrip(), where), strict=True)
            named = 0
            yield {"tokens": list(tokens), "tags": list(tags), WHERE: where}
        _refuse_name_alone(file, named)


def _refuse_name_alone(file: File, number: int) -> None:
    if number:
        raise DataError(f"{file.name}:{number}: expected a derivation after this line, found none; is the file whole?")


def _leaves(line: str, where: str) -> list[tuple[str, str]]:
    """Return word and category of every leaf of the one tree a line holds."""
    leaves: list[tuple[str, str]] = []
    at = depth = 0
    whole = False
    while at < len(line):
        piece = PIECE.match(line, at)
        if piece is None or (not piece["blank"] and (whole or (piece["closed"] and not depth))):
            what = "one derivation, (<T ...> ... ) around leaves (<L category pos pos word category>)"
            raise DataError(f"{where}: expected {what}, found {line[at : at + SHOWN]!r} at character {at + 1}")
        if piece["word"]:
            leaves.append((piece["word"], piece["tag"]))
        depth += bool(piece["opened"]) - bool(piece["closed"])
        whole = whole or (depth == 0 and not piece["blank"])
        at = piece.end()
    if depth:
        raise DataError(f"{where}: expected a whole derivation, found {depth} brackets still open at its end")
    if not leaves:
        raise DataError(f"{where}: expected a derivation with words, found none: {line[:SHOWN]!r}")
    return leaves
