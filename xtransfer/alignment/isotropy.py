"""How evenly states use the space they lie in."""

from __future__ import annotations

import numpy as np

from xtransfer.alignment.arrays import Array, UndefinedError, enough, unit_rows


def isoscore(states: Array) -> float:
    """Return IsoScore of states: 0 if all vary along one direction, 1 if equally along all.

    From the variances along the principal directions, scaled to the length sqrt(H), and their distance to all ones
    (Rudman et al. 2022, "IsoScore: Measuring the Uniformity of Embedding Space Utilization"). Unlike the average cosine
    it does not change with the mean. N rows span at most N - 1 directions, so with fewer rows than features it is too
    small: compare samples of equal size. Cost: one singular value decomposition of N x H.

    Args:
        states: States ``(N, H)``.

    Raises:
        UndefinedError: There are fewer than two rows or features, or all rows are equal.
    """
    enough(2, states)
    width = states.shape[1]
    if width < 2:
        raise UndefinedError("states of one feature have no shape")
    sizes = np.linalg.svd(states - states.mean(0), compute_uv=False)
    variances = np.zeros(width)
    variances[: len(sizes)] = sizes[:width] ** 2
    if not variances.any():
        raise UndefinedError("all states are equal")
    scaled = np.sqrt(width) * variances / np.linalg.norm(variances)
    defect = np.linalg.norm(scaled - 1) / np.sqrt(2 * (width - np.sqrt(width)))
    used = (width - defect**2 * (width - np.sqrt(width))) ** 2 / width**2
    return float((width * used - 1) / (width - 1))


def average_cosine(states: Array) -> float:
    """Return the mean cosine of two different states: near 0 if they point everywhere, near 1 in a narrow cone.

    Ethayarajh 2019, "How Contextual are Contextualized Word Representations?". It tells of the mean more than of the
    shape, see `isoscore`. Cost: one pass over the states; no pair is looked at.

    Args:
        states: States ``(N, H)``.

    Raises:
        UndefinedError: There are fewer than two rows, or one is zero.
    """
    enough(2, states)
    n, total = len(states), unit_rows(states).sum(0)
    return float((total @ total - n) / (n * (n - 1)))
