"""Is one system better than another on the same examples, or is it chance? The paired bootstrap."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from xtransfer.errors import DataError

Array = NDArray[np.float64]
Statistic = Callable[[Array], Array]
"""Means of sufficient statistics over examples ``(..., K)`` -> scores ``(...)``."""

CHUNK = 2**18
"""Numbers drawn at a time: few enough for the processor's cache."""


@dataclass(frozen=True)
class Difference:
    """The score of a system less that of another, on the same examples.

    Attributes:
        mean: The difference on the examples as they are.
        low: Lower end of the 95 % interval: the 2.5th percentile of the resamples.
        high: Upper end: the 97.5th percentile.
        p: Share of resamples whose difference is zero or has the other sign; 1 if the difference is zero.
        n: Number of examples.
    """

    mean: float
    low: float
    high: float
    p: float
    n: int

    @property
    def is_clear(self) -> bool:
        """Whether the interval leaves out zero."""
        return self.low > 0 or self.high < 0


def two_sided(p: float, samples: int) -> float:
    """Return how probable a difference of either sign is by chance, from the share of resamples with the other sign.

    Resamples are as few as they are: one is added on either side, so that nothing has no probability at all (Davison
    and Hinkley 1997, 4.2).

    Args:
        p: The share.
        samples: Number of resamples.
    """
    return min(1.0, 2 * (round(p * samples) + 1) / (samples + 1))


def holm(ps: Sequence[float]) -> list[float]:
    """Return probabilities corrected for their number, in the same order (Holm 1979).

    The smallest of n is multiplied by n, the next by n - 1, and so on; none becomes smaller than the one before. Where
    only those below 5 % are called clear, the chance that any of them is there by chance is at most 5 %. What is no
    number stays, and does not count.
    """
    corrected, least = list(ps), 0.0
    order = sorted((place for place, p in enumerate(ps) if not math.isnan(p)), key=ps.__getitem__)
    for rank, place in enumerate(order):
        least = max(least, min(1.0, (len(order) - rank) * ps[place]))
        corrected[place] = least
    return corrected


def first(means: Array) -> Array:
    """Return the mean of the first statistic: the score of examples that have one number each, such as accuracy."""
    return means[..., 0]


def ratio(means: Array) -> Array:
    """Return the first statistic over the second, 0 where both are; for micro F1: 2 · right, predicted + gold."""
    below = means[..., 1]
    return np.divide(means[..., 0], below, out=np.zeros_like(below), where=below != 0)


def paired_bootstrap(
    a: ArrayLike, b: ArrayLike, samples: int = 10_000, seed: int = 1, statistic: Statistic = first
) -> Difference:
    """Compare two systems on the same examples by drawing examples anew, with replacement.

    Every resample draws as many examples as there are, the same for both systems, and takes the difference of their
    scores; the interval is that of percentiles (Efron and Tibshirani 1993; Koehn 2004 for systems on one test set).

    Args:
        a: Scores of the first system, ``(N,)``, or sufficient statistics of its score, ``(N, K)``.
        b: Those of the second, in the same order of examples.
        samples: Number of resamples.
        seed: Seed of the draws; equal seeds give equal results.
        statistic: From the means of the statistics to the score.

    Raises:
        DataError: There is no example, the systems have not as many, or a number is missing.
    """
    pair = _column(a), _column(b)
    if pair[0].shape != pair[1].shape or not len(pair[0]):
        shapes = f"{pair[0].shape} and {pair[1].shape}"
        raise DataError(f"the systems' scores have shapes {shapes}: give both one row an example, of the same examples")
    if samples < 1:
        raise DataError(f"{samples} resamples: at least one is needed")
    table = np.concatenate(pair, axis=1)
    if not np.isfinite(table).all():
        raise DataError("a score is not a number: leave out examples without gold labels, of both systems")

    def difference(means: Array) -> Array:
        return np.asarray(statistic(means[..., : pair[0].shape[1]]) - statistic(means[..., pair[0].shape[1] :]))

    drawn = difference(resampled(table, samples, np.random.default_rng(seed)))
    return summed_up(float(difference(table.mean(0))), drawn, len(table))


def summed_up(observed: float, drawn: Array, n: int) -> Difference:
    """Return what the differences ``(S,)`` of the resamples say of the observed one."""
    # Two equal systems can differ in the sixteenth digit, by the order of summing: that is no difference.
    mean, rounded = round(observed, 12), np.round(drawn, 12)
    low, high = np.percentile(rounded, [2.5, 97.5])
    return Difference(mean, float(low), float(high), float(np.mean(rounded * np.sign(mean) <= 0)), n)


def resampled(table: Array, samples: int, rng: np.random.Generator) -> Array:
    """Return the means ``(samples, K)`` of as many rows as there are, drawn with replacement from ``(N, K)``.

    Args:
        table: A row an example.
        samples: Number of resamples.
        rng: Where the draws come from; equal states give equal draws.
    """
    n = len(table)
    at_once = max(1, CHUNK // n)
    parts = []
    for start in range(0, samples, at_once):
        size = min(at_once, samples - start)
        drawn = rng.integers(0, n, (size, n)) + n * np.arange(size)[:, None]
        times = np.bincount(drawn.ravel(), minlength=size * n).reshape(size, n)
        parts.append(times @ table / n)
    return np.concatenate(parts)


def _column(values: Any) -> Array:
    array = np.asarray(values, dtype=np.float64)
    return array[:, None] if array.ndim == 1 else array
