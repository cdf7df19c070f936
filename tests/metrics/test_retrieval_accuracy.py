from __future__ import annotations

import math

import pytest
import torch

from xtransfer.errors import DataError
from xtransfer.metrics import Piece, RetrievalAccuracy, retrieve


def query(index: int, gold: int | None, *vector: float) -> tuple[Piece, dict[str, object]]:
    return Piece(index, 0, torch.tensor(vector)), {"side": "query", "gold": gold}


def candidate(index: int, *vector: float) -> tuple[Piece, dict[str, object]]:
    return Piece(index, 1, torch.tensor(vector)), {"side": "candidate", "gold": index}


def score(*items: tuple[Piece, dict[str, object]]) -> dict[str, float]:
    metric = RetrievalAccuracy()
    for piece, gold in items:
        metric.update([piece], [gold])
    return metric.compute()


def test_retrieve_is_by_cosine_not_by_length() -> None:
    assert retrieve(torch.tensor([[1.0, 0.0], [0.0, 5.0]]), torch.tensor([[10.0, 10.0], [0.1, 0.0], [0.0, 0.2]])) == [
        1,
        2,
    ]


@pytest.mark.parametrize("copies", [5, 17, 101])
def test_of_equal_candidates_the_lowest_is_retrieved(copies: int) -> None:
    # Matrix products of these sizes give copies of one vector scores that differ in the last digit.
    torch.manual_seed(0)
    queries, vector = torch.randn(3, 17), torch.randn(17)
    assert retrieve(queries, torch.stack([vector] * copies)) == [0, 0, 0]
    assert retrieve(vector[None], torch.stack([-vector, *[vector] * copies])) == [1]


def test_retrieve_needs_candidates() -> None:
    with pytest.raises(DataError, match="no candidates to search for 2 queries"):
        retrieve(torch.ones(2, 3), torch.ones(0, 3))


def test_accuracy_against_gold_candidates_in_any_order() -> None:
    items = [
        candidate(2, 0.0, 3.0),
        query(0, 1, 1.0, 0.1),  # nearest 1: right
        query(1, 0, 0.1, 1.0),  # nearest 2: wrong
        candidate(1, 1.0, 0.0),
        candidate(0, -1.0, 0.0),
        query(5, 0, -1.0, 0.2),  # nearest 0: right
    ]
    assert score(*items) == {"accuracy": pytest.approx(200 / 3), "n": 3, "unlabelled": 0}
    assert score(*items, *items[:2]) == score(*items), "repeats count once"


def test_ties_go_to_the_lowest_index_not_to_the_first_seen() -> None:
    assert score(query(0, 1, 1.0, 0.0), candidate(2, 1.0, 0.0), candidate(1, 1.0, 0.0))["accuracy"] == 100


def test_a_query_whose_candidate_is_missing_is_wrong() -> None:
    assert score(query(0, 7, 1.0), candidate(0, 1.0)) == {"accuracy": 0, "n": 1, "unlabelled": 0}


def test_a_query_without_gold_is_counted_and_an_empty_pool_scores_nothing() -> None:
    assert score(query(0, None, 1.0), query(1, 1, 1.0), candidate(1, 1.0)) == {"accuracy": 100, "n": 1, "unlabelled": 1}
    assert math.isnan(score(query(0, 0, 1.0))["accuracy"])


@pytest.mark.parametrize("broken", [math.nan, math.inf])
def test_a_broken_embedding_is_named(broken: float) -> None:
    with pytest.raises(DataError, match=r"example 12 \(candidate\)"):
        score(query(0, 12, 1.0, 1.0), candidate(12, 1.0, broken))


def test_an_unknown_side_is_named() -> None:
    with pytest.raises(DataError, match="did you mean 'query'"):
        RetrievalAccuracy().update([Piece(0, 0, torch.ones(2))], [{"side": "querry", "gold": 0}])
