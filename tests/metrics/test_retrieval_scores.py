from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from xtransfer.errors import DataError
from xtransfer.metrics import Piece, RetrievalScores, retrieve

Given = tuple[str, Piece, dict[str, Any]]


def query(index: int, targets: list[str] | None, *vector: float, language: str = "en", text: str = "") -> Given:
    gold = {"side": "query", "id": f"q{index}", "text": text or f"query {index}", "targets": targets}
    return language, Piece(index, 0, torch.tensor(vector)), gold


def candidate(index: int, *vector: float, language: str = "en", text: str = "", name: str = "") -> Given:
    gold = {"side": "candidate", "id": name or f"c{index}", "text": text or f"candidate {index}", "targets": None}
    return language, Piece(index, 1, torch.tensor(vector)), gold


def fed(metric: RetrievalScores, *items: Given) -> dict[str, dict[str, float]]:
    for language, piece, gold in items:
        metric.update([piece], [gold], language)
    return metric.compute()


def nearest(*items: Given) -> dict[str, float]:
    return fed(RetrievalScores(), *items)["en"]


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


def test_search_needs_candidates() -> None:
    with pytest.raises(DataError, match="no candidates to search for 2 queries"):
        retrieve(torch.ones(2, 3), torch.ones(0, 3))
    with pytest.raises(DataError, match="no candidates to search for 1 queries"):
        nearest(query(0, ["c0"], 1.0))


def test_accuracy_against_gold_candidates_in_any_order() -> None:
    items = [
        candidate(2, 0.0, 3.0),
        query(0, ["c1"], 1.0, 0.1),  # nearest 1: right
        query(1, ["c0"], 0.1, 1.0),  # nearest 2: wrong
        candidate(1, 1.0, 0.0),
        candidate(0, -1.0, 0.0),
        query(5, ["c2", "c0"], -1.0, 0.2),  # nearest 0: one of the right ones
    ]
    assert nearest(*items) == {"accuracy": pytest.approx(200 / 3), "n": 3, "unlabelled": 0}
    assert nearest(*items, *items[:2]) == nearest(*items), "repeats count once"


def test_ties_go_to_the_lowest_index_not_to_the_first_seen() -> None:
    assert nearest(query(0, ["c1"], 1.0, 0.0), candidate(2, 1.0, 0.0), candidate(1, 1.0, 0.0))["accuracy"] == 100


def test_a_query_whose_candidate_is_missing_is_wrong() -> None:
    assert nearest(query(0, ["c7"], 1.0), candidate(0, 1.0)) == {"accuracy": 0, "n": 1, "unlabelled": 0}


def test_a_query_without_gold_is_counted_and_retrieved_all_the_same() -> None:
    metric = RetrievalScores()
    found = fed(metric, query(0, None, 1.0), query(1, ["c1"], 1.0), candidate(1, 1.0))
    assert found == {"en": {"accuracy": 100, "n": 1, "unlabelled": 1}}
    assert metric.predictions == {"en": [("q0", ["c1"]), ("q1", ["c1"])]}


@pytest.mark.parametrize("broken", [math.nan, math.inf])
def test_a_broken_embedding_is_named(broken: float) -> None:
    with pytest.raises(DataError, match=r"example 12 \(candidate\)"):
        nearest(query(0, ["c12"], 1.0, 1.0), candidate(12, 1.0, broken))


def test_an_unknown_side_is_named() -> None:
    gold = {"side": "querry", "id": "", "text": "", "targets": None}
    with pytest.raises(DataError, match="did you mean 'query'"):
        RetrievalScores().update([Piece(0, 0, torch.ones(2))], [gold])


def test_languages_have_pools_of_their_own_or_share_one() -> None:
    items = [
        query(0, ["c0"], 1.0, 0.0, language="de"),
        candidate(0, 1.0, 0.5, language="de"),
        query(0, ["x0"], 0.0, 1.0, language="fr"),
        candidate(0, 1.0, 0.0, language="fr", name="x0"),
    ]
    apart = fed(RetrievalScores(), *items)
    assert {language: scores["accuracy"] for language, scores in apart.items()} == {"de": 100, "fr": 100}
    together = fed(RetrievalScores(shared_pool=True), *items)  # each is nearer to the other's candidate
    assert {language: scores["accuracy"] for language, scores in together.items()} == {"de": 0, "fr": 0}


