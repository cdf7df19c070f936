"""LogME: how well would a linear model on these states explain the labels?"""

from __future__ import annotations

from math import log, pi

import numpy as np

from xtransfer.alignment.arrays import Array, Labels, UndefinedError, enough

ROUNDS = 100
PRECISION = 1e-8


def logme(states: Array, labels: Labels) -> float:
    """Return the logarithm of the maximum evidence of labels given states, a row and class: the higher the better.

    For each class a Bayesian linear regression of one and zero on the states; prior and noise precision are set where
    the evidence is highest, by fixed-point iteration; the mean over classes (You et al. 2021, "LogME: Practical
    Assessment of Pre-trained Models for Transfer Learning"). It compares encoders on one task, so it tells which
    intermediate's encoder suits a target before the target is trained; between tasks it tells nothing. Cost: one
    singular value decomposition of N x H, and a few rounds a class.

    Args:
        states: States ``(N, H)``.
        labels: Class of each row ``(N,)``.

    Raises:
        UndefinedError: There are fewer than two classes.
    """
    enough(2, states)
    classes = np.unique(labels)
    if len(classes) < 2:
        raise UndefinedError("the labels are all of one class")
    left, sizes, _ = np.linalg.svd(states, full_matrices=False)
    return float(
        np.mean([_evidence(left, sizes**2, states.shape[1], (labels == one).astype(float)) for one in classes])
    )


def _evidence(left: Array, squares: Array, width: int, target: Array) -> float:
    """Return the highest log evidence a row of ``target ~ N(states @ w, 1 / beta)``, ``w ~ N(0, 1 / alpha)``.

    Args:
        left: Left singular vectors of the states ``(N, R)``.
        squares: Their squared singular values ``(R,)``.
        width: Features H.
        target: What is explained ``(N,)``.
    """
    n = len(target)
    along = (left.T @ target) ** 2  # the target's part along each direction
    beyond = max(0.0, float(target @ target - along.sum()))  # what no weights can explain
    alpha = beta = 1.0
    for _ in range(ROUNDS):
        ratio = alpha / beta
        gamma = float((squares / (squares + ratio)).sum())
        weights = float((squares * along / (squares + ratio) ** 2).sum())  # squared length of the mean weights
        residual = beyond + float((along * (ratio / (squares + ratio)) ** 2).sum())
        alpha, beta = gamma / max(weights, 1e-12), max(n - gamma, 1e-12) / max(residual, 1e-12)
        if abs(alpha / beta - ratio) <= PRECISION * ratio:
            break
    ratio = alpha / beta
    weights = float((squares * along / (squares + ratio) ** 2).sum())
    residual = beyond + float((along * (ratio / (squares + ratio)) ** 2).sum())
    spread = float(np.log(alpha + beta * squares).sum()) + (width - len(squares)) * log(alpha)
    evidence = width * log(alpha) + n * log(beta) - n * log(2 * pi) - beta * residual - alpha * weights - spread
    return evidence / 2 / n
