"""Which examples are measured, and in which batches: grouped by length as by transformers, or at random."""

from __future__ import annotations

import random
from collections.abc import Sequence
from statistics import mean

import torch
from transformers.trainer_pt_utils import LengthGroupedSampler

from benchmarks.harness import MeasurementError

LEAST_GROUPED = 0.95
"""Share of real tokens that grouping must reach on lengths like MNLI's, or it was not given what it needs."""
NEAR, TRIES = 0.03, 1000
"""How far the mean length of the measured examples may be from that of all, and how often they are drawn for that."""

Batches = list[list[int]]


def grouped(lengths: Sequence[int], size: int, seed: int = 1) -> Batches:
    """Return the batches that transformers' sampler makes of a whole data set.

    Raises:
        MeasurementError: There are too few examples for its groups, or too much padding is left.
    """
    if len(lengths) < 200 * size:
        raise MeasurementError(f"grouping by length needs {200 * size} examples, found {len(lengths)}")
    sampler = LengthGroupedSampler(size, lengths=list(lengths), generator=torch.Generator().manual_seed(seed))
    batches = in_batches(list(sampler), size)
    found = share(batches, lengths)
    if found < LEAST_GROUPED:
        raise MeasurementError(f"grouping by length leaves {found:.1%} real tokens, expected {LEAST_GROUPED:.0%}")
    return batches


def typical(batches: Batches, lengths: Sequence[int], number: int, seed: int = 1) -> Batches:
    """Return some whole batches whose lengths stand for all: one at random from each of equal shares, by length.

    Draws are repeated until their mean length is about that of all.

    Raises:
        MeasurementError: It never is.
    """
    whole = sorted((b for b in batches if len(b) == len(batches[0])), key=lambda b: sum(lengths[i] for i in b))
    shares = [whole[place * len(whole) // number : (place + 1) * len(whole) // number] for place in range(number)]
    chance, wanted = random.Random(seed), mean(lengths)
    for _ in range(TRIES):
        chosen = [chance.choice(some) for some in shares]
        if abs(mean(lengths[i] for batch in chosen for i in batch) / wanted - 1) <= NEAR:
            chance.shuffle(chosen)
            return chosen
    raise MeasurementError(f"no {number} batches were found whose texts have {wanted:.1f} tokens on average, as all")


def shuffled(batches: Batches, seed: int) -> Batches:
    """Return the same examples in random batches of the same sizes."""
    order = [i for batch in batches for i in batch]
    random.Random(seed).shuffle(order)
    return in_batches(order, len(batches[0]))


def in_batches(order: Sequence[int], size: int) -> Batches:
    """Cut an order into batches."""
    return [list(order[start : start + size]) for start in range(0, len(order), size)]


def share(batches: Batches, lengths: Sequence[int], width: int | None = None) -> float:
    """Return the share of real tokens in padded batches.

    Args:
        batches: The batches.
        lengths: Tokens of each example.
        width: Tokens a row is padded to; default the longest of its batch.
    """
    real = sum(lengths[i] for batch in batches for i in batch)
    return real / sum(len(batch) * (width or max(lengths[i] for i in batch)) for batch in batches)


def share_over_permutations(lengths: Sequence[int], size: int, times: int = 10) -> float:
    """Return the share of real tokens in random batches of a whole data set, over several permutations."""
    found = []
    for seed in range(times):
        order = list(range(len(lengths)))
        random.Random(seed).shuffle(order)
        found.append(share(in_batches(order, size), lengths))
    return mean(found)
