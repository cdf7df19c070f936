"""SQuAD's JSON, the format of all question-answering data sets here."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from xtransfer.errors import DataError
from xtransfer.sources.files import File, FileSource
from xtransfer.task import WHERE, Row

T = TypeVar("T")


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
        text = "".join(line + "\n" for _, line in file.lines())
        try:
            root = json.loads(text)
        except json.JSONDecodeError as error:
            raise DataError(f"{file.name}:{error.lineno}: expected JSON ({error.msg}, column {error.colno})") from None
        seen: set[str] = set()
        root = {"data": root} if isinstance(root, list) else root
        for number, row in enumerate(_questions(root, file.name)):
            if row["id"] in seen:
                if not self.ids_repeat:
                    raise DataError(
                        f"{row[WHERE]}: a second question has this id, so that their predictions cannot be told apart"
                    )
                row["id"] += f"#{number}"
            seen.add(row["id"])
            yield row


def _questions(root: object, name: str) -> Iterator[Row]:
    for a, article in enumerate(_take(root, "data", list, "", name)):
        at_article = f"data[{a}]"
        for p, paragraph in enumerate(_take(article, "paragraphs", list, at_article, name)):
            at = f"{at_article}.paragraphs[{p}]"
            context = _take(paragraph, "context", str, at, name)
            for q, question in enumerate(_take(paragraph, "qas", list, at, name)):
                at_question = f"{at}.qas[{q}]"
                row: Row = {key: _take(question, key, str, at_question, name) for key in ("id", "question")}
                row |= {"title": article.get("title", ""), "context": context, WHERE: f"{name}:{row['id']}"}
                yield row | {"answers": _answers(question, at_question, name)}


def _answers(question: Mapping[str, Any], at: str, name: str) -> dict[str, list[Any]] | None:
    """Return texts and offsets, empty lists for 'no answer', None where the answers were taken out."""
    texts, starts = [], []
    for i, answer in enumerate(_take(question, "answers", list, at, name)):
        texts.append(_take(answer, "text", str, f"{at}.answers[{i}]", name))
        starts.append(_take(answer, "answer_start", int, f"{at}.answers[{i}]", name))
    if question.get("is_impossible") is True:
        return {"text": [], "answer_start": []}
    return None if texts and not any(texts) else {"text": texts, "answer_start": starts}


def _take(node: object, key: str, kind: type[T], at: str, name: str) -> T:
    """Return ``node[key]`` if it is of its kind.

    Raises:
        DataError: It is not; the message says where it should be.
    """
    value = node.get(key) if isinstance(node, dict) else None
    if isinstance(value, kind):
        return value
    what = {"list": "a list", "str": "a text", "int": "a number"}[kind.__name__]
    there = repr(value) if isinstance(node, dict) and key in node else _shape(node)
    place = f"{at}.{key}" if at else key
    raise DataError(f"{name}: not SQuAD's JSON: expected {what} at {place}, found {there[:80]}")


def _shape(node: object) -> str:
    if isinstance(node, dict):
        return f"an object with {', '.join(map(str, node)) or 'nothing'}"
    return f"{type(node).__name__} {node!r}"
