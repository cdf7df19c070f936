"""Files that cannot be scored: each message names task, language, file, place, what was expected and what was found."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from xtransfer.benchmarks import find
from xtransfer.errors import ConfigError, DataError
from xtransfer.evaluator import Scores, TaskScore, score

BENCHMARKS = {"xcopa": "xtreme-r", "lareqa": "xtreme-r", "mewslix": "xtreme-r"}


def squad(*questions: tuple[str, list[str]], outer: bool = True) -> str:
    """Return gold answers in SQuAD's format."""
    qas = [
        {"id": name, "question": "?", "answers": [{"text": text, "answer_start": 0} for text in texts]}
        for name, texts in questions
    ]
    data = [{"title": "", "paragraphs": [{"context": "the cat sleeps", "qas": qas}]}]
    return json.dumps({"version": "1.1", "data": data} if outer else data)


class Folders:
    """Two folders, of predictions and of labels."""

    def __init__(self, folder: Path) -> None:
        self.predictions, self.labels = folder / "p", folder / "l"

    def put(self, task: str, predicted: str | bytes | None, gold: str | bytes | None, language: str = "de") -> None:
        """Write a language's files; None leaves one out."""
        suffix = find(BENCHMARKS.get(task, "xtreme")).task(task).suffix
        for folder, text in ((self.predictions, predicted), (self.labels, gold)):
            (folder / task).mkdir(parents=True, exist_ok=True)
            if text is not None:
                content = text if isinstance(text, bytes) else text.encode()
                (folder / task / f"test-{language}.{suffix}").write_bytes(content)

    def score(self, benchmark: str = "xtreme") -> Scores:
        """Score them."""
        return score(self.predictions, self.labels, benchmark)


@pytest.fixture
def folders(tmp_path: Path) -> Folders:
    return Folders(tmp_path)


def one(folders: Folders, task: str, predicted: str | bytes, gold: str | bytes, language: str = "de") -> TaskScore:
    folders.put(task, predicted, gold, language)
    return folders.score(BENCHMARKS.get(task, "xtreme")).tasks[task]


XNLI = "neutral\nentailment\ncontradiction\n"
TAGS = "O\nB-PER\nI-PER\n\nO\nO\n"
ONE = squad(("q1", ["cat"]))


