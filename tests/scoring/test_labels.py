"""The labels folder, written from data sets in their own formats."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from xtransfer.errors import ConfigError, DataError
from xtransfer.evaluator import score
from xtransfer.kinds import KINDS
from xtransfer.labels import LabelFile, summary, write_labels
from xtransfer.task import Task

DATA = Path(__file__).parents[1] / "data"


def by_language(files: list[LabelFile], task: str) -> dict[str, LabelFile]:
    return {file.language: file for file in files if file.task == task}


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[LabelFile]]:
    out = tmp_path_factory.mktemp("labels")
    return out, write_labels(out, "xtreme-r", DATA)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("xnli/test-de.tsv", "entailment\nneutral\ncontradiction\n"),
        ("panx/test-en.tsv", "B-PER\nI-PER\nO\n\nB-LOC\nO\n\nB-ORG\nI-ORG\nI-ORG\n"),
        ("xcopa/test-it.jsonl", '{"label": 0}\n{"label": 1}\n{"label": 0}\n'),
        ("tatoeba/test-de.tsv", "1\n2\n0\n"),  # A dog ..., Everybody ..., The cat ...
    ],
)
def test_contents(written: tuple[Path, list[LabelFile]], name: str, content: str) -> None:
    assert (written[0] / name).read_text(encoding="utf-8") == content


def test_answers_keep_their_ids_offsets_and_passages(written: tuple[Path, list[LabelFile]]) -> None:
    root = json.loads((written[0] / "xquad" / "test-de.json").read_text(encoding="utf-8"))
    (paragraph,) = root["data"][0]["paragraphs"]
    assert paragraph["context"] == " Die Katze schläft im alten Haus. Der Hund läuft zum Fluss."
    assert [(qa["id"], qa["answers"]) for qa in paragraph["qas"]] == [
        ("q0", [{"text": "im alten Haus", "answer_start": 19}]),
        ("q1", [{"text": "Der Hund", "answer_start": 34}]),
        ("q2", [{"text": "zum Fluss", "answer_start": 49}]),
    ]


def test_multi_word_tokens_have_one_tag_in_the_labels(written: tuple[Path, list[LabelFile]]) -> None:
    sentences = (written[0] / "udpos" / "test-en.tsv").read_text(encoding="utf-8").split("\n\n")
    assert [len(sentence.split()) for sentence in sentences] == [4, 3, 3]


def test_what_is_written_is_what_the_evaluator_reads(written: tuple[Path, list[LabelFile]], tmp_path: Path) -> None:
    out, files = written
    for file in files:
        if file.path and file.path.suffix != ".json":
            (tmp_path / file.task).mkdir(exist_ok=True)
            shutil.copy(file.path, tmp_path / file.task)
    (tmp_path / "xquad").mkdir()
    (tmp_path / "xquad" / "test-en.json").write_text('{"q0": "old house", "q1": "dog", "q2": "to the river"}')
    scores = score(tmp_path, out, "xtreme-r")
    assert scores.tasks["xquad"].languages["en"].scores["em"] == pytest.approx(100 * 2 / 3)
    for task in ("xnli", "panx", "udpos", "xcopa", "tatoeba"):
        there = {file.language for file in files if file.task == task and file.path}
        assert set(scores.tasks[task].languages) == there
        assert {one.value for one in scores.tasks[task].languages.values()} == {100.0}


def test_the_rest_is_listed_with_its_reason(written: tuple[Path, list[LabelFile]]) -> None:
    out, files = written
    xnli = by_language(files, "xnli")
    assert {language for language, file in xnli.items() if file.path} == {"ar", "de", "en"}
    assert "expected rows, found none of language 'sw'" in xnli["sw"].reason
    assert not (out / "xnli" / "test-sw.tsv").exists()
    assert "looked for 'xquad.ro.json'" in by_language(files, "xquad")["ro"].reason
    text = summary(files)
    assert "| xnli    |   3 of 15 | ar de en" in text
    assert "no labels: xnli bg el es fr hi ru sw th tr ur vi zh: " in text
    assert "incomplete: xnli de: 3 rows, 5010 are published" in text
    # One line for all languages that lack their files, not one each.
    assert sum(line.startswith("no labels: tatoeba") for line in text.splitlines()) == 1


@pytest.mark.parametrize(
    ("task", "folder", "language", "reason"),
    [
        ("xnli", "formats/xnli-xtreme", "de", "3 of 3 rows have no gold label"),
        ("panx", "formats/panx-xtreme", "de", "3 of 3 rows have no gold label"),
        ("udpos", "formats/udpos-xtreme", "en", "3 of 3 rows have no gold label"),
        ("tydiqa", "formats/tydiqa-xtreme", "ru", "rows have no gold label"),
    ],
)
def test_rows_without_gold_get_no_file(tmp_path: Path, task: str, folder: str, language: str, reason: str) -> None:
    (file,) = write_labels(tmp_path, "xtreme", DATA, [task], [language], {task: folder})
    assert reason in file.reason
    assert list(tmp_path.iterdir()) == []


def test_an_older_file_stays_and_is_told(tmp_path: Path) -> None:
    old = tmp_path / "xnli" / "test-de.tsv"
    old.parent.mkdir()
    old.write_text("neutral\n")
    (file,) = write_labels(tmp_path, "xtreme", DATA, ["xnli"], ["de"], {"xnli": "formats/xnli-xtreme"})
    assert file.reason.endswith(f"({old} lies there from before)")
    assert old.read_text() == "neutral\n"


def test_wrong_names_are_refused_before_anything_is_written(tmp_path: Path) -> None:
    for wrong, message in [
        ({"benchmark": "xtreme", "tasks": ["xcopa"]}, "XTREME has no task 'xcopa'"),
        ({"languages": ["deu"]}, "XTREME has no language 'deu' here; known: af, ar,"),
        ({"folders": {"xnl": "x"}}, "XTREME has no task 'xnl'; did you mean 'xnli'"),
        ({"data_dir": DATA / "nowhere"}, "no folder"),
    ]:
        with pytest.raises(ConfigError, match=message):
            write_labels(tmp_path, **{"data_dir": DATA, **wrong})  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []


def test_a_word_without_gold_tag_is_named() -> None:
    task = Task(name="panx", kind="tagging", fields={"tokens": "w", "tags": "t"}, labels=("B-PER", "O"))
    kind = KINDS["tagging"]
    rows = [{"w": ["a"], "t": ["O"]}, {"w": ["Anna", "runs"], "t": ["B-PER", ""]}]
    with pytest.raises(DataError, match="the word 'runs' of row 2 has no gold tag"):
        kind.gold([kind.example(row, task, "en") for row in rows], task)


def test_questions_without_answer_say_so() -> None:
    fields = {name: name for name in ("id", "question", "context", "answers")}
    task = Task(name="squad_v2", kind="span", fields=fields, options={"no_answer": True})
    row = {"id": "q", "question": "?", "context": "c", "answers": {"text": [], "answer_start": []}}
    root = json.loads(KINDS["span"].gold([KINDS["span"].example(row, task, "en")], task))
    assert root["data"][0]["paragraphs"][0]["qas"][0] == {
        "id": "q",
        "question": "?",
        "answers": [],
        "is_impossible": True,
    }
