"""XQuAD-R: questions are answered by sentences in all languages, and the sentences of a language are its candidates."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from xtransfer.errors import DataError
from xtransfer.sources import XquadR
from xtransfer.task import WHERE, Row

SOURCE = XquadR(paths=dict.fromkeys(("test", "pool"), "xquad-r/{language}.json"), languages=("de", "en"))
ENGLISH = "One cat.\nTwo dogs. Two dogs."
GERMAN = "Eine Katze. Zwei Hunde."


def paragraph(context: str, breaks: object, *starts: int) -> dict[str, Any]:
    questions = [
        {"id": f"q{n}", "question": f"{n}?", "answers": [{"text": context[start : start + 3], "answer_start": start}]}
        for n, start in enumerate(starts)
    ]
    return {"context": context, "sentence_breaks": breaks, "qas": questions}


def write(folder: Path, **paragraphs: dict[str, Any]) -> Path:
    """Write both languages; English has the same sentence twice and its first paragraph has no question."""
    empty = paragraph("Nothing. Is asked.", [[0, 8], [9, 18]])
    both = {
        "de": paragraph(GERMAN, [[0, 11], [12, 23]], 5, 12),
        "en": paragraph(ENGLISH, [[0, 8], [9, 18], [19, 28]], 4, 9),
    }
    for language, node in (both | paragraphs).items():
        first = [empty] if language == "en" else []
        root = {"data": [{"title": "T", "paragraphs": [*first, node]}]}
        (folder / "xquad-r").mkdir(exist_ok=True)
        (folder / f"xquad-r/{language}.json").write_text(json.dumps(root), encoding="utf-8")
    return folder


def read(folder: Path, split: str, language: str, source: XquadR = SOURCE) -> list[Row]:
    return list(source.rows(split, language, folder))


def test_targets_are_the_answers_in_all_languages(tmp_path: Path) -> None:
    rows = read(write(tmp_path), "test", "en")
    # The sentence that is repeated word for word is right both times.
    assert [(row["side"], row["id"], row["text"], row["targets"]) for row in rows] == [
        ("query", "q0", "0?", ["de/0.0.0", "en/0.1.0"]),
        ("query", "q1", "1?", ["de/0.0.1", "en/0.1.1", "en/0.1.2"]),
    ]
    assert [row["targets"] for row in read(tmp_path, "test", "de")] == [row["targets"] for row in rows]


def test_a_candidate_is_a_sentence_and_its_paragraph_without_line_feeds(tmp_path: Path) -> None:
    rows = read(write(tmp_path), "pool", "en")
    assert [(row["side"], row["id"], row["targets"]) for row in rows] == [
        ("candidate", f"en/0.{name}", None) for name in ("0.0", "0.1", "1.0", "1.1", "1.2")
    ]
    assert rows[3]["text"] == "Two dogs.One cat.Two dogs. Two dogs."
    assert rows[3][WHERE].endswith("xquad-r/en.json:en/0.1.1")


def test_a_question_whose_own_answer_is_in_no_sentence_has_no_targets(tmp_path: Path) -> None:
    write(tmp_path, de=paragraph(GERMAN, [[0, 11], [12, 23]], 11, 12))  # 11 is the blank between the sentences
    assert [row["targets"] for row in read(tmp_path, "test", "de")] == [[], ["de/0.0.1", "en/0.1.1", "en/0.1.2"]]
    assert read(tmp_path, "test", "en")[0]["targets"] == ["en/0.1.0"]


def test_fewer_languages_can_be_asked_for(tmp_path: Path) -> None:
    write(tmp_path)
    english = XquadR(paths=SOURCE.paths, languages=("en",))
    assert [row["targets"] for row in read(tmp_path, "test", "de", english)] == [["en/0.1.0"], ["en/0.1.1", "en/0.1.2"]]
    (tmp_path / "xquad-r/de.json").unlink()
    assert len(read(tmp_path, "test", "en", english)) == 2


def test_questions_depend_on_every_file_candidates_on_their_own(tmp_path: Path) -> None:
    before = [SOURCE.origin(split, "en", write(tmp_path)) for split in ("test", "pool")]
    after = [
        SOURCE.origin(split, "en", write(tmp_path, de=paragraph(GERMAN, [[0, 23]], 5, 12)))
        for split in ("test", "pool")
    ]
    assert [a == b for a, b in zip(before, after, strict=True)] == [False, True]


def test_a_missing_language_is_named(tmp_path: Path) -> None:
    (write(tmp_path) / "xquad-r/de.json").unlink()
    with pytest.raises(DataError, match=r"xquad-r/en\.json: expected 'de\.json' beside it, with the answers in 'de'"):
        read(tmp_path, "test", "en")
    assert len(read(tmp_path, "pool", "en")) == 5


@pytest.mark.parametrize(
    ("node", "message"),
    [
        (paragraph(GERMAN, None, 5, 12), r"expected a list at data\[0\]\.paragraphs\[0\]\.sentence_breaks, found None"),
        (paragraph(GERMAN, [[0, 11], [12]], 5, 12), r"expected start and end at .*sentence_breaks\[1\], found \[12\]"),
        (paragraph(GERMAN, [[0, 11], [12, 24]], 5, 12), r"a part of the 23 characters at .*\[1\], found 12 to 24"),
        (paragraph(GERMAN, [[0, 11], [12, 23]], 5), r"de\.json: expected the question 'q1' as in the other languages"),
    ],
)
def test_faults_of_a_file(tmp_path: Path, node: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        read(write(tmp_path, de=node), "test", "en")


def test_an_id_twice_and_a_question_without_answer(tmp_path: Path) -> None:
    twice = paragraph(GERMAN, [[0, 11], [12, 23]], 5, 12)
    twice["qas"][1]["id"] = "q0"
    with pytest.raises(DataError, match=r"de\.json:q0: a second question has this id"):
        read(write(tmp_path, de=twice), "test", "en")
    bare = paragraph(GERMAN, [[0, 11], [12, 23]], 5, 12)
    bare["qas"][1]["answers"] = []
    with pytest.raises(DataError, match=r"de\.json:q1: expected a question with its answer, found none"):
        read(write(tmp_path, de=bare), "test", "en")


# ------------------------------------------------------------------ real rows, where they lie beside the checkout
SIZES = {
    "ar": 1222,
    "de": 1276,
    "el": 1234,
    "en": 1180,
    "es": 1215,
    "hi": 1244,
    "ru": 1219,
    "tr": 1167,
    "vi": 1209,
    "zh": 1196,
}


def test_published_numbers_of_sentences_and_an_answer_in_every_language(real_data: Path) -> None:
    source = XquadR(paths=SOURCE.paths, languages=tuple(SIZES))
    pools = {language: read(real_data / "lareqa", "pool", language, source) for language in SIZES}
    assert {language: len(pool) for language, pool in pools.items()} == SIZES
    known = {row["id"]: row["text"] for pool in pools.values() for row in pool}
    assert len(known) == sum(SIZES.values())
    for language in ("ar", "zh"):
        rows = read(real_data / "lareqa", "test", language, source)
        assert len(rows) == 1190
        assert all(
            [name[:2] for name in row["targets"]] == list(SIZES) and known.keys() >= {*row["targets"]} for row in rows
        )