# ------------------------------------------------------------------ rankings
def test_mean_average_precision_over_several_right_candidates() -> None:
    angles = [candidate(i, math.cos(0.1 * i), math.sin(0.1 * i)) for i in range(25)]
    metric = RetrievalScores("ranking")
    found = fed(
        metric,
        query(0, ["c0", "c2"], 1.0, 0.0),  # ranks 1 and 3: (1 + 2/3) / 2
        query(1, ["c4"], 1.0, 0.0),  # rank 5
        query(2, ["c22"], 1.0, 0.0),  # rank 23: not among the first 20
        *angles,
    )
    assert found["en"] == {"map20": pytest.approx(100 * (5 / 6 + 1 / 5 + 0) / 3), "n": 3, "unlabelled": 0}
    assert metric.predictions["en"][0] == ("q0", [f"c{i}" for i in range(20)])


def test_a_candidate_that_several_pairs_name_is_ranked_once() -> None:
    metric = RetrievalScores("ranking")
    twice = [candidate(i, 1.0, 0.0, name="same") for i in range(2)]
    fed(metric, query(0, ["c5"], 1.0, 0.0), *twice, candidate(5, 1.0, 1.0))
    assert metric.predictions["en"] == [("q0", ["same", "c5"])]


# ------------------------------------------------------------------ mining
def translations(*gold: str | None) -> list[Given]:
    """Three sentences and their translations, the last pair far less alike than the others."""
    vectors = [(1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)]
    near = [(1.0, 0.1, 0.0), (0.0, 1.0, 0.1), (0.6, 0.5, 0.65)]
    queries = [
        query(i, None if g is None else [g] * bool(g), *v) for i, (g, v) in enumerate(zip(gold, vectors, strict=True))
    ]
    return queries + [candidate(3 + i, *v) for i, v in enumerate(near)]


def test_threshold_is_chosen_on_the_development_rows_and_applied_to_the_test_rows() -> None:
    dev = RetrievalScores("mining", neighbours=2)
    scores = fed(dev, *translations("c3", "c4", ""))["en"]
    assert scores == {"f1": 100, "precision": 100, "recall": 100, "n": 2, "unlabelled": 0}
    threshold, how = dev.thresholds["en"]
    assert how == "best on these rows"

    test = RetrievalScores("mining", neighbours=2)
    test.chosen = {"en": threshold}
    scores = fed(test, *translations("c3", "c4", "c5"))["en"]
    assert scores == {
        "f1": pytest.approx(80),
        "precision": 100,
        "recall": pytest.approx(200 / 3),
        "n": 3,
        "unlabelled": 0,
    }
    assert test.predictions["en"] == [("q1", ["c4"]), ("q0", ["c3"])], "best first"
    assert test.thresholds["en"] == (threshold, "chosen on the validation rows")

    given = RetrievalScores("mining", neighbours=2, threshold=0.0)
    assert fed(given, *translations("c3", "c4", "c5"))["en"]["f1"] == 100
    assert given.thresholds["en"] == (0.0, "given")


def test_test_rows_without_a_threshold_are_not_scored() -> None:
    metric = RetrievalScores("mining")
    metric.chosen = {"de": 1.0}
    with pytest.raises(DataError, match="language 'en': no threshold"):
        fed(metric, *translations("c3", "c4", "c5"))


def test_mined_rows_without_gold_are_written_but_not_scored() -> None:
    metric = RetrievalScores("mining", neighbours=2, threshold=0.0)
    scores = fed(metric, *translations(None, None, None))["en"]
    assert (scores["n"], scores["unlabelled"]) == (0, 3)
    assert len(metric.predictions["en"]) == 3


@pytest.mark.parametrize(("drop", "pairs"), [(True, {"q1 c4"}), (False, {"q0 c3", "q7 c3", "q1 c4"})])
def test_texts_that_occur_twice_are_left_out_as_officially_or_give_a_pair_each(drop: bool, pairs: set[str]) -> None:
    items = [
        query(0, ["c3"], 1.0, 0.0, text="same"),
        query(7, ["c3"], 1.0, 0.0, text="same"),
        query(1, ["c4"], 0.0, 1.0),
        candidate(3, 1.0, 0.1),
        candidate(4, 0.1, 1.0),
    ]
    metric = RetrievalScores("mining", neighbours=2, threshold=0.0, drop_repeated=drop)
    fed(metric, *items)
    assert {f"{query} {names[0]}" for query, names in metric.predictions["en"]} == pairs
