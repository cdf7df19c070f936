"""Does a measure rank intermediates, or languages, as their gains do? Rank correlation, and how sure it is."""

from __future__ import annotations

import warnings
from itertools import permutations
from math import factorial

import numpy as np
from numpy.typing import NDArray

from xtransfer.alignment.arrays import Array
from xtransfer.errors import ConfigError

EXACT = 6
"""Up to so many units all their orders are gone through: 720."""
DRAWN = 1999
"""Orders drawn at random where there are more units."""
RESAMPLES = 1000
ENOUGH = 5
"""Units from which on an interval and a partial correlation are told."""


def spearman(x: Array, y: Array) -> float:
    """Return Spearman's rank correlation over the cells that both have, each column first centred on its mean.

    Rows are units (intermediates or languages), columns what they are compared within (a target in a language). The
    centring takes away that some targets gain more than others whatever the intermediate. With one column it is the
    plain rank correlation.

    Args:
        x: Values ``(K, M)``; NaN where there is none.
        y: Gains ``(K, M)``.

    Returns:
        The correlation; NaN where one of both does not vary.
    """
    a, b, _ = _cells(x, y)
    return _pearson(_ranks(a), _ranks(b))


def kendall(x: Array, y: Array) -> float:
    """Return Kendall's tau-b over the same centred cells as `spearman`; NaN where one of both does not vary."""
    a, b, _ = _cells(x, y)
    signs = [np.sign(_rounded(v)[:, None] - _rounded(v)[None, :]) for v in (a, b)]
    ties = [float((sign**2).sum()) for sign in signs]
    return float((signs[0] * signs[1]).sum() / np.sqrt(ties[0] * ties[1])) if all(ties) else float("nan")


def permuted(x: Array, y: Array, seed: int = 1) -> float:
    """Return the two-sided p value of `spearman`: the share of orders of the units whose correlation is as large.

    The rows of values are permuted as wholes: cells of one intermediate are not independent of each other, its targets
    and languages share a training run. Up to six units every order is gone through, the given one among them; else
    1,999 are drawn and the given one is added.

    Args:
        x: Values ``(K, M)``.
        y: Gains ``(K, M)``.
        seed: Seed of the draws.
    """
    observed, k = spearman(x, y), len(x)
    if np.isnan(observed):
        return float("nan")
    if k <= EXACT:
        orders = [list(order) for order in permutations(range(k))]
    else:
        rng = np.random.default_rng(seed)
        orders = [list(range(k)), *(rng.permutation(k).tolist() for _ in range(DRAWN))]
    found = np.array([spearman(x[order], y) for order in orders])
    return float((np.abs(np.nan_to_num(found)) >= abs(observed) - 1e-12).mean())


def smallest_p(k: int, columns: int) -> float:
    """Return the smallest p value that `permuted` can give with so many units.

    In a single column the reversed order is as far from chance as the given one.
    """
    return min(1.0, (1 + (columns == 1)) / factorial(k)) if k <= EXACT else 1 / (DRAWN + 1)


def interval(x: Array, y: Array, seed: int = 1) -> tuple[float, float]:
    """Return the 95 % bootstrap interval of `spearman` over units drawn anew, by percentiles; NaN below five units.

    Whole rows are drawn, for the reason that `permuted` permutes them. Draws in which nothing varies are left out.
    """
    k = len(x)
    if k < ENOUGH:
        return float("nan"), float("nan")
    rng = np.random.default_rng(seed)
    drawn = np.array([spearman(x[rows], y[rows]) for rows in rng.integers(0, k, (RESAMPLES, k))])
    drawn = drawn[~np.isnan(drawn)]
    if not len(drawn):
        return float("nan"), float("nan")
    low, high = np.percentile(drawn, [2.5, 97.5])
    return float(low), float(high)


