"""SQuAD's JSON: what an answer is, what none is, and where a file departs from the format."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from xtransfer.errors import DataError
from xtransfer.sources import SquadJson
from xtransfer.task import WHERE, Row

SOURCE = SquadJson(paths={"test": "q.json"})


def question(name: str, *answers: tuple[str, int], **more: object) -> dict[str, Any]:
    return {"id": name, "question": "?", "answers": [{"text": t, "answer_start": s} for t, s in answers], **more}


def write(tmp_path: Path, *questions: dict[str, Any], context: str = " a cat ") -> Path:
    root = {"data": [{"title": "T", "paragraphs": [{"context": context, "qas": list(questions)}]}], "extra": 1}
    (tmp_path / "q.json").write_text(json.dumps(root))
    return tmp_path


def read(folder: Path, source: SquadJson = SOURCE) -> list[Row]:
    return list(source.rows("test", "en", folder))


def test_rows_are_flat_and_contexts_untouched(tmp_path: Path) -> None:
    rows = read(write(tmp_path, question("1", ("cat", 3), ("a cat", 1))))
    answers = {"text": ["cat", "a cat"], "answer_start": [3, 1]}
    assert rows == [
        {"id": "1", "title": "T", "context": " a cat ", "question": "?", "answers": answers}
        | {WHERE: f"{tmp_path.name}/q.json:1"}
    ]


def test_no_answer_is_not_the_same_as_no_gold(tmp_path: Path) -> None:
    told = question("1", ("cat", 3), is_impossible=False)
    impossible = question("2", ("cat", 3), is_impossible=True)
    rows = read(write(tmp_path, told, impossible, question("3"), question("4", ("", 0))))
    none = {"text": [], "answer_start": []}
    assert [row["answers"] for row in rows] == [{"text": ["cat"], "answer_start": [3]}, none, none, None]


def test_one_id_for_two_questions(tmp_path: Path) -> None:
    folder = write(tmp_path, question("1", ("cat", 3)), question("0", ("cat", 3)), question("1", ("a", 1)))
    with pytest.raises(DataError, match=r"q\.json:1: a second question has this id"):
        read(folder)
    assert [row["id"] for row in read(folder, SquadJson(paths=SOURCE.paths, ids_repeat=True))] == ["1", "0", "1#2"]


@pytest.mark.parametrize(
    ("root", "message"),
    [
        ({"rows": []}, r"expected a list at data, found an object with rows"),
        (1, r"expected a list at data, found int 1"),
        ([1], r"expected a list at data\[0\]\.paragraphs, found int 1"),
        ({"data": [{"title": "T"}]}, r"expected a list at data\[0\]\.paragraphs, found an object with title"),
        ({"data": [{"paragraphs": [{"qas": []}]}]}, r"expected a text at data\[0\]\.paragraphs\[0\]\.context"),
    ],
)
def test_json_that_is_not_squads(tmp_path: Path, root: object, message: str) -> None:
    (tmp_path / "q.json").write_text(json.dumps(root))
    with pytest.raises(DataError, match=rf"q\.json: not SQuAD's JSON: {message}"):
        read(tmp_path)


def test_the_outer_object_may_be_missing(tmp_path: Path) -> None:
    folder = write(tmp_path, question("1", ("cat", 3)))
    (folder / "q.json").write_text(json.dumps(json.loads((folder / "q.json").read_text())["data"]))
    assert [row["id"] for row in read(folder)] == ["1"]


def test_the_place_of_a_wrong_answer(tmp_path: Path) -> None:
    wrong = question("2") | {"answers": [{"text": "cat", "answer_start": "3"}]}
    place = r"expected a number at data\[0\]\.paragraphs\[0\]\.qas\[1\]\.answers\[0\]\.answer_start, found '3'"
    with pytest.raises(DataError, match=place):
        read(write(tmp_path, question("1", ("cat", 3)), wrong))


def test_json_cut_short(tmp_path: Path) -> None:
    folder = write(tmp_path, question("1", ("cat", 3)))
    (folder / "q.json").write_text((folder / "q.json").read_text()[:60])
    with pytest.raises(DataError, match=r"q\.json:\d+: expected JSON"):
        read(folder)
