"""SQuAD's JSON, the format of all question-answering data sets here."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from xtransfer.errors import DataError
from xtransfer.sources.files import File, FileSource
from xtransfer.sources.nodes import take
from xtransfer.task import WHERE, Row

FAULT = "not SQuAD's JSON"


@dataclass(frozen=True, kw_only=True)
class SquadJson(FileSource):
    """SQuAD v1.1 or v2.0 JSON: articles, their paragraphs, the questions of each.

    Rows have `id`, `title`, `context`, `question` and `answers`, an object of the lists `text` and `answer_start`.
    Empty lists mean that the question has no answer; None means that no answer is told, as where XTREME replaced all
    of them by one empty text at 0. Contexts are left as they are: offsets count every space. The outer object, whose
    `data` the articles are, may be missing.

    Args:
        ids_repeat: Ids may repeat; a repeated one gets ``#`` and the question's number (from 0) after it. XTREME cuts
            those of TyDiQA's training files down to a number.
    """

    ids_repeat: bool = False

    def parse(self, file: File, language: str) -> Iterator[Row]:
        """Yield one row a question.

        Raises:
            DataError: The JSON is broken or not SQuAD's, or two questions have the same id.
        """
        seen: set[str] = set()
        for number, row in enumerate(_questions(file)):
            if row["id"] in seen:
                if not self.ids_repeat:
                    raise DataError(
                        f"{row[WHERE]}: a second question has this id, so that their predictions cannot be told apart"
                    )
                row["id"] += f"#{number}"
            seen.add(row["id"])
            yield row


@dataclass(frozen=True)
class Paragraph:
    """A paragraph of SQuAD's JSON.

    Args:
        article: Number of its article, from 0.
        number: Its own number in the article, from 0.
        title: Title of the article.
        node: The object itself.
        file: Name of the file.
    """

    article: int
    number: int
    title: str
    node: object
    file: str

    @property
    def place(self) -> str:
        """Where it stands in the file."""
        return f"data[{self.article}].paragraphs[{self.number}]"

    @property
    def fault(self) -> str:
        """The start of a message about it."""
        return f"{self.file}: {FAULT}"

    @property
    def context(self) -> str:
        """Its text, as it is: offsets count every space."""
        return take(self.node, "context", str, self.place, self.fault)

    def questions(self) -> Iterator[Row]:
        """Yield id, question and answers of each question, with their place."""
        for number, question in enumerate(take(self.node, "qas", list, self.place, self.fault)):
            at = f"{self.place}.qas[{number}]"
            row: Row = {key: take(question, key, str, at, self.fault) for key in ("id", "question")}
            yield row | {"answers": _answers(question, at, self.fault), WHERE: f"{self.file}:{row['id']}"}


def paragraphs(file: File) -> Iterator[Paragraph]:
    """Yield the paragraphs of a file in SQuAD's JSON.

    Raises:
        DataError: The JSON is broken or not SQuAD's.
    """
    text = "".join(line + "\n" for _, line in file.lines())
    try:
        root = json.loads(text)
    except json.JSONDecodeError as error:
        raise DataError(f"{file.name}:{error.lineno}: expected JSON ({error.msg}, column {error.colno})") from None
    fault = f"{file.name}: {FAULT}"
    root = {"data": root} if isinstance(root, list) else root
    for a, article in enumerate(take(root, "data", list, "", fault)):
        for p, paragraph in enumerate(take(article, "paragraphs", list, f"data[{a}]", fault)):
            yield Paragraph(a, p, article.get("title", ""), paragraph, file.name)


def _questions(file: File) -> Iterator[Row]:
    for paragraph in paragraphs(file):
        about = {"title": paragraph.title, "context": paragraph.context}
        for row in paragraph.questions():
            yield row | about


def _answers(question: Mapping[str, Any], at: str, where: str) -> dict[str, list[Any]] | None:
    """Return texts and offsets, empty lists for 'no answer', None where the answers were taken out."""
    texts, starts = [], []
    for i, answer in enumerate(take(question, "answers", list, at, where)):
        texts.append(take(answer, "text", str, f"{at}.answers[{i}]", where))
        starts.append(take(answer, "answer_start", int, f"{at}.answers[{i}]", where))
    if question.get("is_impossible") is True:
        return {"text": [], "answer_start": []}
    return None if texts and not any(texts) else {"text": texts, "answer_start": starts}