def partial(x: Array, y: Array, controls: Array) -> float:
    """Return the rank correlation of values and gains once what the controls explain linearly is taken from both.

    Args:
        x: Values ``(K, M)``.
        y: Gains ``(K, M)``.
        controls: ``(C, K, M)``, such as sizes of training sets, and whether both tasks are of one kind.

    Returns:
        The correlation of the ranks' residuals; NaN below five units, or where nothing is left that varies.
    """
    if len(x) < ENOUGH:
        return float("nan")
    there = np.isfinite(x) & np.isfinite(y) & np.isfinite(controls).all(0)
    x, y = np.where(there, x, np.nan), np.where(there, y, np.nan)
    a, b, kept = _cells(x, y)
    beside = [_ranks(_centred(np.where(there, one, np.nan))[kept]) for one in controls]
    design = np.stack([np.ones(len(a)), *beside], axis=1)
    if len(a) <= design.shape[1] + 1:
        return float("nan")
    left = [v - design @ np.linalg.lstsq(design, v, rcond=None)[0] for v in (_ranks(a), _ranks(b))]
    return _pearson(*left) if min(float(np.abs(v).max()) for v in left) > 1e-9 else float("nan")


def left_out_error(x: Array | None, y: Array) -> float:
    """Return the mean absolute error, in points, of foretelling the gains of an intermediate that was left out.

    For each unit in turn: a column's gain is foretold as the mean of the other units' gains there, and with values
    also by a common slope, fitted to the others' centred cells, times how far its value is from their mean.

    Args:
        x: Values ``(K, M)``; None foretells by the mean alone.
        y: Gains ``(K, M)``.
    """
    errors: list[float] = []
    for unit in range(len(y)):
        others = np.arange(len(y)) != unit
        told = np.isfinite(y) if x is None else np.isfinite(y) & np.isfinite(x)
        gains = np.where(told, y, np.nan)
        usable = told[unit] & told[others].any(0)
        if not usable.any():
            continue
        means = _mean(gains[others])
        foretold = means
        if x is not None:
            values = np.where(told, x, np.nan)
            a, b, _ = _cells(values[others], gains[others])
            slope = float(a @ b / (a @ a)) if float(a @ a) > 1e-12 else 0.0
            foretold = means + slope * (values[unit] - _mean(values[others]))
        errors += np.abs(gains[unit] - foretold)[usable].tolist()
    return float(np.mean(errors)) if errors else float("nan")


def _cells(x: Array, y: Array) -> tuple[Array, Array, NDArray[np.bool_]]:
    """Return the centred cells of both where both have a number and their column has two such, and which these are."""
    both = np.isfinite(x) & np.isfinite(y)
    both &= both.sum(0) > 1
    a, b = (_centred(np.where(both, one, np.nan))[both] for one in (x, y))
    return a, b, both


def _centred(values: Array) -> Array:
    return np.asarray(values - _mean(values))


def _mean(values: Array) -> Array:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a column without any number has no mean
        return np.asarray(np.nanmean(values, axis=0))


def _rounded(values: Array) -> Array:
    """Return values to twelve digits of the largest: equal ones may differ in the last by the order of summing."""
    largest = float(np.abs(values).max()) if len(values) else 0.0
    return np.round(values / largest, 12) if largest > 0 else values


def _ranks(values: Array) -> Array:
    """Return ranks from 1 on; equal values share the mean of theirs."""
    try:
        from scipy.stats import rankdata
    except ImportError as error:
        raise ConfigError("ranks need scipy, which is not installed: pip install 'xtransfer[alignment]'") from error
    return np.asarray(rankdata(_rounded(values)), dtype=np.float64)


def _pearson(a: Array, b: Array) -> float:
    if len(a) < 2:
        return float("nan")
    a, b = a - a.mean(), b - b.mean()
    lengths = float(np.sqrt((a @ a) * (b @ b)))
    return float(np.clip(a @ b / lengths, -1, 1)) if lengths > 1e-12 else float("nan")
