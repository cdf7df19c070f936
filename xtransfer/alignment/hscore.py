"""H-score: how much of the states' variation lies between the classes?"""

from __future__ import annotations

import numpy as np

from xtransfer.alignment.arrays import Array, Labels, UndefinedError, enough


def h_score(states: Array, labels: Labels) -> float:
    """Return the trace of the inverse covariance of states times that of their classes' means: the higher the better.

    Bao et al. 2019, "An Information-Theoretic Approach to Transferability in Task Transfer Learning". With the plain
    inverse, N rows of H > N features would give C - 1 whatever the labels; the covariance is therefore shrunk towards a
    multiple of the identity with the weight of Ledoit and Wolf 2004, as Ibrahim et al. 2021, "Newer is not always
    better", propose, and the classes' covariance by the same weight. Cost: products of N x H, and a solution of H x H.

    Args:
        states: States ``(N, H)``.
        labels: Class of each row ``(N,)``.

    Raises:
        UndefinedError: There are fewer than two classes, or the states are all equal.
    """
    enough(2, states)
    classes, which = np.unique(labels, return_inverse=True)
    if len(classes) < 2:
        raise UndefinedError("the labels are all of one class")
    centred = states - states.mean(0)
    covariance = centred.T @ centred / len(states)
    mean = float(np.trace(covariance)) / len(covariance)
    if not mean > 0:
        raise UndefinedError("all states are equal")
    weight = _shrinkage(centred, covariance, mean)
    shrunk = (1 - weight) * covariance + weight * mean * np.eye(len(covariance))
    means = np.stack([centred[which == number].mean(0) for number in range(len(classes))])[which]
    between = means.T @ means / len(states)
    return float((1 - weight) * np.trace(np.linalg.lstsq(shrunk, between, rcond=None)[0]))


def _shrinkage(centred: Array, covariance: Array, mean: float) -> float:
    """Return Ledoit and Wolf's weight of the identity, 0 to 1."""
    n = len(centred)
    spread = float(((covariance - mean * np.eye(len(covariance))) ** 2).sum())
    # The squared error of one row's outer product, summed over rows, without making the outer products.
    noise = float(((centred**2).sum(1) ** 2).sum()) / n - float((covariance**2).sum())
    return min(1.0, noise / n / spread) if spread > 0 else 1.0
