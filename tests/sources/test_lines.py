"""Plain text: a line is a row, blank lines are skipped and counted, a file without text is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from xtransfer.errors import DataError
from xtransfer.sources import TextLines
from xtransfer.task import BLANK, WHERE

SOURCE = TextLines(paths={"train": "train-{language}.txt|{language}.txt", "validation": "dev-{language}.txt"})


def write(folder: Path, name: str, text: str) -> Path:
    (folder / name).write_bytes(text.encode())
    return folder


def test_a_line_is_a_row_and_blank_ones_are_counted_with_the_next(tmp_path: Path) -> None:
    write(tmp_path, "train-de.txt", " \n\n ein Satz \r\n\nzwei\u2028Zeilen\n\n")
    assert list(SOURCE.rows("train", "de", tmp_path)) == [
        {"text": "ein Satz", BLANK: 2, WHERE: f"{tmp_path.name}/train-de.txt:3"},
        {"text": "zwei\u2028Zeilen", BLANK: 1, WHERE: f"{tmp_path.name}/train-de.txt:5"},
    ]


def test_the_short_name_is_found_too_but_not_both(tmp_path: Path) -> None:
    write(tmp_path, "sw.txt", "paka\n")
    assert [row["text"] for row in SOURCE.rows("train", "sw", tmp_path)] == ["paka"]
    write(tmp_path, "train-sw.txt", "mbwa\n")
    with pytest.raises(DataError, match=r"one file, found .*sw\.txt, .*train-sw\.txt"):
        list(SOURCE.rows("train", "sw", tmp_path))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("\n  \n\t\n", r"dev-de\.txt: expected a text in at least one line, found 3 blank lines"),
        ("", r"dev-de\.txt: the file is empty"),
    ],
)
def test_a_file_without_text_is_named(tmp_path: Path, text: str, message: str) -> None:
    write(tmp_path, "dev-de.txt", text)
    with pytest.raises(DataError, match=message):
        list(SOURCE.rows("validation", "de", tmp_path))


def test_bytes_that_are_no_text_are_named_with_their_line(tmp_path: Path) -> None:
    (tmp_path / "dev-de.txt").write_bytes(b"gut\nschl\xe4ft\n")
    with pytest.raises(DataError, match=r"dev-de\.txt:2: expected UTF-8, found the byte 0xe4"):
        list(SOURCE.rows("validation", "de", tmp_path))
