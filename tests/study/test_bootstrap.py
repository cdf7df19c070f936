"""The paired bootstrap against cases worked out by hand, and against scipy where it is installed."""

from __future__ import annotations

import numpy as np
import pytest

from xtransfer.bootstrap import Difference, paired_bootstrap, ratio, resampled
from xtransfer.errors import DataError

RNG = np.random.default_rng(0)
B = (RNG.random(400) < 0.7).astype(float)
A = np.where(RNG.random(400) < 0.8, B, 1 - B)


def test_identical_systems_do_not_differ():
    assert paired_bootstrap(A, A) == Difference(0.0, 0.0, 0.0, 1.0, 400)
    assert not paired_bootstrap(A, A).is_clear


@pytest.mark.parametrize(("step", "clear"), [(0.1, True), (-0.1, True)])
def test_a_constant_step_is_its_own_interval(step, clear):
    found = paired_bootstrap(B + step, B)
    assert (found.mean, found.low, found.high) == pytest.approx((step, step, step), abs=1e-9)
    assert (found.p, found.is_clear, found.n) == (0.0, clear, 400)


def test_two_examples_by_hand():
    """Of two examples, one won: a quarter of the resamples draws the tie twice, a quarter the win twice."""
    found = paired_bootstrap([1, 1], [0, 1], samples=40_000)
    assert (found.mean, found.low, found.high) == (0.5, 0.0, 1.0)
    assert found.p == pytest.approx(0.25, abs=0.01)
    assert not found.is_clear  # the interval touches zero
    means, times = np.unique(resampled(np.array([[0.0], [1.0]]), 40_000, np.random.default_rng(2)), return_counts=True)
    assert list(means) == [0.0, 0.5, 1.0]
    assert times / 40_000 == pytest.approx([0.25, 0.5, 0.25], abs=0.01)


def test_the_interval_is_that_of_the_paired_differences():
    found = paired_bootstrap(A, B)
    half = 1.96 * (A - B).std() / np.sqrt(len(A))
    assert (found.high - found.low) / 2 == pytest.approx(half, rel=0.06)
    alone = 1.96 * np.hypot(A.std(), B.std()) / np.sqrt(len(A))
    assert half < 0.8 * alone  # what an unpaired test would say
    assert found.mean == pytest.approx((A - B).mean())


def test_the_other_sign_is_counted_for_losses_as_for_gains():
    gain, loss = paired_bootstrap(A, B), paired_bootstrap(B, A)
    assert loss.mean == -gain.mean
    assert loss.p == gain.p
    assert (loss.low, loss.high) == pytest.approx((-gain.high, -gain.low))


def test_equal_seeds_give_equal_results_whatever_is_drawn_at_a_time(monkeypatch):
    before = paired_bootstrap(A, B, samples=500)
    assert paired_bootstrap(A, B, samples=500) == before
    assert paired_bootstrap(A, B, samples=500, seed=2) != before
    monkeypatch.setattr("xtransfer.bootstrap.CHUNK", 1_000)
    assert paired_bootstrap(A, B, samples=500) == before


def test_micro_f1_from_counts_of_sentences():
    # twice right, predicted + gold: sentence one is right in both, two only in A, three has no spans at all
    a, b = [[4, 4], [2, 2], [0, 0]], [[4, 4], [0, 2], [0, 0]]
    found = paired_bootstrap(a, b, samples=40_000, statistic=ratio)
    assert found.mean == pytest.approx(1 - 4 / 6)
    # nothing differs where sentence two is not drawn (8 of 27), all where one is not but two is (7 of 27): 0 and 1
    assert found.p == pytest.approx(8 / 27, abs=0.01)
    assert (found.low, found.high) == (0.0, 1.0)


def test_a_ratio_of_nothing_is_zero():
    assert ratio(np.array([[0.0, 0.0], [1.0, 2.0]])) == pytest.approx([0.0, 0.5])


def test_it_agrees_with_scipy():
    stats = pytest.importorskip("scipy.stats", reason="scipy is not installed, and not needed")
    theirs = stats.bootstrap((A - B,), np.mean, n_resamples=20_000, method="percentile", random_state=3)
    ours = paired_bootstrap(A, B, samples=20_000)
    assert (ours.low, ours.high) == pytest.approx(tuple(theirs.confidence_interval), abs=0.004)


@pytest.mark.parametrize(
    ("a", "b", "options", "message"),
    [
        ([1, 0], [1], {}, r"shapes \(2, 1\) and \(1, 1\)"),
        ([], [], {}, r"shapes \(0, 1\) and \(0, 1\)"),
        ([1, float("nan")], [1, 0], {}, "a score is not a number"),
        ([1, 0], [1, 0], {"samples": 0}, "0 resamples"),
    ],
)
def test_what_cannot_be_compared_is_refused(a, b, options, message):
    with pytest.raises(DataError, match=message):
        paired_bootstrap(a, b, **options)
