"""Files are found by their native names, and every fault of a file is told by its name."""

from __future__ import annotations

import gzip
import hashlib
import subprocess
import sys
from pathlib import Path

import pytest

from xtransfer.errors import DataError
from xtransfer.sources import Tsv, choose
from xtransfer.task import WHERE

PLAIN = Tsv(paths={"train": "{language}.tsv"}, columns=("text", "label"))
DEEP = Tsv(paths={"train": "{language}/train"}, columns=("text",), codes={"sw": "swh"})


def write(path: Path, content: str | bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def read(source: Tsv, folder: Path, language: str = "de") -> list[dict[str, object]]:
    return list(source.rows("train", language, folder))


def test_reads_plain_and_gzip_by_content_and_names_each_line(tmp_path: Path) -> None:
    folder = tmp_path / "toy"
    write(folder / "a/b/de.tsv", "eins\tx\nzwei\ty\n")
    write(folder / "ru.tsv.gz", gzip.compress("раз\tx\n".encode()))
    write(folder / "fr.tsv", gzip.compress(b"un\tx\n"))  # packed, though its name does not say so
    assert read(PLAIN, folder) == [
        {"text": "eins", "label": "x", WHERE: "toy/a/b/de.tsv:1"},
        {"text": "zwei", "label": "y", WHERE: "toy/a/b/de.tsv:2"},
    ]
    assert [row["text"] for row in read(PLAIN, folder, "ru") + read(PLAIN, folder, "fr")] == ["раз", "un"]


def test_byte_order_mark_and_windows_line_ends_are_no_text(tmp_path: Path) -> None:
    write(tmp_path / "toy/de.tsv", "\ufeffeins\tx\r\n\ufeffzwei\ty\r\n")
    rows = read(PLAIN, tmp_path / "toy")
    assert [(row["text"], row["label"]) for row in rows] == [("eins", "x"), ("\ufeffzwei", "y")]


def test_only_a_line_feed_ends_a_line(tmp_path: Path) -> None:
    write(tmp_path / "toy/de.tsv", "eins\u2028noch eins\x85\x0c\tx\n")
    assert [row["text"] for row in read(PLAIN, tmp_path / "toy")] == ["eins\u2028noch eins\x85\x0c"]


def test_a_pattern_may_name_folders_also_the_one_that_is_read(tmp_path: Path) -> None:
    write(tmp_path / "ner/swh/train", "hujambo\n")
    assert [row["text"] for row in read(DEEP, tmp_path / "ner", "sw")] == ["hujambo"]
    assert [row["text"] for row in read(DEEP, tmp_path / "ner/swh", "sw")] == ["hujambo"]
    assert not DEEP.has("train", "de", tmp_path / "ner")


def test_what_macos_and_hidden_folders_hold_is_not_meant(tmp_path: Path) -> None:
    write(tmp_path / "toy/de.tsv", "eins\tx\n")
    for place in ("__MACOSX/de.tsv", ".old/de.tsv", "1/2/3/4/5/de.tsv"):
        write(tmp_path / "toy" / place, "zwei\ty\n")
    assert [row["text"] for row in read(PLAIN, tmp_path / "toy")] == ["eins"]


def test_origin_is_the_digest_of_what_is_read(tmp_path: Path) -> None:
    path = write(tmp_path / "toy/de.tsv", "eins\tx\n")
    digest = hashlib.sha256(b"eins\tx\n").hexdigest()
    assert PLAIN.origin("train", "de", tmp_path / "toy") == f"toy/de.tsv sha256:{digest}"
    path.write_text("zwei\tx\n")
    assert digest not in PLAIN.origin("train", "de", tmp_path / "toy")


def test_many_files_are_joined_by_name(tmp_path: Path) -> None:
    many = Tsv(paths={"train": "{language}_*.tsv"}, columns=("text",), many=True)
    write(tmp_path / "toy/z/de_a.tsv", "eins\n")
    write(tmp_path / "toy/a/de_b.tsv.gz", gzip.compress(b"zwei\n"))
    write(tmp_path / "toy/den_a.tsv", "nicht gemeint\n")
    assert [row["text"] for row in read(many, tmp_path / "toy")] == ["eins", "zwei"]
    write(tmp_path / "toy/z/de_b.tsv", "zwei\n")
    with pytest.raises(DataError, match=r"each name once, found toy/z/de_b\.tsv, toy/a/de_b\.tsv\.gz; point `folder`"):
        read(many, tmp_path / "toy")


def test_empty_file(tmp_path: Path) -> None:
    write(tmp_path / "toy/de.tsv", "")
    with pytest.raises(DataError, match=r"^toy/de\.tsv: the file is empty"):
        read(PLAIN, tmp_path / "toy")


def test_truncated_gzip(tmp_path: Path) -> None:
    whole = gzip.compress("".join(f"Zeile {i}\tx\n" for i in range(5000)).encode())
    write(tmp_path / "toy/de.tsv.gz", whole[: len(whole) // 2])
    with pytest.raises(DataError, match=r"^toy/de\.tsv\.gz: the gzip file is cut short or damaged"):
        read(PLAIN, tmp_path / "toy")


def test_latin_1_bytes_are_named_by_file_and_offset(tmp_path: Path) -> None:
    write(tmp_path / "toy/de.tsv", b"eins\tx\n" + "schön\ty\n".encode("latin-1"))
    with pytest.raises(DataError, match=r"^toy/de\.tsv:2: expected UTF-8, found the byte 0xf6 at offset 10;"):
        read(PLAIN, tmp_path / "toy")


def test_two_files_that_could_both_be_meant(tmp_path: Path) -> None:
    write(tmp_path / "toy/new/de.tsv", "eins\tx\n")
    write(tmp_path / "toy/old/de.tsv", "eins\tx\n")
    with pytest.raises(DataError, match=r"expected 'de\.tsv', one file, found toy/new/de\.tsv, toy/old/de\.tsv; point"):
        read(PLAIN, tmp_path / "toy")


def test_the_same_file_packed_and_plain(tmp_path: Path) -> None:
    write(tmp_path / "toy/de.tsv", "eins\tx\n")
    write(tmp_path / "toy/de.tsv.gz", gzip.compress(b"eins\tx\n"))
    with pytest.raises(DataError, match=r"found toy/de\.tsv, toy/de\.tsv\.gz; point `folder`"):
        PLAIN.origin("train", "de", tmp_path / "toy")


def test_not_found_lists_what_was_looked_for_and_what_is_there(tmp_path: Path) -> None:
    write(tmp_path / "toy/x/en.tsv", "one\tx\n")
    for number in range(30):
        write(tmp_path / f"toy/y{number:02}.txt", "")
    with pytest.raises(DataError) as caught:
        choose([PLAIN, DEEP], "train", "sw", tmp_path / "toy", "toy")
    message = str(caught.value)
    assert message.startswith("toy (sw): no files of the train split; looked for 'sw.tsv' or 'swh/train'")
    assert "there is: x/en.tsv, y00.txt," in message
    assert message.endswith("y18.txt and 11 more")


def test_folder_missing_hints_at_the_nearest_name(tmp_path: Path) -> None:
    (tmp_path / "tatoeba").mkdir()
    with pytest.raises(DataError, match="there is no such folder; did you mean 'tatoeba'"):
        choose([PLAIN], "train", "de", tmp_path / "tatoebba", "tatoeba")
    with pytest.raises(DataError, match="but no data_dir is given"):
        choose([PLAIN], "train", "de", None, "tatoeba")
    with pytest.raises(DataError, match="no files of the test split: its files hold only train"):
        choose([PLAIN], "test", "de", tmp_path, "tatoeba")


def test_choose_takes_the_format_that_is_there_and_refuses_two(tmp_path: Path) -> None:
    write(tmp_path / "toy/de/train", "eins\n")
    assert choose([PLAIN, DEEP], "train", "de", tmp_path / "toy", "toy") is DEEP
    write(tmp_path / "toy/de.tsv", "eins\tx\n")
    with pytest.raises(DataError, match=r"one format, found toy/de\.tsv; and toy/de/train; point `folder:`"):
        choose([PLAIN, DEEP], "train", "de", tmp_path / "toy", "toy")


def test_a_source_steps_aside_for_better_files(tmp_path: Path) -> None:
    poor = Tsv(paths={"train": "{language}/train"}, columns=("text",), unless={"train": "de.tsv"})
    write(tmp_path / "toy/de/train", "eins\n")
    assert choose([PLAIN, poor], "train", "de", tmp_path / "toy", "toy") is poor
    write(tmp_path / "toy/de.tsv", "eins\tx\n")
    assert choose([PLAIN, poor], "train", "de", tmp_path / "toy", "toy") is PLAIN


def test_rows_of_one_language_are_picked_by_a_column(tmp_path: Path) -> None:
    source = Tsv(paths={"train": "all.tsv"}, codes={"sw": "swahili"}, language_column="id")
    write(
        tmp_path / "toy/all.tsv", "id\ttext\nswahili-1\thujambo\nenglish-1\thello\nswahili\tasante\nswahilian-1\tno\n"
    )
    assert [row["text"] for row in read(source, tmp_path / "toy", "sw")] == ["hujambo", "asante"]
    with pytest.raises(DataError, match=r"toy/all\.tsv: expected rows, found none of language 'ko' in column 'id'"):
        read(source, tmp_path / "toy", "ko")


def test_embedded_files_need_no_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "toypackage/__init__.py", "")
    write(tmp_path / "toypackage/texts/de.tsv", "eins\tx\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    source = Tsv(paths={"train": "{language}.tsv"}, columns=("text", "label"), package="toypackage/texts")
    assert source.embedded
    assert not PLAIN.embedded
    assert [row[WHERE] for row in source.rows("train", "de", None)] == ["texts/de.tsv:1"]
    with pytest.raises(DataError, match=r"looked for 'fr\.tsv' .* there is: de\.tsv"):
        choose([source], "train", "fr", tmp_path / "nowhere", "toy")


def test_importing_the_sources_loads_nothing_heavy() -> None:
    script = "import sys, xtransfer.sources; print({'torch', 'lightning', 'datasets', 'transformers'} & {*sys.modules})"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
