"""What measures are given: arrays of states and texts as tokens, and the checks that several measures share."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Labels = NDArray[np.int64]


class UndefinedError(ValueError):
    """A measure has no value for what it was given; the message says why, and is kept with the row."""


@dataclass(frozen=True)
class Texts:
    """The distinct texts of a sample, and their subwords.

    Attributes:
        texts: Each text once, in the order of the rows.
        tokens: The token ids of each, without special tokens.
    """

    texts: Sequence[str]
    tokens: Sequence[Sequence[int]]

    def counts(self) -> Counter[int]:
        """Return how often each subword occurs.

        Raises:
            UndefinedError: There is none.
        """
        found = Counter(chain.from_iterable(self.tokens))
        if not found:
            raise UndefinedError("the texts have no subword")
        return found


def enough(least: int, *samples: Array) -> None:
    """Check that samples have so many rows, and numbers everywhere.

    Raises:
        UndefinedError: One has not.
    """
    for sample in samples:
        if len(sample) < least:
            raise UndefinedError(f"{len(sample)} rows; at least {least} are needed")
        if not np.isfinite(sample).all():
            raise UndefinedError("a state is not a number")


def of_equal_size(a: Array, b: Array, seed: int = 1) -> tuple[Array, Array]:
    """Return two samples, of the larger one as many rows as the smaller has, drawn from all of it."""
    rng, size = np.random.default_rng(seed), min(len(a), len(b))
    first, second = (
        states if len(states) == size else states[np.sort(rng.choice(len(states), size, replace=False))]
        for states in (a, b)
    )
    return first, second


def paired(a: Array, b: Array) -> None:
    """Check that two samples are row by row of the same things.

    Raises:
        UndefinedError: They have not as many rows.
    """
    if len(a) != len(b):
        raise UndefinedError(f"{len(a)} and {len(b)} rows; row i of one has to belong to row i of the other")


def unit_rows(states: Array) -> Array:
    """Return states ``(..., H)`` scaled to length 1.

    Raises:
        UndefinedError: One is zero.
    """
    lengths = np.linalg.norm(states, axis=-1, keepdims=True)
    if not (lengths > 0).all():
        raise UndefinedError("a state is zero, so its direction is not defined")
    return np.asarray(states / lengths)


def cosine(a: Array, b: Array) -> float:
    """Return the cosine of two vectors ``(H,)``.

    Raises:
        UndefinedError: One is zero.
    """
    return float(unit_rows(a) @ unit_rows(b))
