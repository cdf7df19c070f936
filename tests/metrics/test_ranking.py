"""Mined pairs and ranked candidates, against values worked out by hand."""

from __future__ import annotations

import pytest

from xtransfer.errors import DataError
from xtransfer.metrics.ranking import average_precision, pair_f1


@pytest.mark.parametrize(
    ("predicted", "gold", "f1"),
    [
        ("ab cd ef", "ab cd ef gh", 2 * 1 * 0.75 / 1.75),  # precision 1, recall 3/4
        ("ab cd ef gh", "ab", 2 * 0.25 / 1.25),  # precision 1/4, recall 1
        ("ab", "ba", 0.0),  # sides swapped
        ("", "ab", 0.0),
        ("ab", "", 0.0),
        ("", "", 0.0),
    ],
)
def test_f1_of_pairs(predicted: str, gold: str, f1: float) -> None:
    sets = [{(pair[0], pair[1]) for pair in side.split()} for side in (predicted, gold)]
    assert pair_f1(*sets) == pytest.approx(f1)


@pytest.mark.parametrize(
    ("ranked", "targets", "k", "expected"),
    [
        ("xay", "a", 20, 1 / 2),  # one target: its reciprocal rank
        ("axb", "ab", 20, (1 / 1 + 2 / 3) / 2),
        ("axb", "abc", 20, (1 / 1 + 2 / 3) / 3),  # a target that was not found
        ("xxa", "a", 2, 0.0),  # beyond k
        ("xbxa", "abcd", 2, (1 / 2) / 2),  # more targets than k
        ("xaab", "ab", 20, (1 / 2 + 2 / 4) / 2),  # a candidate named twice
        ("ab", "aab", 20, 1.0),  # a target named twice
        ("", "a", 20, 0.0),
    ],
)
def test_average_precision(ranked: str, targets: str, k: int, expected: float) -> None:
    assert average_precision(list(ranked), list(targets), k) == pytest.approx(expected)


@pytest.mark.parametrize("targets", [18, 30])
def test_all_targets_first_is_a_full_score_even_with_more_than_20(targets: int) -> None:
    assert average_precision(range(40), range(targets)) == pytest.approx(1.0)


def test_a_query_without_target_has_no_score() -> None:
    with pytest.raises(DataError, match="without a right candidate"):
        average_precision(["a"], [])
