"""Transferability estimates, against direct computations of what they are defined as."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.stats import multivariate_normal
from sklearn.covariance import ledoit_wolf

from xtransfer.alignment import UndefinedError
from xtransfer.alignment.hscore import h_score
from xtransfer.alignment.logme import logme


def data(n: int, h: int, classes: int, pull: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % classes
    states = rng.normal(size=(n, h))
    states[:, :classes] += pull * np.eye(classes)[labels]
    return states, labels


def highest_evidence(states: np.ndarray, target: np.ndarray) -> float:
    """The log evidence a row, from the marginal normal itself, at the best of all precisions."""

    def negative(logs: np.ndarray) -> float:
        alpha, beta = np.exp(logs)
        covariance = np.eye(len(target)) / beta + states @ states.T / alpha
        return -float(multivariate_normal(np.zeros(len(target)), covariance).logpdf(target))

    found = [minimize(negative, start, method="Nelder-Mead", options={"maxiter": 2000}) for start in ([0, 0], [3, 3])]
    return -min(one.fun for one in found) / len(target)


@pytest.mark.parametrize(("n", "h"), [(40, 6), (20, 30)])  # more and fewer rows than features
def test_logme_is_the_highest_evidence(n, h):
    states, labels = data(n, h, 2, pull=1.5)
    expected = np.mean([highest_evidence(states, (labels == one).astype(float)) for one in (0, 1)])
    assert logme(states, labels) == pytest.approx(expected, abs=2e-3)


def test_logme_is_higher_where_classes_lie_apart():
    found = [logme(*data(120, 10, 3, pull)) for pull in (0.0, 1.0, 3.0)]
    assert found == sorted(found)
    assert found[2] > found[0] + 0.2


def test_h_score_with_many_rows_is_the_plain_formula():
    states, labels = data(6000, 3, 2, pull=2.0)
    means = np.stack([states[labels == one].mean(0) for one in labels])
    expected = np.trace(np.linalg.inv(np.cov(states.T, bias=True)) @ np.cov(means.T, bias=True))
    assert h_score(states, labels) == pytest.approx(expected, rel=5e-3)


def test_h_score_shrinks_as_scikit_learn_does():
    states, labels = data(30, 50, 3, pull=2.0)
    shrunk, weight = ledoit_wolf(states)
    means = np.stack([states[labels == one].mean(0) for one in labels])
    expected = (1 - weight) * np.trace(np.linalg.inv(shrunk) @ np.cov(means.T, bias=True))
    assert h_score(states, labels) == pytest.approx(expected)


@pytest.mark.parametrize("measure", [logme, h_score])
def test_one_class_is_undefined(measure):
    with pytest.raises(UndefinedError, match="one class"):
        measure(np.ones((4, 2)), np.zeros(4, dtype=np.int64))
