"""The official repository's mock predictions must score what its evaluator (with seqeval 0.0.12) says."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from statistics import mean

import pytest

from xtransfer.metrics import accuracy, exact_match, normalizer_of, span_f1, token_f1

MOCK = Path(__file__).parents[2].parent / "shared" / "data" / "xtreme_mock_test_data"

pytestmark = pytest.mark.skipif(not MOCK.is_dir(), reason="the official mock predictions are not on this machine")


def pairs(task: str, languages: int) -> Iterator[tuple[Path, Path]]:
    labels = sorted((MOCK / "labels" / task).iterdir())
    assert len(labels) == languages
    for path in labels:
        yield path, MOCK / "predictions" / task / path.name


def lines(path: Path) -> list[str]:
    return [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]


def sentences(path: Path) -> list[list[str]]:
    blocks = path.read_text(encoding="utf-8").strip().split("\n\n")
    return [block.split("\n") for block in blocks]


def questions(path: Path) -> dict[str, list[str]]:
    data = json.loads(path.read_text(encoding="utf-8"))
    paragraphs = [p for article in data.get("data", data) for p in article["paragraphs"]]
    return {qa["id"]: [answer["text"] for answer in qa["answers"]] for p in paragraphs for qa in p["qas"]}


@pytest.mark.parametrize(
    ("task", "languages", "value"), [("xnli", 15, 30.6667), ("pawsx", 7, 51.4286), ("tatoeba", 36, 53.6111)]
)
def test_accuracy(task: str, languages: int, value: float) -> None:
    found = mean(accuracy(lines(predicted), lines(gold)) for gold, predicted in pairs(task, languages))
    assert round(100 * found, 4) == value


@pytest.mark.parametrize(
    ("task", "languages", "variant", "value"),
    [
        ("panx", 40, "0.0.12", 57.5079),
        ("panx", 40, "1.x", 57.5079),
        ("udpos", 33, "0.0.12", 70.2175),
        ("udpos", 33, "1.x", 70.3981),
    ],
)
def test_span_f1(task: str, languages: int, variant: str, value: float) -> None:
    found = mean(span_f1(sentences(gold), sentences(predicted), variant) for gold, predicted in pairs(task, languages))
    assert round(100 * found, 4) == value


@pytest.mark.parametrize(
    ("task", "languages", "normalizer", "em", "f1"),
    [
        ("xquad", 11, "squad", 77.2727, 79.9587),
        ("tydiqa", 9, "squad", 88.8889, 97.2222),
        ("mlqa", 7, "mlqa", 57.1429, 81.7687),
    ],
)
def test_answers(task: str, languages: int, normalizer: str, em: float, f1: float) -> None:
    found = []
    for gold, predicted in pairs(task, languages):
        answers, golds = json.loads(predicted.read_text(encoding="utf-8")), questions(gold)
        rules = normalizer_of(normalizer, gold.stem.removeprefix("test-"))
        per_question = [(exact_match(answers[i], g, rules), token_f1(answers[i], g, rules)) for i, g in golds.items()]
        found.append([mean(column) for column in zip(*per_question, strict=True)])
    assert [round(100 * mean(column), 4) for column in zip(*found, strict=True)] == [em, f1]