@pytest.mark.parametrize(
    ("task", "predicted", "gold", "expected"),
    [
        ("xnli", "neutral\n", XNLI, r"p/xnli/test-de.tsv: expected 3 lines, as in .*l/xnli/test-de.tsv, found 1"),
        ("xnli", XNLI + "\n", XNLI, r"test-de.tsv:4: expected one of .*, found ''; a blank line stands for no row"),
        ("xnli", XNLI, "no\nyes\nno\n", r"l/xnli/test-de.tsv:1: expected one of contradiction, .*, found 'no'"),
        ("xnli", "neutral\ta\tb\n" * 3, XNLI, r":1: expected .* found 'neutral\\ta\\tb'; a line holds the label alone"),
        ("xnli", b"neutr\xe4l\n", XNLI, r"p/xnli/test-de.tsv:1: expected UTF-8, found the byte 0xe4"),
        ("pawsx", "0\ntrue\n", "0\n1\n", r"pawsx \(de\) .*:2: expected one of 0, 1, found 'true'"),
        (
            "tatoeba",
            "[308]\n",
            "308\n",
            r":1: expected the number of a line \(from 0\), without brackets, found '\[308",
        ),
        ("tatoeba", "1\n", "1\n2\n", r"tatoeba \(de\) .*: expected 2 lines, as in .*, found 1"),
        ("panx", TAGS.replace("B-PER", "PER"), TAGS, r"panx \(de\) .*p/panx/test-de.tsv:2: .*I-PER, O, found 'PER'"),
        (
            "panx",
            "O\n\nB-PER\nI-PER\n\nO\nO\n",
            TAGS,
            r"p/panx/test-de.tsv:1: expected 3 tags in sentence 1, as at .*l/panx/test-de.tsv:1, found 1 \(3 sentences "
            r"in all, expected 2\)",
        ),
        ("panx", "O\nB-PER\nI-PER\n\nO\n", TAGS, r"p/.*:5: expected 2 tags in sentence 2, as at .*l/.*:5, found 1"),
        ("panx", "O\nB-PER\nI-PER\n", TAGS, r"p/.*tsv: expected 2 tags in sentence 2, .*found 0 \(1 sentences"),
        ("panx", TAGS + "\nO\n", TAGS, r"p/.*:8: expected 0 tags in sentence 3, .*which has no such sentence, found 1"),
        ("panx", "\n" + TAGS, TAGS, r"p/.*:1: expected 3 tags in sentence 1, as at .*:1, found 0"),
        ("xquad", "", ONE, r"xquad \(de\) .*test-de.json: the file is empty"),
        ("xquad", "q1\tcat\n", ONE, r"p/xquad/test-de.json:1: expected JSON, question id -> answer \(Expecting value"),
        ("xquad", '["cat"]', ONE, r"expected one JSON object, question id -> answer, found list"),
        ("xquad", '{"q1": ["cat"]}', ONE, r"'q1': expected a text, found \['cat'\]"),
        ("xquad", '{"q1": "cat", "q1": "dog"}', ONE, r"p/xquad/test-de.json: the id 'q1' is there twice"),
        ("xquad", '{"q1": "cat"}', squad(("q1", ["a"]), ("q1", ["b"])), r"a second question has this id"),
        ("xquad", '{"q1": "cat"}', '{"q1": "cat"}', r"l/xquad/test-de.json: not SQuAD's JSON: expected a list at data"),
        ("xcopa", '{"label": 0}\n', '{"label": 0}\n' * 2, r"xcopa \(it\) .*: expected 2 lines, as in .*, found 1"),
        ("xcopa", "0\n", '{"label": 0}\n', r':1: expected \{"label": 0 or 1\}, found \'0\''),
        ("xcopa", '{"label": "0"}\n', '{"label": 0}\n', r':1: expected \{"label": 0 or 1\}, found'),
        ("xcopa", '{"label": 2}\n', '{"label": 0}\n', r':1: expected \{"label": 0 or 1\}, found'),
        ("xcopa", '{"label": true}\n', '{"label": 1}\n', r':1: expected \{"label": 0 or 1\}, found'),
        ("bucc2018", "de-1 en-1\n", "de-1\ten-1\n", r":1: expected two ids with a tab between them, found 'de-1 en-1'"),
        ("bucc2018", "de-1\ten-1\t0.9\n", "de-1\ten-1\n", r"bucc2018 \(de\) .*:1: expected two ids"),
        (
            "mewslix",
            '{"m": "Q1"}',
            '{"m": ["Q1"]}',
            r"mewslix \(de\) .*'m': expected a list of ids \(texts\), found 'Q1'",
        ),
        (
            "lareqa",
            '{"q": [1, 2]}',
            '{"q": ["a"]}',
            r"lareqa \(de\) .*'q': expected a list of ids \(texts\), found \[1",
        ),
    ],
)
def test_message(folders: Folders, task: str, predicted: str | bytes, gold: str, expected: str) -> None:
    with pytest.raises(DataError, match=expected):
        one(folders, task, predicted, gold, "it" if task == "xcopa" else "de")


def test_all_broken_files_are_told_at_once(folders: Folders) -> None:
    for language in ("de", "fr", "sw"):
        folders.put("xnli", "maybe\n", XNLI, language)
    folders.put("xnli", XNLI, XNLI, "en")
    folders.put("tatoeba", "x\n", "1\n")
    with pytest.raises(DataError) as caught:
        folders.score()
    first, *rest = str(caught.value).splitlines()
    assert first == "4 files cannot be scored:"
    assert [re.match(r"  (\w+ \(\w+\))", line)[1] for line in rest] == [  # type: ignore[index]
        "xnli (de)",
        "xnli (fr)",
        "xnli (sw)",
        "tatoeba (de)",
    ]


