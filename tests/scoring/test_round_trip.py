"""What a kind exports scores in the evaluator what its metric says of the same pieces."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
import torch

from xtransfer.benchmarks import find
from xtransfer.evaluator import LanguageScore, score
from xtransfer.kinds import KINDS
from xtransfer.kinds.retrieval import _gold, _texts
from xtransfer.metrics import Piece
from xtransfer.task import Task

XNLI = Task(
    name="xnli",
    kind="classification",
    fields={"text": "a", "label": "label"},
    labels=("entailment", "neutral", "contradiction"),
)
XCOPA = Task(name="xcopa", kind="multiple_choice", fields={"text": "a", "choices": "b", "label": "label"})
SPAN = {"id": "id", "question": "question", "context": "context", "answers": "answers"}


def tags(name: str) -> Task:
    labels = tuple(label for label in find("xtreme").task(name).labels if name == "panx" or label != "O")
    return Task(name=name, kind="tagging", fields={"tokens": "tokens", "tags": "tags"}, labels=labels)


def both(
    folder: Path,
    task: Task,
    language: str,
    examples: list[dict[str, Any]],
    pieces: list[Piece],
    golds: list[Any],
    benchmark: str = "xtreme",
    **options: Any,
) -> tuple[dict[str, Any], LanguageScore]:
    """Score pieces by the metric of their kind, and as files by the evaluator."""
    kind = KINDS[task.kind]
    metric = kind.metric(task.spec(), language)
    metric.update(pieces, golds)
    metas = [{"id": examples[p.index].get("id"), "gold": gold} for p, gold in zip(pieces, golds, strict=True)]
    for side, text in (
        ("predictions", kind.export(pieces, metas, task.spec())),
        ("labels", kind.gold(examples, task)),
    ):
        path = folder / side / task.name / f"test-{language}.{kind.file_type(task.spec())}"
        path.parent.mkdir(parents=True)
        path.write_text(text, encoding="utf-8")
    found = score(folder / "predictions", folder / "labels", benchmark, **options)
    return metric.compute(), found.tasks[task.name].languages[language]


@pytest.mark.parametrize(("task", "benchmark", "classes"), [(XNLI, "xtreme", 3), (XCOPA, "xtreme-r", 2)])
def test_labels(tmp_path: Path, task: Task, benchmark: str, classes: int) -> None:
    dice = random.Random(1)
    examples = [{"label": dice.randrange(classes)} for _ in range(60)]
    pieces = [Piece(i, 0, dice.randrange(classes)) for i in range(60)]
    own, file = both(tmp_path, task, "tr", examples, pieces, [e["label"] for e in examples], benchmark)
    assert 20 < own["accuracy"] < 70
    assert file.scores["accuracy"] == pytest.approx(own["accuracy"], abs=1e-6)
    assert file.n == own["n"] == 60


@pytest.mark.parametrize(("variant", "name"), [("0.0.12", "f1"), ("1.x", "f1_seqeval1")])
@pytest.mark.parametrize("task", ["panx", "udpos"])
def test_tags_of_sentences_split_in_parts(tmp_path: Path, task: str, variant: str, name: str) -> None:
    dice, record = random.Random(2), tags(task)
    ids = range(len(record.labels))
    examples, pieces, golds = [], [], []
    for index in range(40):
        right = [dice.choice(ids) for _ in range(dice.randint(1, 12))]
        guess = [tag if dice.random() < 0.7 else dice.choice(ids) for tag in right]
        examples.append({"tokens": ["w"] * len(right), "label": right})
        cuts = sorted({0, *dice.sample(range(len(right)), k=min(2, len(right)))})
        for part, (start, stop) in enumerate(zip(cuts, [*cuts[1:], len(right)], strict=True)):
            pieces.append(Piece(index, part, guess[start:stop]))
            golds.append(right[start:stop])
    assert max(piece.part for piece in pieces) == 2
    own, file = both(tmp_path, record, "de", examples, pieces, golds, seqeval=variant)
    assert 5 < own[name] < 95
    assert file.scores["f1"] == pytest.approx(own[name], abs=1e-6)
    assert (file.n, own["n"]) == (40, 40)


WORDS = [
    "the",
    "cat,",
    "a",
    "Dog",
    "—",
    "das",
    "Haus!",
    "la",
    "猫在家",
    "北京。",
    "«дом»",
    "कुत्ता",
    "(an)",
    "ال",
    "البيت",
]


@pytest.mark.parametrize(
    ("task", "language"),
    [("xquad", "zh"), ("tydiqa", "ru"), ("xquad", "en"), *(("mlqa", code) for code in ("ar", "de", "hi", "zh"))],
)
def test_answers_from_several_windows(tmp_path: Path, task: str, language: str) -> None:
    options = {"normalizer": "mlqa"} if task == "mlqa" else {}
    dice, record = random.Random(3), Task(name=task, kind="span", fields=SPAN, options=options)

    def text() -> str:
        return " ".join(dice.choices(WORDS, k=dice.randint(1, 4)))

    examples, pieces, golds = [], [], []
    for index in range(80):
        right = [text() for _ in range(dice.randint(1, 3))]
        label = [(answer, dice.randrange(9)) for answer in right]
        examples.append({"id": f"q-{index}", "question": "?", "context": f"c{index // 3}", "label": label})
        for part in range(dice.randint(1, 4)):
            guess = dice.choice([*right, text(), text(), ""])
            # 'No answer' scores high, but has no say in data where every question has one.
            pieces.append(Piece(index, part, guess, dice.gauss(0, 1) if guess else float("-inf"), 9.0))
            golds.append(right)
    own, file = both(tmp_path, record, language, examples, pieces, golds)
    assert 5 < own["em"] < own["f1"] < 95
    assert file.scores == pytest.approx({"em": own["em"], "f1": own["f1"]}, abs=1e-6)
    assert (file.n, file.unanswered, file.unknown) == (80, 0, 0)


@pytest.mark.parametrize(
    ("name", "benchmark", "method", "score_name"),
    [
        ("tatoeba", "xtreme", "nearest", "accuracy"),
        ("bucc2018", "xtreme", "mining", "f1"),
        ("lareqa", "xtreme-r", "ranking", "map20"),
    ],
)
def test_retrieval(tmp_path: Path, name: str, benchmark: str, method: str, score_name: str) -> None:
    torch.manual_seed(4)
    lines = torch.randperm(30).tolist()
    if method == "nearest":
        fields: dict[str, Any] = {"text": "en", "candidate": "xx", "candidate_id": "line"}
        examples = [
            {"text": f"t{i}", "candidate": f"c{i}", "id": str(line), "label": 0, "index": i}
            for i, line in enumerate(lines)
        ]
    else:
        fields = {"text": "text", "side": "side", "id": "id", "targets": "targets"}
        sides = [{"text": f"c{i}", "side": "candidate", "id": f"c{i}", "targets": None, "label": 0} for i in lines]
        targets = [[f"c{i}", f"c{(i + 7) % 30}"] if method == "ranking" and i % 2 else [f"c{i}"] for i in range(30)]
        examples = sides + [
            {"text": f"q{i}", "side": "query", "id": f"q{i}", "targets": right, "label": 0}
            for i, right in enumerate(targets)
        ]
    task = Task(name=name, kind="retrieval", fields=fields, options={"method": method})
    pieces, golds = [], []
    vectors = {f"{i}": torch.randn(4) for i in range(30)}
    for index, example in enumerate(examples):
        for part, (side, text) in enumerate(_texts(example)):
            pieces.append(Piece(index, part, vectors[text[1:]] + 0.4 * torch.randn(4)))
            golds.append(_gold(example, side, text))
    own, file = both(tmp_path, task, "de", examples, pieces, golds, benchmark)
    assert 20 < own["en"][score_name] < 95
    assert file.scores == {score_name: pytest.approx(own["en"][score_name], abs=1e-6)}
    assert file.n == own["en"]["n"] == 30


def test_tatoeba_labels_are_the_official_line_numbers() -> None:
    task = Task(name="tatoeba", kind="retrieval", fields={"text": "en", "candidate": "xx", "candidate_id": "line"})
    rows = [{"en": "A dog runs.", "xx": "Der Hund läuft.", "line": 1}, {"en": "Eat!", "xx": "Iss!", "line": 0}]
    kind = KINDS["retrieval"]
    assert kind.gold([kind.example(row, task, "de") for row in rows], task) == "1\n0\n"
