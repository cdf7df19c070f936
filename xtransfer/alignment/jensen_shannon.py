"""Jensen-Shannon divergence of two samples' subwords."""

from __future__ import annotations

import numpy as np

from xtransfer.alignment.arrays import Texts


def jensen_shannon(a: Texts, b: Texts) -> float:
    """Return the Jensen-Shannon divergence of two distributions of subwords, in bits: 0 if equal, 1 if disjoint.

    The mean of the divergences of both from their mixture (Lin 1991, "Divergence Measures Based on the Shannon
    Entropy"). Ruder and Plank 2017 choose training data by it. It rises as samples become smaller: compare samples of
    equal size. Cost: one pass over the tokens.

    Raises:
        UndefinedError: A sample has no subword.
    """
    first, second = a.counts(), b.counts()
    words = sorted(first.keys() | second.keys())
    p, q = (np.array([counts[word] for word in words]) / counts.total() for counts in (first, second))
    mixture = (p + q) / 2

    def divergence(own: np.ndarray) -> float:
        seen = own > 0
        return float(np.sum(own[seen] * np.log2(own[seen] / mixture[seen])))

    return (divergence(p) + divergence(q)) / 2
