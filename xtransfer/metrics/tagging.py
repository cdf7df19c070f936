"""Scores of word labels: span F1 as both lines of seqeval compute it, and accuracy over words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from xtransfer.errors import DataError
from xtransfer.metrics.base import Piece, RowMetric, percent

Variant = Literal["0.0.12", "1.x"]

UNSEEN = "<unseen>"
"""What a gold tag is called that is not among the labels."""


class Span(NamedTuple):
    """Neighbouring words that form one unit.

    Attributes:
        type: What it is, e.g. ``PER``.
        start: Its first word.
        end: Its last word.
    """

    type: str
    start: int
    end: int


def spans(tags: Sequence[str], variant: Variant = "0.0.12") -> list[Span]:
    """Return the spans in a sequence of tags, by seqeval's default rules, those of the CoNLL script.

    They are lenient: a span need not begin with ``B-``. A tag's first character is its position in a span; what its
    type is depends on the version. In 0.0.12 it is what follows the last hyphen, so the whole tag where there is none
    (``NOUN``); in 1.x it is what follows the first character and a hyphen, so ``OUN``, and ``CCONJ`` and ``SCONJ`` are
    one type. Either way equal neighbouring part-of-speech tags form one span, except those that begin with S, which
    means a span of one word (``SYM``, ``SCONJ``).

    Args:
        tags: One tag a word. Join sentences with ``O``, as `span_f1` does, to have the result for a whole file.
        variant: The version to follow.
    """
    types = {tag: _type(tag, variant) for tag in {*tags, "O"}}
    found = []
    before, type_before, start = "O", "", 0
    for i, tag in enumerate([*tags, "O"]):
        here, type_here = tag[0], types[tag]
        changes = type_before != type_here
        if before in "ES" or (before in "BI" and here in "BSO") or (before not in "O." and changes):
            found.append(Span(type_before, start, i - 1))
        if here in "BS" or (here in "EI" and before in "ESO") or (here not in "O." and changes):
            start = i
        before, type_before = here, type_here
    return found


def _type(tag: str, variant: Variant) -> str:
    if variant == "0.0.12":
        return tag.rpartition("-")[2]
    return tag[1:].split("-", 1)[-1] or "_"


def span_f1(gold: Sequence[Sequence[str]], predicted: Sequence[Sequence[str]], variant: Variant = "0.0.12") -> float:
    """Return the micro F1 over the spans of all sentences, from 0 to 1; 0 if there is no span at all.

    Args:
        gold: The right tags, a sequence a sentence.
        predicted: The predicted tags.
        variant: The version of seqeval to follow; XTREME's published scores are believed to be of 0.0.12.

    Raises:
        DataError: A sentence is missing or has not as many predictions as words.
    """
    if len(gold) != len(predicted):
        raise DataError(f"{len(predicted)} predicted sentences for {len(gold)} gold ones")
    for number, (right, guess) in enumerate(zip(gold, predicted, strict=True), 1):
        if len(right) != len(guess):
            raise DataError(f"sentence {number}: {len(guess)} predicted tags for {len(right)} words")
    # As one sequence: in 1.x the tag X has no type of its own, so whether it opens a span depends on what came before.
    wanted, guessed = (set(spans([tag for s in side for tag in (*s, "O")], variant)) for side in (gold, predicted))
    total = len(wanted) + len(guessed)
    return 2 * len(wanted & guessed) / total if total else 0.0


class TagScores(RowMetric):
    """Span F1 and word accuracy; the parts of a long sentence are joined before spans are looked for.

    A word without a gold label is left out of its sentence, and counted.

    Args:
        labels: The tags, in the order of their ids.
        unseen: Gold tags may be others than these, which the id after the last label stands for. Whatever is predicted
            for such a word is wrong.
    """

    main = "f1"
    variant: Mapping[str, str] = {
        "f1": "seqeval 0.0.12 (types are whole tags)",
        "f1_seqeval1": "seqeval 1.x (first character of a tag is not part of its type)",
        "accuracy": "equal tags / labelled words",
    }
    keys = 3
    gold = 4

    def __init__(self, labels: Sequence[str], unseen: bool = False) -> None:
        super().__init__()
        self.labels = tuple(labels)
        self.gold_labels = (*self.labels, UNSEEN) if unseen else self.labels

    def _rows(self, piece: Piece, gold: Sequence[int] | None) -> Tensor:
        """One row a word: index, part, position in the part, predicted and gold tag; gold is -1 where unknown."""
        tags = [-1] * len(piece.value) if gold is None else gold
        where = f"example {piece.index}, part {piece.part}"
        if len(piece.value) != len(tags):
            raise DataError(f"{where}: {len(piece.value)} predicted tags for {len(tags)} words")
        unknown = {i for i in piece.value if not 0 <= i < len(self.labels)}
        unknown |= {i for i in tags if i >= len(self.gold_labels)}
        if unknown:
            raise DataError(f"{where}: no tag has id {min(unknown)}; there are {len(self.labels)}: {list(self.labels)}")
        rows = [(piece.index, piece.part, *word) for word in zip(range(len(tags)), piece.value, tags, strict=True)]
        return torch.tensor(rows, dtype=torch.float64).reshape(-1, 5)

    def _scores(self, rows: Tensor) -> dict[str, float]:
        sentences = [list(group) for _, group in groupby(rows.long().tolist(), key=lambda row: row[0])]
        predicted, gold = ([[self.gold_labels[word[column]] for word in s] for s in sentences] for column in (3, 4))
        return {
            "f1": 100 * span_f1(gold, predicted, "0.0.12"),
            "f1_seqeval1": 100 * span_f1(gold, predicted, "1.x"),
            "accuracy": percent(rows[:, 3] == rows[:, 4]),
        }
