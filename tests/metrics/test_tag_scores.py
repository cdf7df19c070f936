from __future__ import annotations

import random
from typing import Any

import pytest

from xtransfer.errors import DataError
from xtransfer.metrics import Piece, TagScores, span_f1, spans

POS = [
    "ADJ",
    "ADP",
    "ADV",
    "AUX",
    "CCONJ",
    "DET",
    "INTJ",
    "NOUN",
    "NUM",
    "PART",
    "PRON",
    "PROPN",
    "PUNCT",
    "SCONJ",
    "SYM",
    "VERB",
    "X",
]
BIO = ["B-LOC", "B-ORG", "B-PER", "I-LOC", "I-ORG", "I-PER", "O"]
ODD = ["O", ".", "B", "I", "E", "S", "B-X", "I-X", "E-X", "S-X", "I-X-Y", "X", "B-O", ".-X", "O-X", "EX"]
TAG_SETS = {"pos": POS, "bio": BIO, "odd": ODD}


def draw(tags: list[str], rng: random.Random, sentences: int) -> tuple[list[list[str]], list[list[str]]]:
    """Sentences of 1 to 12 words, and copies of them in which at most 3 tags in 10 differ."""
    gold = [rng.choices(tags, k=rng.randint(1, 12)) for _ in range(sentences)]
    predicted = [[tag if rng.random() < 0.7 else rng.choice(tags) for tag in sentence] for sentence in gold]
    return gold, predicted


# What seqeval 0.0.12's get_entities returned.
REFERENCE = [
    (
        "NOUN NOUN VERB SYM SYM SCONJ CCONJ X X INTJ INTJ PUNCT",
        "NOUN:0-1 VERB:2-2 SYM:3-3 SYM:4-4 SCONJ:5-5 CCONJ:6-6 X:7-8 INTJ:9-10 PUNCT:11-11",
    ),
    ("B-PER I-PER I-LOC O I-ORG B-ORG B-ORG I-ORG", "PER:0-1 LOC:2-2 ORG:4-4 ORG:5-5 ORG:6-7"),
    ("B-PER I-ORG I-PER O", "PER:0-0 ORG:1-1 PER:2-2"),
    ("I-X-Y I-Z-Y E-X E-X S-X I-X", "Y:0-1 X:2-2 X:3-3 X:4-4 X:5-5"),
    ("X X O X", "X:0-1 X:3-3"),
]


@pytest.mark.parametrize(("tags", "found"), REFERENCE)
def test_spans_of_seqeval_0(tags: str, found: str) -> None:
    assert " ".join(f"{s.type}:{s.start}-{s.end}" for s in spans(tags.split(), "0.0.12")) == found


# What seqeval 0.0.12's f1_score returned for 200 sentences drawn as above from seed 0.
@pytest.mark.parametrize(("tags", "value"), [(POS, 0.69792091316755), (BIO, 0.7052740434332989)])
def test_f1_of_seqeval_0(tags: list[str], value: float) -> None:
    assert span_f1(*draw(tags, random.Random(0), 200), "0.0.12") == pytest.approx(value, abs=1e-12)


@pytest.mark.filterwarnings("ignore:.*seems not to be NE tag")
@pytest.mark.filterwarnings("ignore::seqeval.metrics.v1.UndefinedMetricWarning")
@pytest.mark.parametrize("tags", TAG_SETS.values(), ids=TAG_SETS)
def test_equal_to_seqeval_1(tags: list[str]) -> None:
    seqeval: Any = pytest.importorskip("seqeval.metrics.sequence_labeling", reason="seqeval is the reference here")
    rng = random.Random(1)
    for _ in range(100):
        gold, predicted = draw(tags, rng, 10)
        assert span_f1(gold, predicted, "1.x") == pytest.approx(seqeval.f1_score(gold, predicted), abs=1e-12)
        for sentence in gold:
            assert [tuple(span) for span in spans(sentence, "1.x")] == seqeval.get_entities(sentence)


