"""Frechet distance of two samples' states, each taken for a normal distribution."""

from __future__ import annotations

import numpy as np

from xtransfer.alignment.arrays import Array, enough, of_equal_size


def frechet_distance(a: Array, b: Array) -> float:
    """Return the squared Frechet distance of two normal distributions fitted to states, 0 if equal.

    ``|mean a - mean b|^2 + tr(A + B - 2 (A B)^(1/2))`` of the covariances (Dowson and Landau 1982; Heusel et al. 2017
    as FID). Its unit is that of the squared states, so compare it within one encoder and layer only. With fewer rows
    than features the covariances are of low rank and the distance is too large, by as much for all samples of a size:
    of the larger sample as many rows are drawn as the smaller has. Cost: singular values of an N x M matrix.

    Args:
        a: States ``(N, H)``.
        b: States ``(M, H)``.

    Raises:
        UndefinedError: A sample has fewer than two rows.
    """
    enough(2, a, b)
    a, b = of_equal_size(a, b)
    means = float(((a.mean(0) - b.mean(0)) ** 2).sum())
    # With A = X'X and B = Y'Y the trace of the root of AB is the sum of the singular values of XY': no root is needed.
    x, y = ((states - states.mean(0)) / np.sqrt(len(states) - 1) for states in (a, b))
    shared = float(np.linalg.svd(x @ y.T, compute_uv=False).sum())
    return max(0.0, means + float((x**2).sum()) + float((y**2).sum()) - 2 * shared)
