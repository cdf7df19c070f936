from __future__ import annotations

import math
import random

import pytest

from xtransfer.errors import DataError
from xtransfer.metrics import Piece, SpanScores, choose_answer, exact_match, normalize_answer, token_f1

NOTHING = -math.inf


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("The  Cat's, (a)\tan Umbrella!", "cats umbrella"),
        ("another theatre", "another theatre"),
        ("A.N. Other", "other"),  # punctuation goes first, so that an article can appear
        ("the-cat", "thecat"),  # punctuation leaves no gap
        ("北京。", "北京。"),  # only ASCII punctuation
        ("Der Hund", "der hund"),  # only English articles
        ("¿Qué? la", "¿qué la"),
        ("", ""),
    ],
)
def test_normalisation(text: str, normal: str) -> None:
    assert normalize_answer(text) == normal


@pytest.mark.parametrize(
    ("prediction", "golds", "f1", "em"),
    [
        ("the quick brown fox", ["brown fox jumps"], 2 / 3, 0),
        ("x x y", ["x z"], 0.4, 0),  # multisets: one of the two x is right ...
        ("x x y", ["x x x z"], 4 / 7, 0),  # ... and here both
        ("The Cat!", ["dog", "a cat"], 1, 1),  # the best of the gold answers
        ("cat dog", ["cat", "cat dog bird"], 0.8, 0),
        ("北京市", ["北京"], 0, 0),  # one token, so no overlap
        ("", ["cat"], 0, 0),
        ("", [], 1, 1),
        ("cat", [], 0, 0),
    ],
)
def test_f1_and_exact_match(prediction: str, golds: list[str], f1: float, em: float) -> None:
    assert token_f1(prediction, golds) == pytest.approx(f1)
    assert exact_match(prediction, golds) == em


def scores(pieces: list[Piece], golds: list[list[str]], **settings: float) -> tuple[float, float]:
    metric = SpanScores(**settings)
    metric.update(pieces, golds)
    found = metric.compute()
    return found["f1"], found["em"]


def test_the_best_window_answers() -> None:
    pieces = [
        Piece(7, 0, "blue whale", 1.0),
        Piece(7, 1, "blue cat", 3.0),
        Piece(7, 2, "cat", 2.0),
        Piece(8, 0, "x", -9.0),
    ]
    assert scores(pieces, [["blue"]] * 3 + [["x"]]) == (pytest.approx((2 / 3 + 1) / 2 * 100), 50)
    assert choose_answer(pieces[:3]) == "blue cat"


def test_equally_good_windows_the_first_wins_in_any_order() -> None:
    pieces = [Piece(0, 1, "second", 1.0), Piece(0, 0, "first", 1.0)]
    assert choose_answer(pieces) == "first"
    assert scores(pieces, [["first"]] * 2) == (100, 100)


def test_no_answer_takes_the_lowest_null_score_of_all_windows() -> None:
    pieces = [Piece(0, 0, "wrong", 1.0, null_score=5.0), Piece(0, 1, "right", 3.0, null_score=-1.0)]
    assert choose_answer(pieces, no_answer=True) == "right"
    assert scores(pieces, [["right"]] * 2, no_answer=True) == (100, 100)


@pytest.mark.parametrize(("threshold", "answer"), [(0.0, ""), (0.5, ""), (1.0, "x"), (2.0, "x")])
def test_no_answer_must_win_by_more_than_the_threshold(threshold: float, answer: str) -> None:
    piece = Piece(0, 0, "x", 3.0, null_score=4.0)
    assert choose_answer([piece], no_answer=True, threshold=threshold) == answer
    hit, miss = (100.0, 100.0), (0.0, 0.0)
    assert scores([piece], [[]], no_answer=True, threshold=threshold) == (miss if answer else hit)
    assert scores([piece], [["x"]], no_answer=True, threshold=threshold) == (hit if answer else miss)


def test_version_1_always_answers_while_a_window_has_one() -> None:
    pieces = [Piece(0, 0, "", NOTHING, 9.0), Piece(0, 1, "x", -1e30, 9.0), Piece(0, 2, " ", 50.0, 9.0)]
    assert choose_answer(pieces) == "x"
    assert scores(pieces, [["x"]] * 3) == (100, 100)
    assert choose_answer(pieces[:1]) == ""
    assert scores(pieces[:1], [["x"]]) == (0, 0)


def test_version_2_without_any_answer_predicts_none() -> None:
    piece = Piece(0, 0, "", NOTHING, -50.0)
    assert choose_answer([piece], no_answer=True, threshold=10) == ""
    assert scores([piece], [[]], no_answer=True, threshold=10) == (100, 100)


def test_version_2_leaves_out_gold_answers_that_are_articles_alone() -> None:
    piece = Piece(0, 0, "", NOTHING, 0.0)
    assert scores([piece], [["The"]], no_answer=True) == (100, 100)


@pytest.mark.parametrize("no_answer", [False, True])
def test_files_and_scores_make_the_same_choice(no_answer: bool) -> None:
    rng = random.Random(3)
    metric = SpanScores(no_answer, threshold=0.5)
    empty = 0
    for index in range(300):
        pieces = []
        for part in range(rng.randint(1, 4)):
            text = rng.choice(["", f"w{part}", f"w{part}"])
            score = NOTHING if not text else rng.randint(-2, 2)
            pieces.append(Piece(index, part, text, score, rng.randint(-2, 4)))
        answer = choose_answer(pieces, no_answer, 0.5)
        empty += not answer
        rng.shuffle(pieces)
        metric.update(pieces, [[answer] if answer else []] * len(pieces))
    assert 10 < empty < 290
    assert metric.compute() == {"f1": 100, "em": 100, "n": 300, "unlabelled": 0}


def test_windows_without_gold_are_counted_and_bad_input_is_named() -> None:
    metric = SpanScores()
    metric.update([Piece(0, 0, "x", 1.0), Piece(1, 0, "x", 1.0)], [None, ["x"]])
    assert metric.compute() == {"f1": 100, "em": 100, "n": 1, "unlabelled": 1}
    for broken in (Piece(4, 2, "x", math.nan), Piece(4, 2, "x", 0.0, math.nan)):
        with pytest.raises(DataError, match="example 4, window 2"):
            metric.update([broken], [["x"]])
        with pytest.raises(DataError, match="example 4, window 2"):
            choose_answer([broken])
    with pytest.raises(DataError, match="no window"):
        choose_answer([])


def test_the_variant_names_script_and_threshold() -> None:
    assert SpanScores().variant["f1"] == "SQuAD v1.1"
    assert SpanScores(no_answer=True, threshold=-1.5).variant["em"] == "SQuAD v2.0 at threshold -1.5"
