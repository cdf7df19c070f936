"""Accuracy: the share of right answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from xtransfer.errors import DataError
from xtransfer.metrics.base import Piece, RowMetric, percent


def accuracy(predicted: Sequence[object], gold: Sequence[object]) -> float:
    """Return the share of positions, from 0 to 1, at which both sequences are equal; NaN if they are empty.

    Raises:
        DataError: The lengths differ.
    """
    if len(predicted) != len(gold):
        raise DataError(f"{len(predicted)} predictions for {len(gold)} gold labels: one of each is needed per example")
    if not gold:
        return float("nan")
    return sum(p == g for p, g in zip(predicted, gold, strict=True)) / len(gold)


class Accuracy(RowMetric):
    """Share of examples whose predicted label id is the gold one, for classification and multiple choice."""

    main = "accuracy"
    variant: Mapping[str, str] = {"accuracy": "equal labels / labelled examples"}
    gold = 3

    def _rows(self, piece: Piece, gold: int | None) -> Tensor:
        row = [piece.index, piece.part, int(piece.value), -1 if gold is None else int(gold)]
        return torch.tensor([row], dtype=torch.float64)

    def _scores(self, rows: Tensor) -> dict[str, float]:
        return {"accuracy": percent(rows[:, 2] == rows[:, 3])}
