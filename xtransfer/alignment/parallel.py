"""Do the states of translations find each other?"""

from __future__ import annotations

import numpy as np

from xtransfer.alignment.arrays import Array, enough, paired, unit_rows


def retrieval_accuracy(english: Array, other: Array) -> float:
    """Return the share of sentences whose nearest neighbour by cosine is their translation, mean of both directions.

    Artetxe and Schwenk 2019, as XTREME scores Tatoeba, there from English alone and among all sentences: among fewer
    it is easier, so compare equal numbers. Cost: an N x N product.

    Args:
        english: States ``(N, H)``.
        other: Those of the translations, in the same order.

    Raises:
        UndefinedError: There are not as many of each, or fewer than two, or one is zero.
    """
    similar, own = _similarities(english, other)
    n = len(own)
    return float(((similar.argmax(1) == np.arange(n)).mean() + (similar.argmax(0) == np.arange(n)).mean()) / 2)


def mexa(english: Array, other: Array) -> float:
    """Return the share of sentences that are nearer to their translation than any other sentence is to either of both.

    Kargaran et al. 2024, "MEXA: Multilingual Evaluation of English-Centric LLMs via Cross-Lingual Alignment": the
    cosine of a pair has to exceed all others of its row and its column. There the states are weighted means of a
    decoder's tokens; here plain means of an encoder's. Cost: an N x N product.

    Args:
        english: States ``(N, H)``.
        other: Those of the translations, in the same order.

    Raises:
        UndefinedError: There are not as many of each, or fewer than two, or one is zero.
    """
    similar, own = _similarities(english, other)
    np.fill_diagonal(similar, -np.inf)
    return float((own > np.maximum(similar.max(1), similar.max(0))).mean())


def margin(english: Array, other: Array) -> float:
    """Return the mean cosine of translations less that of sentences that are none.

    It tells of alignment where retrieval is perfect, and is not raised by a common direction of all states. Cost: an
    N x N product.

    Args:
        english: States ``(N, H)``.
        other: Those of the translations, in the same order.

    Raises:
        UndefinedError: There are not as many of each, or fewer than two, or one is zero.
    """
    similar, own = _similarities(english, other)
    n = len(own)
    return float(own.mean() - (similar.sum() - own.sum()) / (n * (n - 1)))


def _similarities(english: Array, other: Array) -> tuple[Array, Array]:
    """Return all cosines ``(N, N)``, and those of the pairs ``(N,)``."""
    paired(english, other)
    enough(2, english, other)
    similar = unit_rows(english) @ unit_rows(other).T
    return similar, similar.diagonal().copy()