@pytest.mark.parametrize(
    ("task", "predicted", "gold", "reason"),
    [
        ("xnli", XNLI, "", "the file is empty"),
        ("xnli", XNLI, "\n\n\n", "3 of 3 lines have none"),
        ("xnli", XNLI, "neutral\n\nneutral\n", "1 of 3 lines have none"),
        ("tatoeba", "1\n2\n", "\n\n", "2 of 2 lines have none"),
        ("panx", TAGS, "\n\n", "2 of 2 lines have none"),
        ("panx", TAGS, "", "the file is empty"),
        ("xquad", '{"q1": "cat"}', squad(("q1", [""])), "1 of 1 questions have none"),
        ("xquad", '{"q1": "cat"}', squad(("q0", ["cat"]), ("q1", [])), "1 of 2 questions have none"),
        ("xquad", '{"q1": "cat"}', "", "the file is empty"),
        ("xcopa", '{"label": 0}\n', '{"label": null}\n', "1 of 1 lines have none"),
        ("xcopa", '{"label": 0}\n', '{"idx": 0}\n', "1 of 1 lines have none"),
        ("xcopa", '{"label": 0}\n', '{"label": -1}\n', "1 of 1 lines have none"),
        ("bucc2018", "de-1\ten-1\n", "\n", "1 of 1 lines have none"),
        ("bucc2018", "de-1\ten-1\n", "", "the file is empty"),
        ("mewslix", '{"m": ["Q1"]}', '{"m": [""]}', "1 of 1 queries have none"),
        ("mewslix", '{"m": ["Q1"]}', '{"m": []}', "1 of 1 queries have none"),
        ("mewslix", '{"m": ["Q1"]}', "{}", "the file is empty"),
    ],
)
def test_without_gold_labels_there_is_no_score(
    folders: Folders, task: str, predicted: str, gold: str, reason: str
) -> None:
    language = "it" if task == "xcopa" else "de"
    found = one(folders, task, predicted, gold, language)
    assert found.unlabelled == {language: reason}
    assert (dict(found.languages), found.means, found.average) == ({}, {}, None)


# ------------------------------------------------------------------ what is no error
@pytest.mark.parametrize(
    ("task", "predicted", "gold"),
    [
        ("xnli", " neutral \r\nentailment\r\ncontradiction", XNLI),  # line ends of another system, none at the end
        ("panx", TAGS + "\n", TAGS),  # the last sentence may be closed by a blank line
        ("panx", TAGS.replace("\n\n", "\n \n"), TAGS),
        ("tatoeba", "0\n12\n", "0\n12"),
        ("bucc2018", "de-2\ten-2\nde-1\ten-1\nde-1\ten-1\n", "de-1\ten-1\nde-2\ten-2\n"),  # any order, repeated
        ("xquad", '{"q1": "The cat!"}', squad(("q1", ["a cat", "dog"]), outer=False)),
        ("mewslix", '{"m": ["Q1", "Q2"]}', '{"m": [" Q1 "]}'),
    ],
)
def test_as_lenient_as_the_official_reader(folders: Folders, task: str, predicted: str, gold: str) -> None:
    assert set(one(folders, task, predicted, gold).languages["de"].scores.values()) == {100.0}


def test_missing_ids_count_nothing_and_are_counted(folders: Folders) -> None:
    gold = squad(("q1", ["cat"]), ("q2", ["dog"]), ("q3", ["the dog runs"]))
    found = one(folders, "xquad", '{"q1": "cat", "q3": "dog", "x": "cat", "y": "cat"}', gold).languages["de"]
    assert found.scores == pytest.approx({"em": 100 / 3, "f1": 100 * (1 + 2 / 3) / 3})
    assert (found.n, found.unanswered, found.unknown) == (3, 1, 2)


