"""Mewsli-X: texts are built as XTREME-R's script builds them; each of its files is known by what its lines hold."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from xtransfer.errors import DataError
from xtransfer.sources import Mewsli
from xtransfer.sources.mewsli import description_text, query_text
from xtransfer.task import WHERE, Row

SOURCE = Mewsli(paths={"test": "m.jsonl"})


def spans(*ends: tuple[int, int]) -> list[dict[str, int]]:
    return [{"start": start, "end": end} for start, end in ends]


def context(text: str, *sentences: tuple[int, int], language: str = "en") -> dict[str, Any]:
    return {"text": text, "language": language, "sentence_spans": spans(*(sentences or [(0, len(text))]))}


def mention(start: int, text: str, name: str = "m1", entity: str = "Q1") -> dict[str, Any]:
    span = {"start": start, "end": start + len(text), "text": text}
    return {"example_id": name, "mention_span": span, "entity_id": entity}


def entity(text: str, *sentences: tuple[int, int], name: str = "Q1") -> dict[str, Any]:
    return {"entity_id": name, "title": "T", "description": text, "sentence_spans": spans(*sentences)}


def read(folder: Path, *records: object, language: str = "en") -> list[Row]:
    (folder / "m.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    return list(SOURCE.rows("test", language, folder))


@pytest.mark.parametrize(
    ("text", "words", "expected"),
    [
        ("The Nile is long.", "Nile", "Nile: The { Nile } is long."),
        ("Nile", "Nile", "Nile: { Nile }"),
        # A bracket that nothing closes on its side of the mention stays, as in the script.
        ("{a} {b}{ Nile } {c}", "Nile", "Nile: (a) (b){ { Nile } } (c)"),
        ("The\nNile\u2028is\r\nlong.", "Nile", "Nile: The { Nile } is long."),
        # Two blanks become one, once: the three before the mention are four with the one put in, and two remain.
        ("a   Nile b", "Nile", "Nile: a  { Nile } b"),
    ],
)
def test_query_text(text: str, words: str, expected: str) -> None:
    assert query_text(context(text), mention(text.index(words), words), "m.jsonl:1") == expected


def test_a_query_is_the_sentence_that_holds_the_mention() -> None:
    text = "No. The Nile is long. It is old."
    assert query_text(context(text, (0, 3), (4, 21), (22, 32)), mention(8, "Nile"), "") == "Nile: The { Nile } is long."
    touching = context(text, (0, 8), (8, 12), (13, 32))
    assert query_text(touching, mention(8, "Nile"), "") == "Nile: { Nile }"


def test_description_text_joins_the_sentences_alone() -> None:
    text = "One river.\n\nIt is\nlong. [1]"
    assert description_text(entity(text, (0, 10), (12, 23)), "") == "One river. It is long."
    assert description_text(entity(text), "") == ""


def test_mentions_of_the_language_asked_for(tmp_path: Path) -> None:
    records = [
        {"context": context("Nil und Rhein", language="de"), "mentions": [mention(0, "Nil", "m1")]},
        {"context": context("Nile"), "mentions": [mention(0, "Nile", "m2", "Q3")]},
        {
            "context": context("Rhein", language="de"),
            "mentions": [mention(0, "Rhein", "m3", ""), mention(0, "Rh", "m4")],
        },
    ]
    rows = read(tmp_path, *records, language="de")
    assert [(row["side"], row["id"], row["targets"]) for row in rows] == [
        ("query", "m1", ["Q1"]),
        ("query", "m3", None),
        ("query", "m4", ["Q1"]),
    ]
    assert rows[1][WHERE] == f"{tmp_path.name}/m.jsonl:3"
    with pytest.raises(DataError, match=r"m\.jsonl: expected articles in 'fa', found de, en"):
        read(tmp_path, *records, language="fa")


def test_entities_and_pairs(tmp_path: Path) -> None:
    river = entity("A river.", (0, 8), name="Q7")
    assert read(tmp_path, river, language="mul") == [
        {"side": "candidate", "id": "Q7", "text": "A river.", "targets": None, WHERE: f"{tmp_path.name}/m.jsonl:1"}
    ]
    both = {"context": context("The Nile."), "mention": mention(4, "Nile", "p1", "Q7")}
    assert read(tmp_path, {"contextual_mention": both, "entity": river}) == [
        {
            "id": "p1",
            "mention": "Nile: The { Nile } .",
            "description": "A river.",
            "entity_id": "Q7",
            WHERE: f"{tmp_path.name}/m.jsonl:1",
        }
    ]


@pytest.mark.parametrize(
    ("article", "one", "message"),
    [
        (context("", (0, 4)), mention(0, "Nile"), r"m\.jsonl:1 \(m1\): expected the article's text.*get-mewsli-x\.sh"),
        (context("Nile"), mention(0, "Nale"), r"expected the mention 'Nale' at 0 to 4, found 'Nile'"),
        (context("Nile"), mention(2, "Nile"), r"a part of the 4 characters at mention_span, found 2 to 6"),
        (
            context("The Nile", (0, 5), (5, 8)),
            mention(4, "Nile"),
            r"\(m1\): expected a sentence that holds the whole men",
        ),
        (context("Nile", (0, 9)), mention(0, "Nile"), r"4 characters at context\.sentence_spans\[0\], found 0 to 9"),
    ],
)
def test_faults_of_a_mention(tmp_path: Path, article: dict[str, Any], one: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        read(tmp_path, {"context": article, "mentions": [one]})


def test_other_faults_name_the_line(tmp_path: Path) -> None:
    river = entity("A river.", (0, 8))
    with pytest.raises(DataError, match=r"m\.jsonl:2: the id 'Q1' is there a second time"):
        read(tmp_path, river, river)
    with pytest.raises(DataError, match=r"m\.jsonl:2: expected Mewsli-X's mentions, pairs or entities, found title"):
        read(tmp_path, river, {"title": "T"})
    with pytest.raises(DataError, match=r"m\.jsonl:1: expected a list at mentions, found None"):
        read(tmp_path, {"context": context("Nile"), "mentions": None})


# ------------------------------------------------------------------ real rows, where they lie beside the checkout
def test_the_authors_examples(real_data: Path) -> None:
    source = Mewsli(paths={"test": "example_mentions.jsonl"})
    english = list(source.rows("test", "en", real_data / "mewsli_x"))
    assert [(row["id"], row["targets"]) for row in english] == [("c79595350cc2d5c7f2b095e2cb785212", ["Q1757"])]
    assert english[0]["text"].startswith(
        "Helsinki: In { Helsinki } , the Finnish trade union for bus and truck drivers"
    )
    assert english[0]["text"].endswith("the use of part-time labor.")
    arabic = list(source.rows("test", "ar", real_data / "mewsli_x"))
    assert [row["targets"] for row in arabic] == [["Q167217"], ["Q3447452"]]
    assert all(row["text"].count("{") == 1 and "\n" not in row["text"] for row in arabic)
