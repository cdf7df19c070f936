"""Files of predictions and labels as XTREME's evaluator reads them, checked line by line."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from xtransfer.benchmarks import BenchmarkTask
from xtransfer.errors import DataError
from xtransfer.sources import SquadJson
from xtransfer.sources.files import File

NO_LABEL = (None, "", -1)
"""What stands for a label where there is none."""


class NoGold(Exception):
    """A file of labels holds no gold labels, at least not for all its rows: nothing can be scored by it."""


class Sentence(NamedTuple):
    """The tags of one sentence.

    Attributes:
        line: The line of its first tag, from 1.
        tags: One tag a word.
    """

    line: int
    tags: list[str]


def read_lines(file: File) -> list[str]:
    """Return the lines of a file without white space around them; none if it is empty.

    Raises:
        DataError: The file is not UTF-8.
    """
    return [text.strip() for _, text in file.lines()] if file.path.stat().st_size else []


def labels(file: File, task: BenchmarkTask, gold: bool) -> list[str]:
    """Return one label or line number a line.

    Raises:
        DataError: A line is neither; names it.
        NoGold: These should be gold labels, and lines are blank.
    """
    found = read_lines(file)
    if gold:
        require_gold([number for number, text in enumerate(found, 1) if not text], len(found), "lines")
    for number, text in enumerate(found, 1):
        if task.form == "numbers" and not (text.isascii() and text.isdigit()):
            raise DataError(
                f"{file.name}:{number}: expected the number of a line (from 0), without brackets, found {text!r:.80}"
            )
        if task.form == "labels" and text not in task.labels:
            raise _unknown(file, number, text, task)
    return found


def sentences(file: File, task: BenchmarkTask, gold: bool) -> list[Sentence]:
    """Return the sentences of a file of tags: a tag a line, a blank line after each sentence.

    As in the official reader, a second blank line in a row makes an empty sentence.

    Raises:
        DataError: A tag is unknown; names the line.
        NoGold: These should be gold labels, and there is no tag.
    """
    found: list[Sentence] = []
    tags: list[str] = []
    number = 0
    for number, text in enumerate(read_lines(file), 1):
        if not text:
            found.append(Sentence(number - len(tags), tags))
            tags = []
            continue
        if text not in task.labels:
            raise _unknown(file, number, text, task)
        tags.append(text)
    if tags:
        found.append(Sentence(number + 1 - len(tags), tags))
    if gold and not any(sentence.tags for sentence in found):
        require_gold(range(number), number, "lines")
    return found


def choices(file: File, task: BenchmarkTask, gold: bool) -> list[str]:
    """Return the number of the chosen option of each line, ``{"label": 0}``, as a text.

    Raises:
        DataError: A line is no such object; names it.
        NoGold: These should be gold labels, and some are missing.
    """
    found = []
    for number, text in enumerate(read_lines(file), 1):
        try:
            value = json.loads(text)
        except json.JSONDecodeError:
            value = text
        label = value.get("label") if isinstance(value, dict) else value
        absent = gold and (not text or (isinstance(value, dict) and label in NO_LABEL))
        if not absent and (not isinstance(value, dict) or type(label) is not int or str(label) not in task.labels):
            legal = " or ".join(task.labels)
            raise DataError(f'{file.name}:{number}: expected {{"label": {legal}}}, found {text!r:.80}')
        found.append("" if absent else str(label))
    if gold:
        require_gold([number for number, text in enumerate(found, 1) if not text], len(found), "lines")
    return found


def pairs(file: File, gold: bool) -> set[tuple[str, str]]:
    """Return the pairs of ids of a file, ``foreign id<TAB>English id`` a line; a repeated pair counts once.

    Raises:
        DataError: A line does not hold two ids; names it.
        NoGold: These should be gold labels, and there is no pair.
    """
    found = read_lines(file)
    if gold and not any(found):
        require_gold(range(len(found)), len(found), "lines")
    ids = set()
    for number, text in enumerate(found, 1):
        match text.split("\t"):
            case [foreign, english]:
                ids.add((foreign, english))
            case _:
                raise DataError(f"{file.name}:{number}: expected two ids with a tab between them, found {text!r:.80}")
    return ids


def answers(file: File) -> dict[str, str]:
    """Return question id -> predicted answer.

    Raises:
        DataError: The file is not one JSON object of texts, or names an id twice.
    """
    found = _object(file, "question id -> answer")
    for name, value in found.items():
        if not isinstance(value, str):
            raise DataError(f"{file.name}: '{name}': expected a text, found {value!r:.80}")
    return found


def questions(file: File) -> dict[str, list[str]]:
    """Return question id -> right answers, of a file in SQuAD's format, with or without the outer ``data``.

    Raises:
        DataError: The file is not SQuAD's JSON, or names an id twice.
        NoGold: Answers were taken out.
    """
    rows = list(SquadJson(paths={}).parse(file, "")) if file.path.stat().st_size else []
    found = {row["id"]: list((row["answers"] or {"text": []})["text"]) for row in rows}
    require_gold([name for name, texts in found.items() if not texts], len(found), "questions")
    return found


def rankings(file: File, gold: bool) -> dict[str, list[str]]:
    """Return query id -> candidate ids, the best first; or, of gold labels, the right ones.

    Raises:
        DataError: The file is not one JSON object of lists of texts, or names an id twice.
        NoGold: These should be gold labels, and queries have none.
    """
    found = _object(file, "query id -> list of candidate ids") if file.path.stat().st_size or not gold else {}
    for name, value in found.items():
        if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
            raise DataError(f"{file.name}: '{name}': expected a list of ids (texts), found {value!r:.80}")
    if not gold:
        return found
    right = {name: [each.strip() for each in value if each.strip()] for name, value in found.items()}
    require_gold([name for name, value in right.items() if not value], len(right), "queries")
    return right


def require_gold(absent: Sequence[object], total: int, what: str) -> None:
    """Check that no gold label is absent.

    Raises:
        NoGold: Some are, or there is nothing at all.
    """
    if not total:
        raise NoGold("the file is empty")
    if absent:
        raise NoGold(f"{len(absent)} of {total} {what} have none")


def _unknown(file: File, number: int, text: str, task: BenchmarkTask) -> DataError:
    hint = "" if text else "; a blank line stands for no row"
    hint = "; a line holds the label alone" if "\t" in text or " " in text else hint
    return DataError(f"{file.name}:{number}: expected one of {', '.join(task.labels)}, found {text!r:.80}{hint}")


class _RepeatedId(ValueError):
    """An object names a key twice."""


def _once(items: list[tuple[str, Any]]) -> Mapping[str, Any]:
    found: dict[str, Any] = {}
    for name, value in items:
        if name in found:
            raise _RepeatedId(name)
        found[name] = value
    return found


def _object(file: File, what: str) -> dict[str, Any]:
    text = "".join(line + "\n" for _, line in file.lines())
    try:
        found = json.loads(text, object_pairs_hook=_once)
    except json.JSONDecodeError as error:
        raise DataError(
            f"{file.name}:{error.lineno}: expected JSON, {what} ({error.msg}, column {error.colno})"
        ) from None
    except _RepeatedId as error:
        raise DataError(f"{file.name}: the id '{error}' is there twice; each id may have one prediction") from None
    if not isinstance(found, dict):
        raise DataError(f"{file.name}: expected one JSON object, {what}, found {type(found).__name__}")
    return found
