"""BUCC's three files become queries and candidates, and a fault in one of them is told by file and line."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from xtransfer.errors import DataError
from xtransfer.sources import Bucc
from xtransfer.task import WHERE

SOURCE = Bucc(paths={"test": "{language}-en.training.{language}"})
GERMAN = "de-1\tEins.\nde-2\t Zwei. \nde-3\tDrei.\n"
ENGLISH = "en-1\tTwo.\nen-2\tOne.\n"


def write(folder: Path, **files: str) -> Path:
    for end, text in ({"de": GERMAN, "en": ENGLISH} | files).items():
        (folder / f"de-en.training.{end}").write_text(text, encoding="utf-8")
    return folder


def rows(folder: Path) -> list[tuple[object, ...]]:
    return [tuple(row[key] for key in ("side", "id", "text", "targets")) for row in SOURCE.rows("test", "de", folder)]


def test_queries_then_candidates(tmp_path: Path) -> None:
    # de-1 has two translations; the pair that is named twice counts once.
    write(tmp_path, gold="de-2\ten-1\nde-1\ten-2\nde-1\ten-1\nde-2\ten-1\n")
    assert rows(tmp_path) == [
        ("query", "de-1", "Eins.", ["en-2", "en-1"]),
        ("query", "de-2", "Zwei.", ["en-1"]),
        ("query", "de-3", "Drei.", []),
        ("candidate", "en-1", "Two.", None),
        ("candidate", "en-2", "One.", None),
    ]
    assert [row[WHERE].rpartition("/")[2] for row in SOURCE.rows("test", "de", tmp_path)][1:4] == [
        "de-en.training.de:2",
        "de-en.training.de:3",
        "de-en.training.en:1",
    ]


def test_without_a_gold_file_no_answer_is_known(tmp_path: Path) -> None:
    assert [row[3] for row in rows(write(tmp_path))] == [None] * 5


def test_packed_and_plain_files_side_by_side(tmp_path: Path) -> None:
    plain = rows(write(tmp_path, gold="de-2\ten-1\n"))
    for end in ("de", "gold"):
        file = tmp_path / f"de-en.training.{end}"
        file.with_name(f"{file.name}.gz").write_bytes(gzip.compress(file.read_bytes()))
        file.unlink()
    assert rows(tmp_path) == plain


def test_all_three_files_count_in_the_origin(tmp_path: Path) -> None:
    origins = {SOURCE.origin("test", "de", write(tmp_path))}
    for files in ({"gold": "de-1\ten-1\n"}, {"gold": "de-1\ten-2\n"}, {"en": "en-1\tTwo!\nen-2\tOne.\n"}):
        origins.add(SOURCE.origin("test", "de", write(tmp_path, **files)))
    assert len(origins) == 4


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (
            {"de": "de-1\tEins.\nde-2 Zwei.\n"},
            r"training\.de:2: expected id TAB sentence, found 1 columns: 'de-2 Zwei\.'",
        ),
        ({"en": "en-1\ta\tb\n"}, r"training\.en:1: expected id TAB sentence, found 3 columns"),
        ({"en": "en-1\ta\n\nen-1\tb\n"}, r"training\.en:3: a second sentence has the id 'en-1'"),
        ({"gold": "de-1\ten-1\nde-9\ten-1\n"}, r"gold:2: expected an id of .*training\.de, found 'de-9'"),
        ({"gold": "de-1\ten-1\nde-2\ten-9\n"}, r"gold:2: expected an id of .*training\.en, found 'en-9'"),
        ({"gold": "de-1 en-1\n"}, r"gold:1: expected foreign id TAB English id, found 1 columns"),
    ],
)
def test_faults_name_file_and_line(tmp_path: Path, files: dict[str, str], message: str) -> None:
    with pytest.raises(DataError, match=message):
        rows(write(tmp_path, **files))


def test_missing_english_side(tmp_path: Path) -> None:
    (write(tmp_path) / "de-en.training.en").unlink()
    with pytest.raises(DataError, match=r"training\.de: expected its English side 'de-en\.training\.en' beside it"):
        rows(tmp_path)


def test_the_english_side_twice(tmp_path: Path) -> None:
    (write(tmp_path) / "de-en.training.en.gz").write_bytes(gzip.compress(ENGLISH.encode()))
    with pytest.raises(DataError, match=r"'de-en\.training\.en' beside it once, found both it and its \.gz"):
        rows(tmp_path)
