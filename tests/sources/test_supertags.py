"""Words and CCG categories in three formats, as they are written; broken lines are told by file and number."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from xtransfer.datamodules import CCG
from xtransfer.errors import DataError
from xtransfer.sources import CcgBank, Conll, FileSource, TaggedLines, choose
from xtransfer.task import WHERE, Row

PATHS = {"train": "file"}
LINES, BANK = TaggedLines(paths=PATHS), CcgBank(paths=PATHS)
MEANING_BANK = Conll(paths=PATHS, tag_column=4, comments=True)
NAME = "ID=wsj_0201.1 PARSER=GOLD NUMPARSE=1\n"
YES = "(<L N NN NN Yes N_1>)"


def read(source: FileSource, tmp_path: Path, text: str | bytes) -> list[Row]:
    (tmp_path / "t").mkdir(exist_ok=True)
    (tmp_path / "t/file").write_bytes(text.encode() if isinstance(text, str) else text)
    return list(source.rows("train", "en", tmp_path / "t"))


def tagged(rows: list[Row]) -> list[list[tuple[str, str]]]:
    return [list(zip(row["tokens"], row["tags"], strict=True)) for row in rows]


# ------------------------------------------------------------------ what is read
def test_leaves_of_a_derivation_from_left_to_right(tmp_path: Path) -> None:
    clause = r"(<T S[dcl] 1 2> (<T NP 0 1> (<L N NNP NNP Anna N>) ) (<L S[dcl]\NP VBZ VB runs S[dcl]\NP_7>) )"
    rows = read(BANK, tmp_path, f"{NAME}{clause}\n{NAME}{YES}\n")
    assert tagged(rows) == [[("Anna", "N"), ("runs", r"S[dcl]\NP")], [("Yes", "N")]]
    assert [row[WHERE] for row in rows] == ["t/file:2", "t/file:4"]


def test_words_and_categories_of_punctuation_stay_as_they_are(tmp_path: Path) -> None:
    leaves = [("-LRB-", "LRB"), ("<", "N"), (")", "N"), (",", ","), ("(<L", "N"), ("a\u00a0b", "N/N")]
    text = " ".join(f"(<L {tag} X X {word} {tag}>)" for word, tag in leaves)
    assert tagged(read(BANK, tmp_path, f"{NAME}(<T N 0 2> {text} )\n")) == [leaves]
    line = " ".join(word for word, _ in leaves) + "\t" + " ".join(tag for _, tag in leaves)
    assert tagged(read(LINES, tmp_path, line)) == [leaves]


def test_lines_of_words_and_tags(tmp_path: Path) -> None:
    rows = read(LINES, tmp_path, "Anna runs\tN S[dcl]\\NP\n\nYes  \t N\n")
    assert tagged(rows) == [[("Anna", "N"), ("runs", r"S[dcl]\NP")], [("Yes", "N")]]
    assert [row[WHERE] for row in rows] == ["t/file:1", "t/file:3"]


def test_the_meaning_bank_s_comments_are_no_words(tmp_path: Path) -> None:
    text = "### made by\n# newdoc\n# tok:gold\ttok:gold\tx\tx\tcat:gold\nAnna\tAnna\ta\tPER\tn\n#\t#\t#\tX\tconj\n"
    assert tagged(read(MEANING_BANK, tmp_path, text)) == [[("Anna", "n"), ("#", "conj")]]


@pytest.mark.parametrize(
    ("source", "text"),
    [
        (BANK, f"{NAME}(<T N 0 1> {YES} )\n"),
        (LINES, "Yes\tN\n"),
        (MEANING_BANK, "# raw\nYes\tYes\tyes\tX\tN\n\n"),
    ],
    ids=["auto", "lines", "pmb"],
)
def test_windows_line_ends_and_gzip(tmp_path: Path, source: FileSource, text: str) -> None:
    for content in (text.replace("\n", "\r\n").encode(), gzip.compress(text.encode())):
        assert tagged(read(source, tmp_path, content)) == [[("Yes", "N")]]


def test_sections_of_ccgbank(tmp_path: Path) -> None:
    for section in range(25):
        for document in ("01", "99"):
            file = tmp_path / f"ccgbank_1_1/data/AUTO/{section:02}/wsj_{section:02}{document}.auto"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(f"ID=wsj_{section:02}{document}.1\n(<L N X X s{section:02}d{document} N>)\n")

    def words(split: str) -> list[str]:
        source = choose(CCG.task.files, split, "en", tmp_path, "ccg")
        return [row["tokens"][0] for row in source.rows(split, "en", tmp_path)]

    assert words("train") == [f"s{section:02}d{document}" for section in range(2, 22) for document in ("01", "99")]
    assert (words("validation"), words("test")) == (["s00d01", "s00d99"], ["s23d01", "s23d99"])


def test_files_that_are_missing_are_named_one_by_one(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        choose(CCG.task.files, "test", "en", tmp_path, "ccg")
    wanted = "'wsj_23??.auto' or 'test.auto' or 'wsj_23.auto' or 'ccg.test' or 'en/gold/test.conll' (or the same with"
    assert str(caught.value).startswith(f"ccg (en): no files of the test split; looked for {wanted}")


# ------------------------------------------------------------------ what is refused
@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("Anna runs\n", r"expected 2 columns \(words, tab, tags\), found 1: 'Anna runs'$"),
        ("Anna\tN\tN\n", r"expected 2 columns \(words, tab, tags\), found 3: "),
        ("Anna runs\tN\n", r"expected a tag for every word, found 2 words and 1 tags: "),
        ("Anna\tN S[dcl]\\NP\n", r"expected a tag for every word, found 1 words and 2 tags: "),
        # The sentence was split where it had a tab, so that a word stands where the tags should.
        ("Anna\truns\tN S[dcl]\\NP\n", r"expected 2 columns \(words, tab, tags\), found 3: "),
        ("\t\n", r"expected a tag for every word, found 0 words and 0 tags: "),
    ],
)
def test_broken_lines(tmp_path: Path, line: str, message: str) -> None:
    with pytest.raises(DataError, match=rf"^t/file:2: {message}"):
        read(LINES, tmp_path, f"Yes\tN\n{line}Yes\tN\n")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (
            "(<T N 0 1> (<L N NN NN Yes>) )",
            r"expected one derivation, .*, found '\(<L N NN NN Yes>\) \)' at character 12$",
        ),
        ("(<L N NN NN Yes yes N>)", r"expected one derivation, .*, found '\(<L N NN NN Yes yes N>\)' at character 1$"),
        (f"(<T N 0 2> {YES}", "expected a whole derivation, found 1 brackets still open at its end$"),
        (f"(<T N 0 2> {YES} ) )", r"expected one derivation, .*, found '\)' at character 36$"),
        (f"{YES} {YES}", r"expected one derivation, .*, found '\(<L N NN NN Yes N_1>\)' at character 23$"),
        ("(<T N 0 0> )", r"expected a derivation with words, found none: '\(<T N 0 0> \)'$"),
        ("Yes\tN", r"expected one derivation, .*, found 'Yes\\tN' at character 1$"),
        # The sentence was split: its derivation goes on in the next line.
        (f"(<T N 0 2> {YES}\n{YES} )", "expected a whole derivation, found 1 brackets still open at its end$"),
    ],
)
def test_broken_derivations(tmp_path: Path, line: str, message: str) -> None:
    with pytest.raises(DataError, match=rf"^t/file:4: {message}"):
        read(BANK, tmp_path, f"{NAME}{YES}\n{NAME}{line}\n")


@pytest.mark.parametrize(("text", "line"), [(f"{NAME}{YES}\n{NAME}", 3), (f"{NAME}\n{NAME}{YES}\n", 1)])
def test_a_name_without_its_derivation(tmp_path: Path, text: str, line: int) -> None:
    with pytest.raises(DataError, match=rf"^t/file:{line}: expected a derivation after this line, found none"):
        read(BANK, tmp_path, text)


@pytest.mark.parametrize("text", ["Yes\tYes\tyes\tX\tN\nno\tN\n", "Yes\tYes\tyes\tX\tN\nno\n", "Yes\tN\nno\tN\n"])
def test_wrong_columns_of_the_meaning_bank(tmp_path: Path, text: str) -> None:
    with pytest.raises(DataError, match=r"^t/file:[12]: expected 5 columns, found [12]: "):
        read(MEANING_BANK, tmp_path, text)


@pytest.mark.parametrize("source", [BANK, LINES, MEANING_BANK], ids=["auto", "lines", "pmb"])
@pytest.mark.parametrize(("text", "found"), [("", "the file is empty"), ("\n\n", "expected rows, found none")])
def test_files_without_rows(tmp_path: Path, source: FileSource, text: str, found: str) -> None:
    with pytest.raises(DataError, match=rf"^t/file: {found}"):
        read(source, tmp_path, text)
