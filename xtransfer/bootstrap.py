"""Is one system better than another on the same examples, or is it chance? The paired bootstrap."""

from __future__ import annotations

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
    return bootstrap_of_groups([(a, b)], samples, seed, statistic)


def bootstrap_of_groups(
    groups: Sequence[tuple[ArrayLike, ArrayLike]], samples: int = 10_000, seed: int = 1, statistic: Statistic = first
) -> Difference:
    """Compare two systems by the mean of their scores over groups of examples, such as languages.

    Examples are drawn within their group. Groups that hold translations of the same examples belong into one group,
    with the statistics of all languages side by side: drawn one by one they would count as independent.

    Args:
        groups: Statistics of both systems by group, as for `paired_bootstrap`.
        samples: Number of resamples.
        seed: Seed of the draws.
        statistic: From the means of a group's statistics to its score.

    Raises:
        DataError: See `paired_bootstrap`.
    """
    if samples < 1 or not groups:
        raise DataError(f"{samples} resamples of {len(groups)} groups: there must be at least one of both")
    rng = np.random.default_rng(seed)
    pairs = [_checked(a, b) for a, b in groups]
    observed = np.mean([_difference(np.concatenate(pair, axis=1).mean(0), statistic) for pair in pairs])
    drawn = np.mean([_difference(_resampled(np.concatenate(p, axis=1), samples, rng), statistic) for p in pairs], 0)
    # Two equal systems can differ in the sixteenth digit, by the order of summing: that is no difference.
    mean, drawn = float(np.round(observed, 12)), np.round(drawn, 12)
    low, high = np.percentile(drawn, [2.5, 97.5])
    p = float(np.mean(drawn * np.sign(mean) <= 0))
    return Difference(mean, float(low), float(high), p, sum(len(a) for a, _ in pairs))


def _difference(means: Array, statistic: Statistic) -> Array:
    """Return the difference of two systems' scores, whose statistics stand side by side, ``(..., 2 K)``."""
    width = means.shape[-1] // 2
    return np.asarray(statistic(means[..., :width]) - statistic(means[..., width:]))


def _resampled(table: Array, samples: int, rng: np.random.Generator) -> Array:
    """Return the means ``(samples, K)`` of as many rows as there are, drawn with replacement from ``(N, K)``."""
    n = len(table)
    at_once = max(1, CHUNK // n)
    parts = []
    for start in range(0, samples, at_once):
        size = min(at_once, samples - start)
        drawn = rng.integers(0, n, (size, n)) + n * np.arange(size)[:, None]
        times = np.bincount(drawn.ravel(), minlength=size * n).reshape(size, n)
        parts.append(times @ table / n)
    return np.concatenate(parts)


def _checked(a: ArrayLike, b: ArrayLike) -> tuple[Array, Array]:
    first_one, other = (_column(values) for values in (a, b))
    if first_one.shape != other.shape or not len(first_one):
        raise DataError(f"the systems' scores have shapes {first_one.shape} and {other.shape}: give one row an example")
    if not (np.isfinite(first_one).all() and np.isfinite(other).all()):
        raise DataError("a score is not a number: leave out examples without gold labels in both systems")
    return first_one, other


def _column(values: Any) -> Array:
    array = np.asarray(values, dtype=np.float64)
    return array[:, None] if array.ndim == 1 else array
