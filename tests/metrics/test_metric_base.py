from __future__ import annotations

import math

import pytest
import torch

from xtransfer.errors import DataError
from xtransfer.metrics import Accuracy, AccuracyF1, Piece, RowMetric, SpanScores, TagScores, accuracy


def test_accuracy_is_the_share_of_equal_labels() -> None:
    assert accuracy(["a", "b", "c", "a"], ["a", "b", "a", "b"]) == 0.5
    assert math.isnan(accuracy([], []))
    with pytest.raises(DataError, match="2 predictions for 3 gold labels"):
        accuracy([1, 2], [1, 2, 3])


def test_accuracy_over_several_updates_is_in_percent() -> None:
    metric = Accuracy()
    metric.update([Piece(0, 0, 2), Piece(1, 0, 1)], [2, 0])
    metric.update([Piece(2, 0, 0)], [0])
    assert metric.compute() == {"accuracy": pytest.approx(200 / 3), "n": 3, "unlabelled": 0}
    assert metric.n == 3


def test_a_repeated_example_counts_once() -> None:
    metric = Accuracy()
    metric.update([Piece(0, 0, 1), Piece(1, 0, 1)], [1, 0])
    metric.update([Piece(1, 0, 1), Piece(1, 0, 0)], [0, 0])
    assert metric.compute() == {"accuracy": 50, "n": 2, "unlabelled": 0}, "index 1 is wrong in its first row"


def test_parts_of_one_example_are_no_repeats() -> None:
    metric = Accuracy()
    metric.update([Piece(0, 0, 1), Piece(0, 1, 0)], [1, 1])
    assert metric.compute() == {"accuracy": 50, "n": 1, "unlabelled": 0}


def test_examples_without_gold_label_are_counted_not_scored() -> None:
    metric = Accuracy()
    metric.update([Piece(0, 0, 1), Piece(1, 0, 1), Piece(1, 0, 1), Piece(2, 0, 0)], [1, None, None, -1])
    assert metric.compute() == {"accuracy": 100, "n": 1, "unlabelled": 2}
    assert metric.n == 1


@pytest.mark.parametrize("metric", [Accuracy(), AccuracyF1(["A", "B"], "B"), SpanScores(), TagScores(["A"])])
def test_nothing_to_score_is_not_a_number(metric: RowMetric) -> None:
    metric.update([], [])
    scores = metric.compute()
    assert metric.main in metric.variant
    assert all(math.isnan(scores.pop(name)) for name in metric.variant)
    assert scores == {"n": 0, "unlabelled": 0}


def test_reset_forgets_everything() -> None:
    metric = Accuracy()
    metric.update([Piece(0, 0, 1)], [0])
    metric.reset()
    metric.update([Piece(0, 0, 1)], [1])
    assert metric.compute()["accuracy"] == 100


@pytest.mark.parametrize("where", [torch.bfloat16, torch.device("meta")])
def test_moving_or_casting_the_module_keeps_the_rows(where: torch.dtype | torch.device) -> None:
    metric = Accuracy()
    metric.update([Piece(1000, 0, 1), Piece(1001, 0, 0)], [1, 1])
    torch.nn.ModuleList([metric]).to(where)
    metric.update([Piece(1002, 0, 1)], [1])
    assert metric.compute() == {"accuracy": pytest.approx(200 / 3), "n": 3, "unlabelled": 0}


def test_more_golds_than_pieces_is_an_error() -> None:
    with pytest.raises(DataError, match="1 predictions for 2 gold"):
        Accuracy().update([Piece(0, 0, 1)], [0, 1])
