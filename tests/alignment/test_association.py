"""Does a measure rank as the gains do? Against scipy, and against values worked out by hand."""

from __future__ import annotations

from math import factorial

import numpy as np
import pytest
from scipy.stats import kendalltau, spearmanr

from xtransfer.alignment.association import (
    interval,
    kendall,
    left_out_error,
    partial,
    permuted,
    smallest_p,
    spearman,
)

GAP = float("nan")


def column(*values: float) -> np.ndarray:
    return np.array(values, dtype=float)[:, None]


def noisy(k: int, m: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(k, m))


def test_one_column_is_scipys_rank_correlation():
    x, y = column(3, 1, 4, 1, 5, 9, 2, 6), column(2, 7, 1, 8, 2, 8, 1, 8)  # with ties
    assert spearman(x, y) == pytest.approx(spearmanr(x, y).statistic)
    assert kendall(x, y) == pytest.approx(kendalltau(x, y).statistic)


def test_columns_are_centred_so_that_targets_do_not_pass_for_intermediates():
    # The second target gains more and is measured higher; within each, the order is reversed.
    x = np.array([[1.0, 101], [2, 102], [3, 103]])
    y = np.array([[3.0, 53], [2, 52], [1, 51]])
    assert spearmanr(x.ravel(), y.ravel()).statistic > 0.5
    assert spearman(x, y) == pytest.approx(-1)


def test_missing_cells_are_left_out_of_both():
    x, y = column(1, 2, 3, GAP, 4), column(1, 2, GAP, 9, 3)
    assert spearman(x, y) == pytest.approx(1)
    beside = np.array([[1.0, GAP], [2, 5], [3, GAP]])  # a column with one cell says nothing
    assert spearman(beside, np.array([[1.0, 9], [2, 1], [3, 9]])) == pytest.approx(1)


def test_what_does_not_vary_has_no_correlation():
    assert np.isnan(spearman(column(1, 1, 1), column(1, 2, 3)))
    assert np.isnan(kendall(column(1, 1, 1), column(1, 2, 3)))
    assert np.isnan(permuted(column(1, 1, 1), column(1, 2, 3)))


# ------------------------------------------------------------------ how sure
def test_the_p_value_goes_through_all_orders():
    # Of the 24 orders of four, the given one (rho 1) and its reverse (-1) are as extreme.
    assert permuted(column(1, 2, 3, 4), column(10, 20, 30, 40)) == pytest.approx(2 / 24)
    # rho 0.8, reached by 1 2 4 3, 1 3 2 4, 2 1 3 4, and -0.8 by their reverses: 2 + 6 of 24
    assert permuted(column(1, 2, 4, 3), column(1, 2, 3, 4)) == pytest.approx(8 / 24)
    assert smallest_p(4, columns=1) == pytest.approx(2 / 24)


def test_the_smallest_p_value_is_the_one_that_is_reached():
    rng = np.random.default_rng(0)
    for units in (3, 4, 5):
        x = np.arange(units, dtype=float)[:, None]
        assert permuted(x, x) == pytest.approx(smallest_p(units, columns=1))
        several = rng.normal(size=(units, 3))
        assert permuted(several, several) == pytest.approx(1 / factorial(units))
        assert smallest_p(units, columns=3) == 1 / factorial(units)


def test_targets_do_not_multiply_intermediates():
    # Three intermediates, equally ranked on ten targets: still one order of six, and its reverse.
    x = np.repeat(column(1, 2, 3), 10, axis=1)
    assert permuted(x, x) == pytest.approx(2 / 6)


def test_many_units_are_drawn_and_the_same_seed_gives_the_same():
    x, y = noisy(12, 1, 1), noisy(12, 1, 2)
    p = permuted(x, y, seed=3)
    assert p == permuted(x, y, seed=3)
    assert p == pytest.approx(spearmanr(x, y).pvalue, abs=0.05)
    assert permuted(x, x) == pytest.approx(1 / 2000)


def test_the_interval_holds_the_correlation_and_needs_five():
    x = noisy(12, 2, 1)
    y = x + 0.5 * noisy(12, 2, 2)
    low, high = interval(x, y)
    assert low < spearman(x, y) < high
    assert low > 0
    assert np.isnan(interval(x[:4], y[:4])).all()


# ------------------------------------------------------------------ given other things
def test_what_size_explains_is_taken_away():
    size = noisy(40, 1, 1)
    x, y = size + 0.3 * noisy(40, 1, 2), size + 0.3 * noisy(40, 1, 3)
    assert spearman(x, y) > 0.6
    assert abs(partial(x, y, size[None])) < 0.35
    own = 0.3 * noisy(40, 1, 4)
    assert partial(size + own, size + own, size[None]) == pytest.approx(1)


def test_partial_correlation_is_the_textbook_formula():
    x, y, z = (noisy(9, 1, seed) for seed in (1, 2, 3))
    a, b, c = (spearmanr(*pair).statistic for pair in ((x, y), (x, z), (y, z)))
    expected = (a - b * c) / np.sqrt((1 - b**2) * (1 - c**2))
    assert partial(x, y, z[None]) == pytest.approx(expected)


def test_a_control_that_explains_everything_leaves_nothing():
    x = noisy(9, 1, 1)
    assert np.isnan(partial(x, noisy(9, 1, 2), x[None]))


# ------------------------------------------------------------------ foretelling
def test_the_mean_of_the_others_by_hand():
    # left out 0: the others' mean is 4.5, off by 4.5; left out 3: 3, off by 0; left out 6: 1.5, off by 4.5
    assert left_out_error(None, column(0, 3, 6)) == pytest.approx((4.5 + 0 + 4.5) / 3)


def test_a_measure_in_step_with_the_gain_foretells_it():
    assert left_out_error(column(1, 2, 3, 5), column(10, 20, 30, 50)) == pytest.approx(0, abs=1e-9)
    # Two targets with gains of their own: the slope is common, the mean each target's.
    x, y = np.array([[1.0, 4], [2, 6], [3, 5]]), np.array([[2.0, 108], [4, 112], [6, 110]])
    assert left_out_error(x, y) == pytest.approx(0, abs=1e-9)
    assert left_out_error(None, y) == pytest.approx(2)
