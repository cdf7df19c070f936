"""Bitext mining: which sentences of two unpaired texts translate each other, as XTREME's BUCC script finds them."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import normalize

from xtransfer.heads import mutual_neighbours


class Pair(NamedTuple):
    """Two sentences that may translate each other.

    Attributes:
        score: The margin: their cosine over the mean cosine of both to their neighbours.
        query: Position of the one.
        candidate: Position of the other.
    """

    score: float
    query: int
    candidate: int


def mine(queries: Tensor, candidates: Tensor, k: int = 4, block: int = 4096) -> list[Pair]:
    """Return the likely translations, best first; every sentence is in one pair at most.

    Artetxe and Schwenk 2019, "Margin-based Parallel Corpus Mining": a pair's score is its cosine divided by the mean
    of both sentences' mean cosines to their `k` nearest neighbours. Each sentence proposes the best of its neighbours;
    proposals of both sides are accepted from the best down while neither sentence is taken and the score is above 0.

    Args:
        queries: Vectors ``(Q, D)`` of any length, each text once.
        candidates: Vectors ``(N, D)``, each text once, on the same device.
        k: Neighbours on the other side.
        block: Vectors of either side that are compared at a time.
    """
    if not len(queries) or not len(candidates):
        return []
    (forward, there), (backward, back) = mutual_neighbours(
        normalize(queries.float(), dim=-1), normalize(candidates.float(), dim=-1), k, block
    )
    mean_forward, mean_backward = forward.mean(1), backward.mean(1)
    proposals = []
    for scores, found, own, other in (
        (forward, there, mean_forward, mean_backward),
        (backward, back, mean_backward, mean_forward),
    ):
        margins, best = (scores / ((own[:, None] + other[found]) / 2)).max(1)
        proposals.append((margins, found.gather(1, best[:, None])[:, 0]))
    (margins, targets), (back_margins, sources) = proposals
    every = torch.cat([margins, back_margins])
    left = torch.cat([torch.arange(len(queries), device=every.device), sources])
    right = torch.cat([targets, torch.arange(len(candidates), device=every.device)])
    order = every.argsort(descending=True, stable=True)
    return _greedy(every[order].tolist(), left[order].tolist(), right[order].tolist())


def best_threshold(scores: Sequence[float], pairs: Sequence[Hashable], gold: Collection[Hashable]) -> float:
    """Return the score above which the pairs have the best F1, the highest such threshold.

    It lies half way between the last pair that is kept and the next; if all are kept, it is the last pair's score.

    Args:
        scores: Score of each pair, falling.
        pairs: The pairs.
        gold: The right pairs.
    """
    best, threshold, right = 0.0, float("inf"), 0
    for number, (score, pair) in enumerate(zip(scores, pairs, strict=True), 1):
        right += pair in gold
        f1 = 2 * right / (number + len(gold))
        if f1 > best:
            best = f1
            threshold = (score + scores[number]) / 2 if number < len(scores) else score
    return threshold


def _greedy(scores: Sequence[float], left: Sequence[int], right: Sequence[int]) -> list[Pair]:
    taken_left: set[int] = set()
    taken_right: set[int] = set()
    kept = []
    for score, query, candidate in zip(scores, left, right, strict=True):
        if score > 0 and query not in taken_left and candidate not in taken_right:
            taken_left.add(query)
            taken_right.add(candidate)
            kept.append(Pair(score, query, candidate))
    return kept
