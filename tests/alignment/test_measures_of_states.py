"""Measures of states, against values computed by hand and reference implementations of scipy and scikit-learn."""

from __future__ import annotations

from math import sqrt

import numpy as np
import pytest
from scipy.linalg import sqrtm, subspace_angles
from sklearn.decomposition import PCA

from xtransfer.alignment import UndefinedError
from xtransfer.alignment.arrays import of_equal_size
from xtransfer.alignment.cka import linear_cka
from xtransfer.alignment.frechet import frechet_distance
from xtransfer.alignment.isotropy import average_cosine, isoscore
from xtransfer.alignment.separability import proxy_a_distance
from xtransfer.alignment.subspace import subspace_similarity
from xtransfer.alignment.text_embedding import text_embedding


def random(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape)


# ------------------------------------------------------------------ CKA
def cka_by_its_definition(a: np.ndarray, b: np.ndarray) -> float:
    """HSIC(K, L) / sqrt(HSIC(K, K) HSIC(L, L)) with the centring matrix written out."""
    n = len(a)
    centring = np.eye(n) - np.ones((n, n)) / n
    k, m = a @ a.T, b @ b.T

    def hsic(x: np.ndarray, y: np.ndarray) -> float:
        return float(np.trace(x @ centring @ y @ centring))

    return hsic(k, m) / sqrt(hsic(k, k) * hsic(m, m))


@pytest.mark.parametrize("rows", [8, 50])  # fewer and more rows than features: two ways of computing it
def test_cka_is_its_definition(rows):
    a, b = random(rows, 20, seed=1) + 3, random(rows, 15, seed=2)
    assert linear_cka(a, b) == pytest.approx(cka_by_its_definition(a, b))


def test_cka_does_not_see_rotation_scale_or_shift():
    a = random(40, 6)
    rotation = np.linalg.qr(random(6, 6, seed=3))[0]
    assert linear_cka(a, 5 * a @ rotation + 2) == pytest.approx(1)


def test_cka_by_hand():
    a = np.array([[1.0, 0], [-1, 0], [0, 0], [0, 0]])
    b = np.array([[0.0, 0], [0, 0], [1, 0], [-1, 0]])
    assert linear_cka(a, b) == pytest.approx(0)  # they vary in different rows
    c = a + b  # |c'a|^2 = 4, |a'a| = 2, |c'c| = 4
    assert linear_cka(a, c) == pytest.approx(4 / (2 * 4))


def test_cka_needs_the_same_rows():
    with pytest.raises(UndefinedError, match="4 and 5 rows"):
        linear_cka(random(4, 3), random(5, 3))


# ------------------------------------------------------------------ Frechet distance
def test_frechet_distance_is_the_formula_with_scipys_root():
    a, b = random(300, 5, seed=1) @ random(5, 5, seed=2), random(300, 5, seed=3) + 1
    of_a, of_b = np.cov(a.T), np.cov(b.T)
    expected = ((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(of_a + of_b - 2 * np.real(sqrtm(of_a @ of_b)))
    assert frechet_distance(a, b) == pytest.approx(expected)


def test_frechet_distance_by_hand():
    a = np.array([[1.0, 0], [-1, 0]])  # mean 0, variances 2 and 0
    assert frechet_distance(a, a) == pytest.approx(0, abs=1e-12)
    assert frechet_distance(a, a + np.array([3.0, 4])) == pytest.approx(25)  # the means alone
    assert frechet_distance(a, 2 * a) == pytest.approx((sqrt(8) - sqrt(2)) ** 2)  # the deviations alone


# ------------------------------------------------------------------ subspaces
def test_subspaces_have_scipys_principal_angles():
    a, b = random(60, 25, seed=1), random(50, 25, seed=2)
    bases = [PCA(10).fit(x).components_.T for x in (a, b)]
    assert subspace_similarity(a, b) == pytest.approx((np.cos(subspace_angles(*bases)) ** 2).mean())


def test_subspaces_are_1_if_shared_and_0_if_orthogonal():
    a = random(40, 10)
    left, right = np.hstack([a, 0 * a]), np.hstack([0 * a, a])
    assert subspace_similarity(left, 7 * left[::-1] + 1) == pytest.approx(1)
    assert subspace_similarity(left, right) == pytest.approx(0, abs=1e-12)


def test_a_subspace_needs_ten_directions():
    with pytest.raises(UndefinedError, match="9 directions"):
        subspace_similarity(random(10, 30), random(40, 30))


# ------------------------------------------------------------------ isotropy
def test_isoscore_by_hand():
    evenly = np.vstack([np.eye(3), -np.eye(3)])
    assert isoscore(evenly + 9) == pytest.approx(1)
    assert isoscore(np.array([[1.0, 0, 0], [-1, 0, 0]])) == pytest.approx(0, abs=1e-12)
    # Two of four directions, equally: (2 - 1) / (4 - 1): the share of directions in use, less one
    half = np.vstack([np.eye(4)[:2], -np.eye(4)[:2]])
    assert isoscore(half) == pytest.approx(1 / 3)


def test_average_cosine_is_over_different_rows():
    states = np.array([[1.0, 0], [0, 2], [-3, 0]])
    assert average_cosine(states) == pytest.approx((0 + 0 - 1) / 3)
    assert average_cosine(np.array([[1.0, 1], [2, 2]])) == pytest.approx(1)


# ------------------------------------------------------------------ means and classifiers
def test_text_embedding_is_the_cosine_of_means():
    a, b = np.array([[2.0, 0], [0, 2]]), np.array([[5.0, 0]])
    assert text_embedding(a, b) == pytest.approx(1 / sqrt(2))


def test_samples_that_a_line_parts_are_2_apart_and_equal_ones_near_0():
    a = random(100, 5)
    assert proxy_a_distance(a, a + 20) == pytest.approx(2)
    assert proxy_a_distance(random(300, 2, seed=1), random(300, 2, seed=2)) < 0.3


def test_proxy_a_distance_is_twice_one_less_twice_the_error():
    # One in four rows of each sample lies among the other's: the best line errs on a quarter, 2 (1 - 2/4) = 1
    a = np.repeat([[0.0], [0], [0], [1]], 50, axis=0)
    assert proxy_a_distance(a, 1 - a) == pytest.approx(1)


def test_states_that_are_no_numbers_are_undefined():
    bad = random(30, 4)
    bad[3, 2] = np.nan
    for measure in (linear_cka, frechet_distance, proxy_a_distance, text_embedding):
        with pytest.raises(UndefinedError, match="not a number"):
            measure(bad, random(30, 4))


def test_of_a_larger_sample_rows_are_drawn_from_all_of_it():
    a = np.arange(1000.0)[:, None]
    first, second = of_equal_size(a, a[:20])
    assert (len(first), second.tolist()) == (20, a[:20].tolist())
    assert first.max() > 500
    assert of_equal_size(a, a)[0] is a
