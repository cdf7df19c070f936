"""Scores of ranked candidates and of mined pairs, as the official scripts of XTREME and XTREME-R compute them."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Sequence
from collections.abc import Set as AbstractSet

from xtransfer.errors import DataError


def pair_f1(predicted: AbstractSet[Hashable], gold: AbstractSet[Hashable]) -> float:
    """Return the F1 between two sets of pairs, from 0 to 1; 0 if they have nothing in common (BUCC 2018).

    Args:
        predicted: The pairs that were found, e.g. ``(foreign id, English id)``, already cut off at a threshold.
        gold: The right pairs.
    """
    common = len(predicted & gold)
    return 2 * common / (len(predicted) + len(gold)) if common else 0.0


def average_precision(ranked: Sequence[Hashable], targets: Collection[Hashable], k: int = 20) -> float:
    """Return the average precision of one query's `k` best candidates, from 0 to 1 (LAReQA's AP@20).

    At each of the first `k` ranks that holds a target: targets found so far / rank; the sum of these is divided by the
    number of targets, at most `k`. A candidate named twice counts at its first rank. With a single target this is the
    reciprocal of its rank, or 0 beyond `k`: what XTREME-R calls map@20 for Mewsli-X.

    Args:
        ranked: Candidate ids, the best first.
        targets: Ids of all right candidates.
        k: How many candidates are looked at.

    Raises:
        DataError: There is no target: such a query has no score.
    """
    wanted = set(targets)
    if not wanted:
        raise DataError("average precision: a query without a right candidate has no score; leave it out")
    hits, total = 0, 0.0
    for rank, candidate in enumerate(ranked[:k], start=1):
        if candidate in wanted:
            wanted.discard(candidate)
            hits += 1
            total += hits / rank
    return total / min(len(wanted) + hits, k)
