"""Sentences by rules, held against those of XQuAD-R; and the sentence that answers a question."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from xtransfer.errors import DataError
from xtransfer.sources import AnswerSentences, Hub, SquadJson, choose
from xtransfer.sources.sentences import sentence_spans

SOURCE = AnswerSentences(SquadJson(paths={"train": "q.json"}))


@pytest.mark.parametrize(
    "sentences",
    [
        ["One cat sleeps.", "Two dogs run!", "Who?", "9 of 10."],
        ["He said “No.”", "“Yes.”", "(All agreed.)", "The end"],
        ["It is old.[1][note 2]", "Nobody knows."],
        ["Dr. Smith and Mrs. Jones came in Oct. 1990.", "See No. 5 and c. 1900."],
        ["He said no.", "Nobody asked."],
        ["J. R. R. Miller met B. Hall in the U.S. Senate."],
        ["He lived in the U.S. A. B. Hall did not."],
        ["He lives in the U.S.", "The house is his."],
        ["It is 3.5 m long, e.g. Here. or there."],
        ["Wait... what is this?", "Wait...", "What?"],
    ],
)
def test_sentences_are_cut_where_a_reader_would(sentences: list[str]) -> None:
    text = "  " + " ".join(sentences) + "\n"
    assert [text[start:end] for start, end in sentence_spans(text)] == sentences


def test_no_text_has_no_sentences() -> None:
    assert sentence_spans(" \n ") == []


def write(folder: Path, context: str, *starts: int | None) -> Path:
    questions = [
        {"id": f"q{n}", "question": "?", "answers": [] if start is None else [{"text": "x", "answer_start": start}]}
        for n, start in enumerate(starts)
    ]
    root = {"data": [{"title": "T", "paragraphs": [{"context": context, "qas": questions}]}]}
    (folder / "q.json").write_text(json.dumps(root))
    return folder


def test_the_sentence_with_the_first_answer_stands_before_its_paragraph(tmp_path: Path) -> None:
    text = "A cat.\nA dog. No."
    rows = list(SOURCE.rows("train", "en", write(tmp_path, text, 2, 7, 13, 16)))
    line = "A cat.A dog. No."
    # 13 is the blank after the second sentence: the answer belongs to the third.
    assert [row["sentence_paragraph"] for row in rows] == ["A cat." + line, "A dog." + line, "No." + line, "No." + line]
    assert [(row["id"], row["context"]) for row in rows] == [(f"q{n}", text) for n in range(4)]


@pytest.mark.parametrize(
    ("start", "message"),
    [(None, r"q\.json:q1: expected a question with an answer"), (99, r"q1: expected an answer among 6 char.* at 99")],
)
def test_answers_that_are_none(tmp_path: Path, start: int | None, message: str) -> None:
    with pytest.raises(DataError, match=message):
        list(SOURCE.rows("train", "en", write(tmp_path, "A cat.", 0, start)))


def test_it_is_where_its_source_is(tmp_path: Path) -> None:
    write(tmp_path, "A cat.", 0)
    assert SOURCE.origin("train", "en", tmp_path) == SOURCE.source.origin("train", "en", tmp_path)
    assert (SOURCE.declares("train"), SOURCE.declares("test"), SOURCE.embedded) == (True, False, False)
    assert AnswerSentences(Hub("owner/name")).basis == Hub("owner/name")
    with pytest.raises(
        DataError, match=r"squad \(en\): no files of the train split; looked for 'q\.json'.*no such folder"
    ):
        choose([SOURCE], "train", "en", tmp_path / "squad", "squad")
    both = [SOURCE, SquadJson(paths={"train": "q*.json"})]
    with pytest.raises(DataError, match=r"in one format, found .*/q\.json; and .*/q\.json"):
        choose(both, "train", "en", tmp_path, "squad")


def test_agreement_with_the_sentences_of_xquad_r(real_data: Path) -> None:
    """Ours against the official ones, in English: how many begin at the same place, and answer the same questions."""
    theirs = ours = common = answers = same = 0
    for article in json.loads((real_data / "lareqa/xquad-r/en.json").read_text(encoding="utf-8"))["data"]:
        for paragraph in article["paragraphs"]:
            official, own = [tuple(pair) for pair in paragraph["sentence_breaks"]], sentence_spans(paragraph["context"])
            theirs, ours = theirs + len(official), ours + len(own)
            common += len({start for start, _ in official} & {start for start, _ in own})
            for question in paragraph["qas"]:
                place = question["answers"][0]["answer_start"]
                answers += 1
                same += next(s for s in official if s[0] <= place < s[1]) == next(s for s in own if place < s[1])
    assert (theirs, answers) == (1180, 1190)
    assert common / theirs > 0.99
    assert common / ours > 0.99
    assert same / answers > 0.98
