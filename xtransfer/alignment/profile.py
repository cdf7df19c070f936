"""How texts differ in length and in variety of subwords."""

from __future__ import annotations

from math import log
from statistics import median

from xtransfer.alignment.arrays import Texts, UndefinedError

WINDOW = 1000
"""Subwords that the type-token ratio is taken over: it falls with length, so equal windows are compared."""


def length_ratio(a: Texts, b: Texts) -> float:
    """Return the size of the log ratio of two samples' median lengths in subwords: 0 if equal, log 2 if one is twice.

    Part of a profile of texts as in Ruder and Plank 2017, "Learning to select data for transfer learning with Bayesian
    Optimization". A text is one field of a row: a premise, a question, a passage. Cost: one pass over the texts.

    Raises:
        UndefinedError: Half of the texts of a sample are empty.
    """
    middles = [median(len(tokens) for tokens in sample.tokens) if sample.tokens else 0 for sample in (a, b)]
    if not all(middles):
        raise UndefinedError("the median length of the texts is 0")
    return abs(log(middles[0] / middles[1]))


def type_token_difference(a: Texts, b: Texts) -> float:
    """Return the difference of two samples' type-token ratios, over windows of 1,000 subwords: 0 to 1.

    The mean share of distinct subwords in successive windows, known as the standardised type-token ratio (Scott 2004,
    WordSmith Tools); a last, incomplete window is left out. Cost: one pass over the tokens.

    Raises:
        UndefinedError: A sample has fewer than 1,000 subwords.
    """
    return abs(_type_token_ratio(a) - _type_token_ratio(b))


def _type_token_ratio(sample: Texts) -> float:
    tokens = [token for text in sample.tokens for token in text]
    starts = range(0, len(tokens) - WINDOW + 1, WINDOW)
    if not starts:
        raise UndefinedError(f"{len(tokens)} subwords; at least {WINDOW} are needed for a type-token ratio")
    return sum(len(set(tokens[start : start + WINDOW])) / WINDOW for start in starts) / len(starts)
