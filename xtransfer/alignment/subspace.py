"""Do two samples' states vary along the same directions?"""

from __future__ import annotations

import numpy as np

from xtransfer.alignment.arrays import Array, UndefinedError, enough

DIRECTIONS = 10


def subspace_similarity(a: Array, b: Array) -> float:
    """Return the mean squared cosine of the principal angles of two samples' first ten principal directions: 0 to 1.

    The directions along which each sample varies most, from its own mean; the cosines of the angles between the two
    spaces are the singular values of the product of their bases (Bjorck and Golub 1973, "Numerical Methods for
    Computing Angles Between Linear Subspaces"). Two random spaces of ten directions in H dimensions give 10 / H. Cost:
    two singular value decompositions of N x H.

    Args:
        a: States ``(N, H)``.
        b: States ``(M, H)``.

    Raises:
        UndefinedError: A sample varies along fewer than ten directions.
    """
    enough(2, a, b)
    first, second = _directions(a), _directions(b)
    cosines = np.linalg.svd(first @ second.T, compute_uv=False)
    return float((np.clip(cosines, 0, 1) ** 2).mean())


def _directions(states: Array) -> Array:
    """Return the first principal directions ``(10, H)``."""
    _, sizes, directions = np.linalg.svd(states - states.mean(0), full_matrices=False)
    rank = int((sizes > sizes[0] * 1e-10).sum()) if sizes[0] > 0 else 0
    if rank < DIRECTIONS:
        raise UndefinedError(f"the states vary along {rank} directions; at least {DIRECTIONS} are needed")
    return np.asarray(directions[:DIRECTIONS])
