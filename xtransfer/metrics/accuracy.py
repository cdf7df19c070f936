"""Accuracy, the share of right answers; and with it the F1 of one class, where that class is what is looked for."""

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


def class_f1(predicted: Sequence[object], gold: Sequence[object], positive: object) -> float:
    """Return the F1 of one class, from 0 to 1; 0 where it is never found, as scikit-learn has it.

    Args:
        predicted: The predicted labels.
        gold: The right ones, as many.
        positive: The class that is looked for; all others count as not found.
    """
    hits = sum(p == g == positive for p, g in zip(predicted, gold, strict=True))
    return 2 * hits / (list(predicted).count(positive) + list(gold).count(positive)) if hits else 0.0


def label_row(piece: Piece, gold: int | None) -> Tensor:
    """Return the row of a predicted label, ``(1, 4)``: index, part, predicted and gold id; -1 where it is unknown."""
    row = [piece.index, piece.part, int(piece.value), -1 if gold is None else int(gold)]
    return torch.tensor([row], dtype=torch.float64)


class Accuracy(RowMetric):
    """Share of examples whose predicted label id is the gold one, for classification and multiple choice."""

    main = "accuracy"
    variant: Mapping[str, str] = {"accuracy": "equal labels / labelled examples"}
    gold = 3

    def _rows(self, piece: Piece, gold: int | None) -> Tensor:
        return label_row(piece, gold)

    def _scores(self, rows: Tensor) -> dict[str, float]:
        return {"accuracy": percent(rows[:, 2] == rows[:, 3])}


class AccuracyF1(RowMetric):
    """Accuracy, the F1 of one class, and their mean, as GLUE scores paraphrases.

    Args:
        labels: The classes, in the order of their ids.
        positive: The one whose F1 it is.
    """

    main = "accuracy_f1"
    gold = 3

    def __init__(self, labels: Sequence[str], positive: str) -> None:
        super().__init__()
        self.positive = list(labels).index(positive)
        self.variant = {
            **Accuracy.variant,
            "f1": f"F1 of class {positive}",
            "accuracy_f1": f"mean of accuracy and F1 of class {positive}",
        }

    def _rows(self, piece: Piece, gold: int | None) -> Tensor:
        return label_row(piece, gold)

    def _scores(self, rows: Tensor) -> dict[str, float]:
        right = percent(rows[:, 2] == rows[:, 3])
        f1 = 100 * class_f1(rows[:, 2].tolist(), rows[:, 3].tolist(), self.positive)
        return {"accuracy": right, "f1": f1, "accuracy_f1": (right + f1) / 2}
