"""What is read of a portion: slices and limits, pools that stay whole, and what to do when a data set is gone."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from xtransfer.datamodules import XNLI
from xtransfer.datamodules.portion import Portion, known_languages
from xtransfer.errors import ConfigError, DataError, UnavailableError
from xtransfer.sources import JsonLines, Tsv
from xtransfer.task import WHERE, Row, Source, Task

SIDES = {"side": "side", "text": "text", "id": "id", "targets": "targets"}
POOLED = Task(name="pooled", kind="retrieval", fields=SIDES)


@dataclass(frozen=True)
class Fixed(Source):
    """Four queries and two candidates, or nothing but an error."""

    gone: bool = False

    def rows(self, split: str, language: str, folder: Path | None) -> Iterator[Row]:
        if self.gone:
            raise UnavailableError("acme/pooled cannot be loaded")
        for i in range(4):
            yield {"side": "query", "text": f"q{i}", "id": f"q{i}", "targets": ["c0"], WHERE: f"row {i}"}
        for i in range(2):
            yield {"side": "candidate", "text": f"c{i}", "id": f"c{i}", "targets": None, WHERE: f"row {4 + i}"}

    def declares(self, split: str) -> bool:
        return True

    def has(self, split: str, language: str, folder: Path | None) -> bool:
        return True

    def origin(self, split: str, language: str, folder: Path | None) -> str:
        if self.gone:
            raise UnavailableError("acme/pooled cannot be loaded")
        return "fixed"


@dataclass(frozen=True)
class Columns(Fixed):
    """Any rows."""

    given: tuple[Row, ...] = ()

    def rows(self, split: str, language: str, folder: Path | None) -> Iterator[Row]:
        yield from self.given


@pytest.mark.parametrize(
    ("rows", "limit", "kept"),
    [
        ("test", None, "q0 q1 q2 q3 c0 c1"),
        ("test[:2]", None, "q0 q1 c0 c1"),
        ("test[50%:]", None, "q2 q3 c0 c1"),
        ("test", 1, "q0 c0 c1"),
    ],
)
def test_queries_are_cut_but_never_the_pool(rows: str, limit: int | None, kept: str) -> None:
    portion = Portion(POOLED, "test", "de", Fixed(), None, rows, limit)
    assert " ".join(example["id"] for example in portion.examples()) == kept
    assert portion.counts["rows_in_source"] == 6


def test_where_a_data_set_is_gone_its_own_files_are_named() -> None:
    files = (Tsv(paths={"test": "{language}.test.tsv"}), Tsv(paths={"test": "{language}/test.tsv"}))
    task = Task(name="pooled", kind="retrieval", fields=SIDES, files=files, folder="pool", home="https://acme.example")
    portion = Portion(task, "test", "de", Fixed(gone=True), None, "test")
    for read in (portion.examples, portion.origin):
        with pytest.raises(DataError) as caught:
            read()
        message = str(caught.value)
        assert message.startswith(
            "task 'pooled' (de): acme/pooled cannot be loaded (https://acme.example). Files that "
        )
        assert "below data_dir/pool: 'de.test.tsv' or 'de/test.tsv'. Other tasks do not need it" in message


def test_columns_that_have_changed_are_told_with_the_revision_before_any_row_is_used() -> None:
    fields: dict[str, str | list[str]] = {"text": "{premise} {why}", "choices": ["a.text", "b"], "label": "label"}
    task = Task(name="toy", kind="multiple_choice", fields=fields)
    at = "acme/toy [de] validation @0123456 row 0"
    source = Columns(given=({"premise": "p", "question": "q", "a": {"text": "x"}, "answer": 0, WHERE: at},))
    with pytest.raises(DataError) as caught:
        Portion(task, "test", "de", source, None, "test").examples()
    assert str(caught.value) == (
        f"toy (de) {at}: expected columns why, b, label, found premise, question, a, answer; if the data set has "
        "changed, say in the task's `source` which earlier `revision` to read, or `rename` columns"
    )


def test_questions_of_one_id_are_refused_where_they_are_scored_and_both_are_named(tmp_path: Path) -> None:
    """Predictions are written by id; a training row needs none of its own."""
    row = {"id": "q1", "question": "who ?", "context": "a dog", "answers": {"text": ["dog"], "answer_start": [2]}}
    lines = [row | {"id": id} for id in ("q1", "q2", "q1")]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    task = Task(name="qa", kind="span", fields={name: name for name in row})
    source = JsonLines(paths=dict.fromkeys(("train", "validation", "test"), "rows.jsonl"))
    for split in ("validation", "test"):
        with pytest.raises(DataError) as caught:
            Portion(task, split, "en", source, tmp_path, split).examples()
        at = f"qa (en) {tmp_path.name}/rows.jsonl"
        assert str(caught.value) == (
            f"{at}:3: the question id 'q1' is there twice, first at {at}:1; predictions are written by id: give each "
            "question its own"
        )
    assert len(Portion(task, "train", "en", source, tmp_path, "train").examples()) == 3


@pytest.mark.parametrize(
    ("language", "hint"),
    [
        ("zh-CN", "did you mean 'zh'?"),
        ("pt_BR", "did you mean 'pt'?"),
        ("ZH", "did you mean 'zh'?"),
        ("xx-YY", "known: en, pt, zh"),
    ],
)
def test_a_language_with_its_region_is_told_without_it(language: str, hint: str) -> None:
    with pytest.raises(ConfigError) as caught:
        known_languages(replace(POOLED, languages=("en", "pt", "zh")), [language])
    assert str(caught.value) == f"task 'pooled' has no language '{language}'; {hint}"


@pytest.mark.parametrize("name", ["languages", "dev_languages", "train_languages"])
def test_an_empty_list_of_languages_is_not_taken_for_the_default(name: str) -> None:
    with pytest.raises(ConfigError, match=f"{name} is an empty list: leave it out"):
        XNLI(**{name: []})
