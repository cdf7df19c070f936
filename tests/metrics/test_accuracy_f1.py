"""Accuracy and the F1 of one class, against values worked out by hand and scikit-learn's."""

from __future__ import annotations

import random

import pytest

from xtransfer.metrics import AccuracyF1, Piece, class_f1


def scores(predicted: list[int], gold: list[int | None], positive: str = "1") -> dict[str, float]:
    metric = AccuracyF1(["0", "1"], positive)
    metric.update([Piece(i, 0, value) for i, value in enumerate(predicted)], gold)
    return metric.compute()


@pytest.mark.parametrize(
    ("predicted", "gold", "positive", "accuracy", "f1"),
    [
        ([1, 1, 1, 0], [1, 1, 0, 1], "1", 50, 200 / 3),  # 2 hits; 3 predicted, 3 right
        ([1, 1, 1, 0], [1, 1, 0, 1], "0", 50, 0),
        ([1, 0, 0, 0], [1, 1, 1, 0], "1", 50, 50),  # 1 hit; 1 predicted, 3 right
        ([0, 0], [0, 0], "1", 100, 0),  # the class is nowhere
        ([0, 0], [1, 1], "1", 0, 0),
    ],
)
def test_by_hand(predicted: list[int], gold: list[int | None], positive: str, accuracy: float, f1: float) -> None:
    found = scores(predicted, gold, positive)
    assert (found["accuracy"], found["f1"]) == (accuracy, pytest.approx(f1))
    assert found["accuracy_f1"] == pytest.approx((accuracy + f1) / 2)


def test_equal_to_scikit_learn() -> None:
    sklearn = pytest.importorskip("sklearn.metrics", reason="scikit-learn is the reference here")
    rng = random.Random(4)
    for _ in range(50):
        predicted, gold = (rng.choices([0, 1, 2], k=7) for _ in range(2))
        for positive in range(3):
            wanted = sklearn.f1_score(gold, predicted, labels=[positive], average="macro", zero_division=0)
            assert class_f1(predicted, gold, positive) == pytest.approx(wanted)


def test_rows_without_gold_label_are_left_out_and_counted() -> None:
    found = scores([1, 1, 0], [1, None, 0])
    assert found == {"accuracy": 100, "f1": 100, "accuracy_f1": 100, "n": 2, "unlabelled": 1}


def test_variants_name_the_class() -> None:
    metric = AccuracyF1(["no", "yes"], "yes")
    assert (metric.main, metric.variant["f1"]) == ("accuracy_f1", "F1 of class yes")
    assert set(metric.variant) == {"accuracy", "f1", "accuracy_f1"}
