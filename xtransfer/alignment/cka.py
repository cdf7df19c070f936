"""Linear CKA: do two sets of states arrange the same rows alike?"""

from __future__ import annotations

import numpy as np

from xtransfer.alignment.arrays import Array, UndefinedError, enough, paired


def linear_cka(a: Array, b: Array) -> float:
    """Return linear centred kernel alignment of states of the same rows: 0 to 1, 1 if equal up to rotation and scale.

    ``|B'A|^2 / (|A'A| |B'B|)`` of centred states, in Frobenius norms (Kornblith et al. 2019, "Similarity of Neural
    Network Representations Revisited"). Row i of one has to be row i of the other: translations of each other, or one
    text in two encoders. With fewer rows than features it is biased towards 1. Cost: matrix products of the smaller of
    N and H.

    Args:
        a: States ``(N, H)``.
        b: States ``(N, K)``.

    Raises:
        UndefinedError: The rows are not as many, are fewer than three, or are all equal.
    """
    paired(a, b)
    enough(3, a, b)
    a, b = a - a.mean(0), b - b.mean(0)
    if len(a) <= max(a.shape[1], b.shape[1]):  # the same number from the rows' products, which are fewer
        of_a, of_b = a @ a.T, b @ b.T
        shared, own = float((of_a * of_b).sum()), np.linalg.norm(of_a) * np.linalg.norm(of_b)
    else:
        shared, own = float(np.linalg.norm(b.T @ a) ** 2), np.linalg.norm(a.T @ a) * np.linalg.norm(b.T @ b)
    if not own > 0:
        raise UndefinedError("all rows are equal")
    return shared / float(own)
