"""XQuAD-R: XQuAD whose paragraphs are cut into sentences, the answers of LAReQA."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from xtransfer.errors import DataError
from xtransfer.sources.files import File, FileSource
from xtransfer.sources.nodes import take
from xtransfer.sources.squad import Paragraph, paragraphs
from xtransfer.task import POOL, WHERE, Row


@dataclass(frozen=True, kw_only=True)
class XquadR(FileSource):
    """SQuAD's JSON with `sentence_breaks` in every paragraph: pairs of start and end, in characters.

    The split ``pool`` gives the sentences of a language, as candidates: the sentence directly followed by its whole
    paragraph, line feeds removed, named ``de/<article>.<paragraph>.<sentence>``, counted from 0. Every other split
    gives its questions, as queries: their targets are the sentences that hold the answer's first character, in all
    `languages`. Therefore the files of all of them are read. A sentence that is repeated word for word in its paragraph
    is a target each time, as in the official script. A question whose own answer starts in no sentence has no targets.

    Args:
        languages: Languages whose sentences answer a question; their files lie beside each other.
    """

    languages: tuple[str, ...]

    def rows(self, split: str, language: str, folder: Path | None) -> Iterator[Row]:
        """Yield questions, or the candidates of the split ``pool``.

        Raises:
            DataError: A file is missing or broken; the message names it.
        """
        if split != POOL:
            yield from super().rows(split, language, folder)
            return
        for file in self.files(split, language, folder):
            for paragraph in paragraphs(file):
                for name, sentence in _sentences(paragraph, language).items():
                    text = (sentence + paragraph.context).replace("\n", "")
                    yield {"side": "candidate", "id": name, "text": text, "targets": None, WHERE: f"{file.name}:{name}"}

    def parse(self, file: File, language: str) -> Iterator[Row]:
        """Yield one row a question.

        Raises:
            DataError: The JSON is broken, an id repeats, or the file of another language is missing or lacks a
                question.
        """
        files = dict(zip(self._spoken(language), self.parts(file, language), strict=True))
        answers = {code: _answers(part, code) for code, part in files.items()}
        for paragraph in paragraphs(file):
            for row in paragraph.questions():
                targets = [name for code in self.languages for name in _of(row["id"], answers[code], files[code])]
                own = answers[language][row["id"]]
                columns = {"side": "query", "id": row["id"], "text": row["question"], "targets": targets if own else []}
                yield columns | {WHERE: row[WHERE]}

    def parts(self, file: File, language: str) -> list[File]:
        """Return the files of all languages, the language's own among them.

        Raises:
            DataError: One is missing, or lies there twice.
        """
        found = []
        for code in self._spoken(language):
            other = f"{self.code(code)}.json"
            part = file if code == language else file.beside(other)
            if part is None:
                raise DataError(f"{file.name}: expected '{other}' beside it, with the answers in '{code}', found none")
            found.append(part)
        return found

    def origin(self, split: str, language: str, folder: Path | None) -> str:
        """Return name and SHA-256 of every file read.

        Raises:
            DataError: No file, or more than one, could be meant.
        """
        if split != POOL:
            return super().origin(split, language, folder)
        return ", ".join(f"{file.name} sha256:{file.digest()}" for file in self.files(split, language, folder))

    def _spoken(self, language: str) -> tuple[str, ...]:
        """Return the languages whose files are read for the questions of one."""
        return self.languages if language in self.languages else (language, *self.languages)


def _breaks(paragraph: Paragraph) -> list[tuple[int, int]]:
    """Return start and end of each sentence, in characters."""
    length, where, breaks = len(paragraph.context), f"{paragraph.file}: not XQuAD-R's JSON", []
    for number, pair in enumerate(take(paragraph.node, "sentence_breaks", list, paragraph.place, where)):
        at = f"{paragraph.place}.sentence_breaks[{number}]"
        if not isinstance(pair, list) or len(pair) != 2 or not all(isinstance(place, int) for place in pair):
            raise DataError(f"{where}: expected start and end at {at}, found {pair!r:.80}")
        start, end = pair
        if not 0 <= start < end <= length:
            raise DataError(f"{where}: expected a part of the {length} characters at {at}, found {start} to {end}")
        breaks.append((start, end))
    return breaks


def _sentences(paragraph: Paragraph, language: str) -> dict[str, str]:
    """Return name -> sentence."""
    place = f"{language}/{paragraph.article}.{paragraph.number}"
    return {f"{place}.{n}": paragraph.context[start:end] for n, (start, end) in enumerate(_breaks(paragraph))}


def _answers(file: File, language: str) -> dict[str, list[str]]:
    """Return question id -> names of the sentences that answer it."""
    found: dict[str, list[str]] = {}
    for paragraph in paragraphs(file):
        sentences, breaks = _sentences(paragraph, language), _breaks(paragraph)
        for row in paragraph.questions():
            if row["id"] in found:
                raise DataError(f"{row[WHERE]}: a second question has this id")
            if not row["answers"] or not row["answers"]["answer_start"]:
                raise DataError(f"{row[WHERE]}: expected a question with its answer, found none")
            place = row["answers"]["answer_start"][0]
            answer = next((paragraph.context[start:end] for start, end in breaks if start <= place < end), None)
            found[row["id"]] = [name for name, sentence in sentences.items() if sentence == answer]
    return found


def _of(question: str, answers: Mapping[str, list[str]], file: File) -> list[str]:
    if question not in answers:
        raise DataError(f"{file.name}: expected the question '{question}' as in the other languages, found none")
    return answers[question]
