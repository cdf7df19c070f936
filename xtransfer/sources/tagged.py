"""Tagged words: one word a line, a blank line between sentences; and CoNLL-U treebanks as XTREME converts them."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from xtransfer.errors import DataError
from xtransfer.sources.files import File, FileSource
from xtransfer.task import LEFT_OUT, WHERE, Row

log = logging.getLogger(__name__)

Line = tuple[int, list[str]]
"""Number and cells of a line."""


@dataclass(frozen=True, kw_only=True)
class Conll(FileSource):
    """Word and tag, tab-separated, one word a line. Files with nothing but words give rows whose `tags` is None.

    An empty word keeps its row.

    Args:
        token_column: Number of the word's column, from 0.
        tag_column: Number of the tag's column.
        prefix: Words come as ``xx:word``, as in WikiANN; what stands before the first colon is taken off.
        comments: Skip lines that start with ``# `` or ``### ``, as the Parallel Meaning Bank's do.
    """

    token_column: int = 0
    tag_column: int = 1
    prefix: bool = False
    comments: bool = False

    def parse(self, file: File, language: str) -> Iterator[Row]:
        """Yield one row a sentence, named by its first line.

        Raises:
            DataError: A line lacks a column, has another number of columns than the first, or has no prefix.
        """
        needed = max(self.token_column, self.tag_column) + 1
        width = 0
        for sentence in _sentences(file, ("# ", "### ") if self.comments else ()):
            width = width or len(sentence[0][1])
            for number, cells in sentence:
                if len(cells) != width or (len(cells) < needed and len(cells) > 1):
                    expected = f"{max(width, needed)} columns" if width > 1 else "1 column as in the first line"
                    raise DataError(f"{file.name}:{number}: expected {expected}, found {len(cells)}: {_cited(cells)}")
            column = self.token_column if width > 1 else 0
            tokens = [self._word(cells[column], f"{file.name}:{number}") for number, cells in sentence]
            tags = [cells[self.tag_column] for _, cells in sentence] if width > 1 else None
            yield {"tokens": tokens, "tags": tags, WHERE: f"{file.name}:{sentence[0][0]}"}

    def _word(self, cell: str, where: str) -> str:
        if not self.prefix:
            return cell
        _, colon, word = cell.partition(":")
        if not colon:
            raise DataError(f"{where}: expected a word with its language before it (xx:word), found {cell!r}")
        return word.strip()


RANKS = "VERB NOUN PROPN PRON ADJ NUM ADV INTJ AUX ADP DET PART CCONJ SCONJ X PUNCT"
"""Which tag wins when a fused word has two highest nodes; tags not named come last."""

RANKS_OF: Mapping[str, str] = {
    "es": "VERB AUX PRON ADP DET",
    "fr": "VERB AUX PRON NOUN ADJ ADV ADP DET PART SCONJ CONJ",
    "it": "VERB AUX ADV PRON ADP DET INTJ",
}
"""The languages with a list of their own."""


@dataclass(frozen=True, kw_only=True)
class ConllU(FileSource):
    """Universal Dependencies treebanks, read as XTREME's preprocessing reads them.

    A multi-word token is one word, its surface form, with the tag of the highest of its nodes; a tie is broken by
    `RANKS`. How high a node is, is the number of its ancestors, enhanced dependencies counted. Empty nodes are left
    out, and so are sentences of which all words, or all but one, are ``_`` (treebanks without text): they are counted
    in a warning, and with the last row. Zero-width non-joiners and spaces inside a word are removed; a word of which
    nothing is left keeps its row.
    """

    many: bool = field(default=True)

    def rows(self, split: str, language: str, folder: Path | None) -> Iterator[Row]:
        """Yield the rows of all files; the last one tells how many sentences were left out.

        Raises:
            DataError: No file, or more than one, could be meant; one is broken; or no sentence has text.
        """
        last: Row | None = None
        left_out = 0
        for row in super().rows(split, language, folder):
            left_out += row.get(LEFT_OUT, 0)
            if LEFT_OUT not in row:
                if last is not None:
                    yield last
                last = row
        if last is None:
            names = ", ".join(file.name for file in self.files(split, language, folder))
            raise DataError(f"{names}: expected sentences with text, found {left_out} without ('_')")
        yield last | ({LEFT_OUT: left_out} if left_out else {})

    def parse(self, file: File, language: str) -> Iterator[Row]:
        """Yield one row a sentence, named by its first line; after them, where some were left out, their number.

        Raises:
            DataError: A line has not ten columns, or its id is none.
        """
        ranks = RANKS_OF.get(language, RANKS).split()
        read = dropped = 0
        for lines in _sentences(file, ("#",)):
            read += 1
            words = _fused(lines, ranks, file.name)
            blank = sum(form == "_" for form, _ in words)
            if blank and blank >= len(words) - 1:
                dropped += 1
                continue
            tokens = [form.replace("\u200c", "").replace(" ", "") for form, _ in words]
            yield {"tokens": tokens, "tags": [tag for _, tag in words], WHERE: f"{file.name}:{lines[0][0]}"}
        if dropped:
            log.warning("%s: %d of %d sentences have no text ('_') and are left out", file.name, dropped, read)
            yield {LEFT_OUT: dropped}


def _sentences(file: File, comments: tuple[str, ...]) -> Iterator[list[Line]]:
    """Group lines by the blank lines between them; lines that start with one of `comments` are none."""
    sentence: list[Line] = []
    for number, line in file.lines():
        if line.startswith(comments):
            continue
        if line.strip(" \t"):
            sentence.append((number, line.split("\t")))
        elif sentence:
            yield sentence
            sentence = []
    if sentence:
        yield sentence


def _fused(lines: Sequence[Line], ranks: Sequence[str], name: str) -> list[tuple[str, str]]:
    """Return form and tag of each word of a sentence, multi-word tokens fused."""
    words: dict[int, tuple[str, str]] = {}
    heads: dict[int, set[int]] = {}
    spans: list[tuple[int, range, str]] = []
    for number, cells in lines:
        if len(cells) != 10:
            found = f"found {len(cells)}: {_cited(cells)}"
            raise DataError(f"{name}:{number}: expected 10 columns (CoNLL-U), {found}")
        first, hyphen, last = cells[0].partition("-")
        if hyphen and first.isdecimal() and last.isdecimal():
            spans.append((number, range(int(first), int(last) + 1), cells[1].strip()))
        elif first.isdecimal():
            words[int(first)] = (cells[1].strip(), cells[3].strip())
            heads[int(first)] = _heads(cells)
        elif not first.replace(".", "", 1).isdecimal():
            raise DataError(f"{name}:{number}: expected a CoNLL-U id such as 1, 1-2 or 1.1, found {cells[0]!r}")
    for number, span, form in spans:
        if not span or any(node not in words for node in span):
            raise DataError(f"{name}:{number}: the words of the multi-word token '{form}' are not in its sentence")
        height = {node: len(_ancestors(node, heads)) for node in span}
        highest = [node for node in span if height[node] == min(height.values())]
        best = min(highest, key=lambda node: ranks.index(tag) if (tag := words[node][1]) in ranks else len(ranks))
        fused = (form, words[best][1])
        for node in span:
            del words[node]
        words[span[0]] = fused
    return [words[node] for node in sorted(words)]


def _heads(cells: Sequence[str]) -> set[int]:
    """Return the heads of a word: the basic one and, as in the official conversion, the enhanced ones."""
    named = [cells[6], *(dependency.split(":")[0] for dependency in cells[8].split("|"))]
    return {int(head) for head in named if head.isdecimal()}


def _ancestors(node: int, heads: Mapping[int, set[int]]) -> set[int]:
    found: set[int] = set()
    waiting = list(heads[node])
    while waiting:
        head = waiting.pop()
        if head not in found:
            found.add(head)
            waiting.extend(heads.get(head, ()))
    return found - {node}


def _cited(cells: Sequence[str]) -> str:
    return repr("\t".join(cells))[:60]
