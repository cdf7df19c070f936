"""Tables keep every cell as it is written, and a broken line is told by file and number."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from xtransfer.errors import DataError
from xtransfer.sources import Csv, FileSource, JsonLines, Tsv
from xtransfer.task import WHERE, Row


def read(source: FileSource, tmp_path: Path, text: str) -> list[Row]:
    (tmp_path / "t").mkdir(exist_ok=True)
    (tmp_path / "t/file").write_text(text, encoding="utf-8", newline="")
    return list(source.rows("train", "en", tmp_path / "t"))


PATHS = {"train": "file"}
PAIRS = Tsv(paths=PATHS, columns=("premise", "hypothesis", "label"), optional=("label",))


def test_tsv_takes_quotation_marks_for_text(tmp_path: Path) -> None:
    rows = read(PAIRS, tmp_path, '"Stop\ta "b" c\tneutral\n')
    assert rows == [{"premise": '"Stop', "hypothesis": 'a "b" c', "label": "neutral", WHERE: "t/file:1"}]


def test_tsv_header_and_renaming(tmp_path: Path) -> None:
    source = Tsv(paths=PATHS, rename={"sentence1": "premise", "gold": "label"})
    rows = read(source, tmp_path, "id\tsentence1\tgold\n7\tA\tneutral\n\n8\t\tneutral\n")
    assert rows[0] == {"id": "7", "premise": "A", "label": "neutral", WHERE: "t/file:2"}
    assert (rows[1]["premise"], rows[1][WHERE]) == ("", "t/file:4")


def test_labels_that_were_taken_out_are_none(tmp_path: Path) -> None:
    assert [row["label"] for row in read(PAIRS, tmp_path, "a\tb\nc\td\n")] == [None, None]


@pytest.mark.parametrize("line", ["c\td", "c\td\tneutral\tmore", "c"])
def test_wrong_number_of_columns(tmp_path: Path, line: str) -> None:
    expected = rf"^t/file:2: expected 3 columns \(premise, hypothesis, label\), found {line.count(chr(9)) + 1}$"
    with pytest.raises(DataError, match=expected):
        read(PAIRS, tmp_path, f"a\tb\tneutral\n{line}\n")


def test_lines_may_end_before_columns_nobody_needs(tmp_path: Path) -> None:
    source = Tsv(paths=PATHS, rename={"gold": "label"}, optional=("second", "third"))
    rows = read(source, tmp_path, "text\tgold\tsecond\tthird\nA\tx\ty\tz\nB\tx\ty\nC\tx\n")
    assert [(row["text"], row["label"], row["second"], row["third"]) for row in rows] == [
        ("A", "x", "y", "z"),
        ("B", "x", "y", None),
        ("C", "x", None, None),
    ]
    for line in ("D", "D\tx\ty\tz\tmore"):
        with pytest.raises(DataError, match=r"^t/file:2: expected 4 columns \(text, gold, second, third\), found \d$"):
            read(source, tmp_path, f"text\tgold\tsecond\tthird\n{line}\n")


def test_labels_in_a_file_of_their_own(tmp_path: Path) -> None:
    source = JsonLines(paths={"train": "train.jsonl"}, labels="{stem}-labels.lst")
    folder = tmp_path / "t"
    folder.mkdir()
    (folder / "train.jsonl.gz").write_bytes(gzip.compress(b'{"text": "A"}\n{"text": "B"}\n'))
    with pytest.raises(
        DataError, match=r"^t/train\.jsonl\.gz: expected its labels 'train-labels\.lst' beside it, found none"
    ):
        source.origin("train", "en", folder)
    (folder / "train-labels.lst").write_text("3\n1\n")
    rows = list(source.rows("train", "en", folder))
    assert [(row["text"], row["label"], row[WHERE]) for row in rows] == [
        ("A", "3", "t/train.jsonl.gz:1"),
        ("B", "1", "t/train.jsonl.gz:2"),
    ]
    before = source.origin("train", "en", folder)
    (folder / "train-labels.lst").write_text("3\n2\n")
    assert source.origin("train", "en", folder) != before
    (folder / "train-labels.lst").write_text("3\n1\n2\n")
    counts = r"t/train\.jsonl\.gz has 2, t/train-labels\.lst has 3; fetch both again"
    with pytest.raises(DataError, match=rf"^expected one label a row: {counts}$"):
        list(source.rows("train", "en", folder))


def test_a_header_without_the_columns_says_so(tmp_path: Path) -> None:
    source = Tsv(paths=PATHS, rename={"gold": "label"}, language_column="language")
    with pytest.raises(DataError, match=r"^t/file:1: expected a header with gold, language, found id, text$"):
        read(source, tmp_path, "id\ttext\n1\tA\n")
    with pytest.raises(DataError, match="named twice"):
        read(Tsv(paths=PATHS), tmp_path, "id\tid\n1\tA\n")


def test_a_header_alone_holds_no_rows(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"^t/file: expected rows, found none$"):
        read(Tsv(paths=PATHS), tmp_path, "id\ttext\n")


def test_csv_cells_may_hold_commas_quotes_and_line_ends(tmp_path: Path) -> None:
    rows = read(Csv(paths=PATHS), tmp_path, 'id,text\n1,"a, ""b""\nc"\n2,d\n')
    assert rows == [{"id": "1", "text": 'a, "b"\nc', WHERE: "t/file:2"}, {"id": "2", "text": "d", WHERE: "t/file:4"}]


def test_csv_faults(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"^t/file:3: expected 2 columns \(id, text\), found 3$"):
        read(Csv(paths=PATHS), tmp_path, "id,text\n1,a\n2,b,c\n")
    with pytest.raises(DataError, match=r"^t/file:3: broken quoting"):
        read(Csv(paths=PATHS), tmp_path, 'id,text\n1,a\n2,"b\n')


def test_json_lines_turned_into_the_layout_of_the_hub(tmp_path: Path) -> None:
    source = JsonLines(
        paths=PATHS,
        flatten=True,
        optional=("key",),
        rename={"question.stem": "question", "question.choices": "choices"},
    )
    line = '{"question": {"stem": "Q", "choices": [{"label": "A", "text": "a"}, {"label": "B", "text": "b"}]}}'
    assert read(source, tmp_path, f"\n{line}\n \n") == [
        {"question": "Q", "choices": {"label": ["A", "B"], "text": ["a", "b"]}, "key": None, WHERE: "t/file:2"}
    ]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"a": 1', r"^t/file:2: expected JSON, found '\{\"a\": 1'"),
        ("[1, 2]", r"^t/file:2: expected a JSON object, found '\[1, 2\]'"),
        ('{"b": 2}', r"^t/file:2: no column 'a' \(read as 'x'\); found: b$"),
        ('{"a": [{"k": 1}, {"l": 2}]}', r"^t/file:2: objects of one list have different keys"),
    ],
)
def test_json_lines_faults(tmp_path: Path, line: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read(JsonLines(paths=PATHS, flatten=True, rename={"a": "x"}), tmp_path, f'{{"a": 1}}\n{line}\n')
