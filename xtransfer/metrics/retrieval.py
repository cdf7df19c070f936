"""Retrieval accuracy: the share of queries whose nearest candidate is the right one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import normalize

from xtransfer.errors import DataError, nearest
from xtransfer.heads import nearest_neighbours
from xtransfer.metrics.base import Piece, RowMetric, groups, percent

_SIDES = {"query": 0, "candidate": 1}


def retrieve(queries: Tensor, candidates: Tensor) -> list[int]:
    """Return the position of each query's nearest candidate by cosine, the lowest of equally near ones.

    Args:
        queries: Vectors ``(Q, D)`` of any length.
        candidates: Vectors ``(N, D)``, on the same device.

    Raises:
        DataError: There are no candidates, or a vector holds NaN or infinity.
    """
    if not len(candidates):
        raise DataError(f"no candidates to search for {len(queries)} queries")
    queries, candidates = queries.float(), candidates.float()
    _, found = nearest_neighbours(normalize(queries, dim=-1), normalize(candidates, dim=-1), k=1)
    # Products with copies of one vector can differ in the last digit: every copy stands for the first of them.
    first, group = groups(candidates.cpu())
    return [int(position) for position in first[group[found[:, 0].cpu()]]]


class RetrievalAccuracy(RowMetric):
    """Share of queries whose nearest candidate by cosine is the gold one; all candidates seen are the pool.

    A piece's gold is ``{"side": "query" or "candidate", "gold": index of the right candidate}``; a candidate's own
    ``gold`` is not looked at. Of equally near candidates the lowest index is chosen. A query whose candidate is not
    in the pool counts as wrong; without any candidate the score is NaN. ``n`` is the number of queries.
    """

    main = "accuracy"
    variant: Mapping[str, str] = {"accuracy": "nearest candidate by cosine, ties to the lowest index"}
    gold = 2

    def _rows(self, piece: Piece, gold: Mapping[str, Any]) -> Tensor:
        """One row: index, side, gold, and the vector; a candidate's gold is itself."""
        if gold["side"] not in _SIDES:
            raise DataError(f"example {piece.index}: unknown side '{gold['side']}'{nearest(gold['side'], _SIDES)}")
        vector = piece.value.detach().reshape(-1).cpu().double()
        if not vector.isfinite().all():
            raise DataError(
                f"example {piece.index} ({gold['side']}): its embedding holds values that are not numbers; "
                "the encoder has probably diverged: check its weights and the precision"
            )
        side = _SIDES[gold["side"]]
        right = piece.index if side else (-1 if gold["gold"] is None else gold["gold"])
        return torch.cat([torch.tensor([piece.index, side, right], dtype=torch.float64), vector])[None]

    def _examples(self, rows: Tensor) -> int:
        return super()._examples(rows[rows[:, 1] == _SIDES["query"]])

    def _scores(self, rows: Tensor) -> dict[str, float]:
        queries, candidates = (rows[rows[:, 1] == side] for side in _SIDES.values())
        if not len(candidates):
            return {"accuracy": float("nan")}
        found = candidates[retrieve(queries[:, 3:], candidates[:, 3:]), 0]
        return {"accuracy": percent(found == queries[:, 2])}