def test_lenient_and_the_two_versions_differ() -> None:
    assert span_f1([["B-PER", "I-PER"]], [["I-PER", "I-PER"]]) == 1
    assert span_f1([["CCONJ", "NOUN"]], [["SCONJ", "NOUN"]], "0.0.12") == 0.5
    assert span_f1([["CCONJ", "NOUN"]], [["SCONJ", "NOUN"]], "1.x") == 1


def test_spans_do_not_cross_sentences_and_none_at_all_scores_0() -> None:
    assert span_f1([["NOUN"], ["NOUN"]], [["NOUN"], ["VERB"]]) == 0.5
    assert span_f1([["O"]], [["O"]]) == 0


def test_a_missing_sentence_or_word_is_an_error() -> None:
    with pytest.raises(DataError, match="1 predicted sentences for 2 gold"):
        span_f1([["O"], ["O"]], [["O"]])
    with pytest.raises(DataError, match="sentence 2: 1 predicted tags for 2 words"):
        span_f1([["O"], ["O", "O"]], [["O"], ["O"]])


def ids(tags: str, names: list[str] = BIO) -> list[int]:
    return [-1 if tag == "?" else names.index(tag) for tag in tags.split()]


def test_parts_of_a_sentence_are_joined_before_spans_are_found() -> None:
    metric = TagScores(BIO)
    parts = [Piece(3, 1, ids("O O")), Piece(3, 0, ids("B-PER")), Piece(1, 0, ids("B-LOC"))]
    metric.update(parts, [ids("I-PER O"), ids("B-PER"), ids("B-LOC")])
    # One gold span of two words, of which the prediction has one word: not the same span.
    assert metric.compute() == {"f1": 50, "f1_seqeval1": 50, "accuracy": 75, "n": 2, "unlabelled": 0}


def test_both_versions_are_reported() -> None:
    metric = TagScores(POS)
    metric.update([Piece(0, 0, ids("SCONJ NOUN", POS))], [ids("CCONJ NOUN", POS)])
    scores = metric.compute()
    assert (scores["f1"], scores["f1_seqeval1"], scores["accuracy"]) == (50, 100, 50)
    assert set(metric.variant) == {"f1", "f1_seqeval1", "accuracy"}


def test_words_without_gold_label_are_left_out_and_counted() -> None:
    metric = TagScores(POS)
    golds = [ids("NOUN ? NOUN", POS), None]
    metric.update([Piece(0, 0, ids("NOUN VERB NOUN", POS)), Piece(1, 0, ids("X X", POS))], golds)
    assert metric.compute() == {"f1": 100, "f1_seqeval1": 100, "accuracy": 100, "n": 1, "unlabelled": 3}


def test_a_gold_tag_that_is_no_label_is_never_predicted() -> None:
    metric = TagScores(["NOUN", "VERB"], unseen=True)
    metric.update([Piece(0, 0, [0, 1, 0, 0])], [[0, 1, 2, 2]])
    # Gold spans: NOUN, VERB, and one of two unseen words; predicted: NOUN, VERB, NOUN.
    assert metric.compute() == {
        "f1": pytest.approx(100 * 2 / 3),
        "f1_seqeval1": pytest.approx(100 * 2 / 3),
        "accuracy": 50,
        "n": 1,
        "unlabelled": 0,
    }
    for predicted, gold in ((2, 0), (0, 3)):
        with pytest.raises(DataError, match="no tag has id"):
            metric.update([Piece(1, 0, [predicted])], [[gold]])


def test_lengths_and_ids_are_checked() -> None:
    metric = TagScores(BIO)
    with pytest.raises(DataError, match="example 5, part 1: 1 predicted tags for 2 words"):
        metric.update([Piece(5, 1, [0])], [[0, 0]])
    for predicted, gold in ((7, 0), (0, 7), (-1, 0)):
        with pytest.raises(DataError, match=r"example 5, part 1: no tag has id (7|-1)"):
            metric.update([Piece(5, 1, [predicted])], [[gold]])
    metric.update([Piece(5, 0, [])], [[]])
    assert metric.n == 0
