"""Tagged words, and treebanks converted as XTREME converts them; every example is worked out by hand."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from xtransfer.datamodules.portion import Portion, describe
from xtransfer.errors import DataError
from xtransfer.sources import Conll, ConllU, FileSource
from xtransfer.task import WHERE, Row, Task

PATHS = {"test": "words"}


def read(source: FileSource, tmp_path: Path, text: str, language: str = "en") -> list[Row]:
    (tmp_path / "t").mkdir(exist_ok=True)
    (tmp_path / "t/words").write_text(text, encoding="utf-8")
    return list(source.rows("test", language, tmp_path / "t"))


def tagged(rows: list[Row]) -> list[list[tuple[str, str]]]:
    return [list(zip(row["tokens"], row["tags"], strict=True)) for row in rows]


def test_sentences_end_at_blank_lines_and_at_the_end(tmp_path: Path) -> None:
    rows = read(Conll(paths=PATHS), tmp_path, "\nEin\tO\nHaus\tB-LOC\n\n\n#\tO\n\tO")
    assert tagged(rows) == [[("Ein", "O"), ("Haus", "B-LOC")], [("#", "O"), ("", "O")]]
    assert [row[WHERE] for row in rows] == ["t/words:2", "t/words:6"]


def test_words_alone_have_no_tags(tmp_path: Path) -> None:
    rows = read(Conll(paths=PATHS), tmp_path, "Ein\nHaus\n\nJa\n")
    assert [(row["tokens"], row["tags"]) for row in rows] == [(["Ein", "Haus"], None), (["Ja"], None)]


def test_prefix_is_taken_off_once(tmp_path: Path) -> None:
    rows = read(Conll(paths=PATHS, prefix=True), tmp_path, "de: Anna\tB-PER\nde::\tO\nde:12:30\tO\n")
    assert tagged(rows) == [[("Anna", "B-PER"), (":", "O"), ("12:30", "O")]]
    with pytest.raises(DataError, match=r"^t/words:1: expected a word with its language before it \(xx:word\)"):
        read(Conll(paths=PATHS, prefix=True), tmp_path, "Anna\tB-PER\n")


def test_other_columns_and_comments(tmp_path: Path) -> None:
    source = Conll(paths=PATHS, token_column=1, tag_column=3, comments=True)
    assert tagged(read(source, tmp_path, "# id 1\n1\tJa\tx\tITJ\n2\t!\tx\tPUN\n")) == [[("Ja", "ITJ"), ("!", "PUN")]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("Ein\tO\n\nHaus\n", r"^t/words:3: expected 2 columns, found 1: 'Haus'$"),
        ("Ein\nHaus\tO\n", r"^t/words:2: expected 1 column as in the first line, found 2"),
        ("Ein\tO\tx\nHaus\tO\n", r"^t/words:2: expected 3 columns, found 2"),
    ],
)
def test_a_line_with_a_missing_column(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read(Conll(paths=PATHS), tmp_path, text)


def line(number: str, form: str, tag: str = "_", head: str = "_", deps: str = "_") -> str:
    return f"{number}\t{form}\t_\t{tag}\t_\t_\t{head}\t_\t{deps}\t_\n"


def convert(tmp_path: Path, text: str, language: str = "en") -> list[list[tuple[str, str]]]:
    return tagged(read(ConllU(paths=PATHS), tmp_path, text, language))


def test_a_fused_word_has_the_tag_of_its_highest_node(tmp_path: Path) -> None:
    # Spanish "dámelo": the verb governs both pronouns.
    verb = (
        line("1-3", "dámelo") + line("1", "da", "VERB", "0") + line("2", "me", "PRON", "1") + line("3", "lo", "X", "1")
    )
    assert convert(tmp_path, "# text\n" + verb + line("4", "ya", "ADV", "1")) == [[("dámelo", "VERB"), ("ya", "ADV")]]
    # The highest wins although its tag comes last in the list of ranks.
    assert convert(tmp_path, line("1-2", "ab") + line("1", "a", "VERB", "2") + line("2", "b", "PUNCT", "0")) == [
        [("ab", "PUNCT")]
    ]


def test_a_tie_is_broken_by_the_ranks_of_the_language(tmp_path: Path) -> None:
    # Both parts hang on the noun: ADP before DET.
    of_the = (
        line("1-2", "du") + line("1", "de", "DET", "3") + line("2", "le", "ADP", "3") + line("3", "pain", "NOUN", "0")
    )
    assert convert(tmp_path, of_the, "fr")[0][0] == ("du", "ADP")
    # NOUN against AUX: everywhere the noun, in Spanish (where nouns have no rank) the auxiliary.
    both = line("1-2", "xy") + line("1", "x", "NOUN", "3") + line("2", "y", "AUX", "3") + line("3", "z", "VERB", "0")
    assert convert(tmp_path, both, "de")[0][0] == ("xy", "NOUN")
    assert convert(tmp_path, both, "es")[0][0] == ("xy", "AUX")
    # ADV before PRON only in Italian.
    adverb = line("1-2", "xy") + line("1", "x", "PRON", "3") + line("2", "y", "ADV", "3") + line("3", "z", "VERB", "0")
    assert convert(tmp_path, adverb, "it")[0][0] == ("xy", "ADV")
    assert convert(tmp_path, adverb, "pt")[0][0] == ("xy", "PRON")
    # Two tags of equal rank: the first.
    equal = line("1-2", "xy") + line("1", "x", "SYM", "3") + line("2", "y", "_", "3") + line("3", "z", "VERB", "0")
    assert convert(tmp_path, equal, "de")[0][0] == ("xy", "SYM")


def test_height_counts_enhanced_dependencies(tmp_path: Path) -> None:
    # By basic heads both hang on the root; the enhanced edge from 4 gives the verb one ancestor more.
    text = line("1-2", "xy") + line("1", "x", "VERB", "3", "3:dep|4:dep") + line("2", "y", "DET", "3", "3.1:dep")
    text += line("3", "z", "VERB", "0", "0:root") + line("3.1", "gone", "VERB") + line("4", "w", "NOUN", "3", "3:obj")
    assert convert(tmp_path, text) == [[("xy", "DET"), ("z", "VERB"), ("w", "NOUN")]]
    # A word is no ancestor of itself, though enhanced dependencies may run in a circle: a tie, which the verb wins.
    text = line("1-2", "xy") + line("1", "x", "VERB", "3", "4:dep") + line("2", "y", "DET", "3", "5:dep")
    text += line("3", "z", "VERB", "0") + line("4", "v", "NOUN", "1") + line("5", "w", "NOUN", "3")
    assert convert(tmp_path, text)[0][0] == ("xy", "VERB")


def test_empty_nodes_go_and_emptied_words_stay(tmp_path: Path) -> None:
    text = line("1", "می\u200cروم", "VERB", "0") + line("1.1", "x", "VERB") + line("2", "10 000", "NUM", "1")
    assert convert(tmp_path, text + line("3", "\u200c", "PUNCT", "1")) == [
        [("میروم", "VERB"), ("10000", "NUM"), ("", "PUNCT")]
    ]


def test_sentences_without_text_are_left_out_and_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    blank = "".join(line(str(i), "_", "NOUN", "0") for i in (1, 2))
    almost = blank + line("3", "!", "PUNCT", "1")
    kept = blank + line("3", "Haus", "NOUN", "1") + line("4", "!", "PUNCT", "1")
    with caplog.at_level(logging.WARNING):
        rows = convert(tmp_path, "\n".join([blank, almost, kept]))
    assert [len(row) for row in rows] == [4]
    assert "t/words: 2 of 3 sentences have no text" in caplog.text


def test_sentences_without_text_are_counted_over_all_treebanks_whatever_is_read_of_them(tmp_path: Path) -> None:
    source = ConllU(paths={"test": "{language}_*-ud-test.conllu"})
    task = Task(name="tags", kind="tagging", fields={"tokens": "tokens", "tags": "tags"}, labels=("NOUN",))
    blank, word = line("1", "_", "NOUN", "0"), line("1", "Haus", "NOUN", "0")
    for name, text in (("a", [word, blank, word]), ("b", [blank, blank])):
        (tmp_path / f"de_{name}-ud-test.conllu").write_text("\n".join(text), encoding="utf-8")
    for limit in (None, 1):
        portion = Portion(task, "test", "de", source, tmp_path, "test", limit)
        assert len(portion.examples()) == portion.counts["rows"] == (limit or 2)
        assert describe(portion.counts)["sentences_left_out"] == 3
    (tmp_path / "de_a-ud-test.conllu").unlink()
    with pytest.raises(DataError, match=r"de_b-ud-test\.conllu: expected sentences with text, found 2 without \('_'\)"):
        list(source.rows("test", "de", tmp_path))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (line("1", "a", "X", "0") + "2\tb\t_\tX\n", r"^t/words:2: expected 10 columns \(CoNLL-U\), found 4"),
        (line("eins", "a", "X", "0"), r"^t/words:1: expected a CoNLL-U id such as 1, 1-2 or 1\.1, found 'eins'"),
        (line("1-2", "ab") + line("1", "a", "X", "0"), r"^t/words:1: the words of the multi-word token 'ab'"),
    ],
)
def test_broken_treebanks(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        convert(tmp_path, text)


def test_treebanks_of_a_language_are_joined(tmp_path: Path) -> None:
    source = ConllU(paths={"test": "{language}_*-ud-test.conllu"})
    for name, word in (("de_b", "zwei"), ("de_a", "eins"), ("el_a", "ένα")):
        (tmp_path / f"{name}-ud-test.conllu").write_text(line("1", word, "NUM", "0"), encoding="utf-8")
    assert [row["tokens"] for row in source.rows("test", "de", tmp_path)] == [["eins"], ["zwei"]]