def test_rankings_beyond_20_and_missing_queries_count_nothing(folders: Folders) -> None:
    ranked = {"a": [f"Q{i}" for i in range(30)], "b": ["Q7", "Q3"], "x": []}
    gold = {"a": ["Q20"], "b": ["Q3"], "c": ["Q1"], "d": ["Q9"]}
    found = one(folders, "mewslix", json.dumps(ranked), json.dumps(gold)).languages["de"]
    assert found.scores == {"map20": pytest.approx(100 * (0 + 1 / 2 + 0 + 0) / 4)}
    assert (found.n, found.unanswered, found.unknown) == (4, 2, 1)


def test_lareqa_is_a_mean_over_questions_not_over_languages(folders: Folders) -> None:
    for language in find("xtreme-r").task("lareqa").languages:
        folders.put("lareqa", '{"q": ["a"]}', '{"q": ["a"]}', language)
    wrong = {f"q{i}": ["a", "b"] for i in range(10)}
    gold = {f"q{i}": ["b", "c"] for i in range(10)}  # average precision (1/2) / 2
    folders.put("lareqa", json.dumps(wrong), json.dumps(gold), "th")
    found = folders.score("xtreme-r").tasks["lareqa"]
    assert found.languages["th"].scores == {"map20": 25.0}
    assert found.average == pytest.approx((10 * 100 + 10 * 25) / 20)
    assert found.gap == pytest.approx(100 - (9 * 100 + 25) / 10)


def test_bucc_is_scored_by_sets(folders: Folders) -> None:
    found = one(folders, "bucc2018", "de-1\ten-1\nde-2\ten-3\n", "de-1\ten-1\nde-2\ten-2\nde-4\ten-4\nde-5\ten-5\n")
    assert found.languages["de"].scores == {"f1": pytest.approx(100 * 2 * (1 / 2) * (1 / 4) / (1 / 2 + 1 / 4))}


def test_what_is_missing_is_named_by_side(folders: Folders) -> None:
    folders.put("xnli", None, XNLI, "de")
    folders.put("xnli", XNLI, None, "fr")
    folders.put("xnli", XNLI, XNLI, "en")
    found = folders.score()
    assert found.tasks["xnli"].missing["de"] == "no predictions"
    assert found.tasks["xnli"].missing["fr"] == "no labels"
    assert found.tasks["xnli"].missing["sw"] == "no predictions and no labels"
    assert found.tasks["xnli"].means == {"accuracy": 100.0}
    assert len(found.missing) == 162 - 1  # all files of XTREME but one


def test_files_of_no_task_are_named(folders: Folders) -> None:
    folders.put("xnli", XNLI, XNLI, "en")
    (folders.predictions / "paws-x").mkdir()
    (folders.predictions / "xnli" / "test-xx.tsv").write_text("")
    (folders.labels / ".hidden").write_text("")
    ignored = [Path(name).relative_to(folders.predictions).as_posix() for name in folders.score().ignored]
    assert ignored == ["paws-x", "xnli/test-xx.tsv"]


@pytest.mark.parametrize("missing", ["predictions", "labels"])
def test_a_wrong_folder_is_told_before_anything_is_read(folders: Folders, missing: str) -> None:
    folders.put("xnli", "broken", XNLI)
    getattr(folders, missing).joinpath("xnli").rename(getattr(folders, missing) / "XNLI")
    with pytest.raises(ConfigError, match=r"expected folders named after tasks \(pawsx, .*\), found: XNLI"):
        folders.score()
    with pytest.raises(ConfigError, match="found: no such folder"):
        score(folders.predictions / "x", folders.labels)


def test_unknown_names(folders: Folders) -> None:
    with pytest.raises(ConfigError, match="unknown benchmark 'xtrem'; did you mean 'xtreme'"):
        folders.score("xtrem")
    with pytest.raises(ConfigError, match=r"unknown version of seqeval '1\.2'"):
        score(folders.predictions, folders.labels, seqeval="1.2")  # type: ignore[arg-type]
