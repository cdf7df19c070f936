"""Parallel lines come in the order of the official preprocessing and keep the number of their line."""

from __future__ import annotations

from pathlib import Path

import pytest

from xtransfer.errors import DataError
from xtransfer.sources import ParallelLines

SOURCE = ParallelLines(
    paths={"test": "t.{language}-eng.{language}"}, partner="t.{language}-eng.eng", codes={"de": "deu"}
)


def write(folder: Path, german: str, english: str) -> Path:
    (folder / "t.deu-eng.deu").write_text(german, encoding="utf-8")
    (folder / "t.deu-eng.eng").write_text(english, encoding="utf-8")
    return folder


def test_sorted_by_the_stripped_english_line_stable(tmp_path: Path) -> None:
    write(tmp_path, "eins\nzwei\ndrei\n\nfünf\n", "b\n  c\na\nb\nB \n")
    rows = list(SOURCE.rows("test", "de", tmp_path))
    # Python's order of code points, capitals first, as in the official script; the two 'b' keep their order.
    assert [(row["target_sentence"], row["source_sentence"], row["line"]) for row in rows] == [
        ("B", "fünf", 4),
        ("a", "drei", 2),
        ("b", "eins", 0),
        ("b", "", 3),
        ("c", "zwei", 1),
    ]


def test_both_files_count_in_the_origin(tmp_path: Path) -> None:
    before = SOURCE.origin("test", "de", write(tmp_path, "eins\n", "one\n"))
    assert SOURCE.origin("test", "de", write(tmp_path, "eins\n", "two\n")) != before


def test_unequal_files(tmp_path: Path) -> None:
    expected = r"equally many lines .*t\.deu-eng\.deu has 2, .*t\.deu-eng\.eng has 1; fetch"
    with pytest.raises(DataError, match=expected):
        list(SOURCE.rows("test", "de", write(tmp_path, "eins\nzwei\n", "one\n")))


def test_missing_partner(tmp_path: Path) -> None:
    (write(tmp_path, "eins\n", "one\n") / "t.deu-eng.eng").unlink()
    with pytest.raises(DataError, match=r"t\.deu-eng\.deu: expected its English side 't\.deu-eng\.eng' beside it"):
        list(SOURCE.rows("test", "de", tmp_path))
