"""Mewsli-X: mentions of entities in news, descriptions of entities, and pairs of both to train on."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from xtransfer.errors import DataError
from xtransfer.sources.files import File, FileSource
from xtransfer.sources.nodes import take, take_span
from xtransfer.sources.tables import objects
from xtransfer.task import WHERE, Row

MULTILINGUAL = "mul"
"""Language of the one set of entities; each is described in one of 50 languages."""

BRACES = re.compile(r"\{(.*?)\}")


@dataclass(frozen=True, kw_only=True)
class Mewsli(FileSource):
    """Mewsli-X's JSON lines; what a line holds tells how it is read. Files are read line by line.

    An article with its mentions (``wikinews_mentions-*.jsonl``) gives, if it is in the language asked for, a query for
    each mention: `side`, `id`, `text` and `targets`, the entity mentioned, or None where XTREME has taken it out. An
    entity (``candidate_set_entities.jsonl``) gives a candidate. A mention together with its entity
    (``wikipedia_pairs-*.jsonl``) gives `mention`, `description`, `entity_id` and `id`. Texts are made by `query_text`
    and `description_text`.
    """

    def parse(self, file: File, language: str) -> Iterator[Row]:
        """Yield one row a mention, entity or pair.

        Raises:
            DataError: A line is none of the three, an id repeats, a span does not fit its text, a mention crosses
                the bounds of its sentence, the articles' texts are missing, or none is in the language.
        """
        seen: set[str] = set()
        languages: set[str] = set()
        for where, record in objects(file):
            for row in _rows(record, language, languages, where):
                if row["id"] in seen:
                    raise DataError(f"{where}: the id '{row['id']}' is there a second time")
                seen.add(row["id"])
                yield row | {WHERE: where}
        if languages and language not in languages:
            raise DataError(f"{file.name}: expected articles in '{language}', found {', '.join(sorted(languages))}")


def query_text(context: Mapping[str, object], mention: Mapping[str, object], where: str) -> str:
    """Return a mention in its sentence, as XTREME-R's script writes it: ``MENTION: LEFT { MENTION } RIGHT``.

    Pairs of braces that are there already become round brackets, line ends blanks, and two blanks one (once: of three
    there remain two).

    Raises:
        DataError: The article has no text, a span does not fit it, or no sentence holds the whole mention.
    """
    text = take(context, "text", str, "context", where)
    if not text:
        raise DataError(
            f"{where}: expected the article's text, found none: the archive comes without; restore it with the "
            f"authors' script get-mewsli-x.sh"
        )
    span = take(mention, "mention_span", dict, "mention", where)
    start, end = take_span(span, text, "mention_span", where)
    words = take(span, "text", str, "mention_span", where)
    if text[start:end] != words:
        raise DataError(f"{where}: expected the mention '{words}' at {start} to {end}, found '{text[start:end]:.80}'")
    spans = _spans(context, text, "context", where)
    sentence = next((place for place in spans if place[0] <= start and end <= place[1]), None)
    if sentence is None:
        raise DataError(f"{where}: expected a sentence that holds the whole mention '{words}', found none")
    left, right = (BRACES.sub(r"(\1)", side) for side in (text[sentence[0] : start], text[end : sentence[1]]))
    return _one_line(f"{words}: {left} {{ {words} }} {right}")


def description_text(entity: Mapping[str, object], where: str) -> str:
    """Return the sentences of an entity's description, joined by blanks; its title is not among them.

    Raises:
        DataError: A span does not fit the description.
    """
    text = take(entity, "description", str, "entity", where)
    return _one_line(" ".join(text[start:end] for start, end in _spans(entity, text, "entity", where)))


def _rows(record: Row, language: str, languages: set[str], where: str) -> Iterator[Row]:
    """Yield the rows of one line; the language of an article is noted in `languages`."""
    if "mentions" in record:
        context = take(record, "context", dict, "", where)
        spoken = take(context, "language", str, "context", where)
        languages.add(spoken)
        for mention in take(record, "mentions", list, "", where) if spoken == language else []:
            name, gold = (take(mention, key, str, "mention", where) for key in ("example_id", "entity_id"))
            text = query_text(context, mention, f"{where} ({name})")
            yield {"side": "query", "id": name, "text": text, "targets": [gold] if gold else None}
    elif "contextual_mention" in record:
        both, entity = (take(record, key, dict, "", where) for key in ("contextual_mention", "entity"))
        context, mention = (take(both, key, dict, "contextual_mention", where) for key in ("context", "mention"))
        yield {
            "id": take(mention, "example_id", str, "mention", where),
            "mention": query_text(context, mention, where),
            "description": description_text(entity, where),
            "entity_id": take(entity, "entity_id", str, "entity", where),
        }
    elif "description" in record:
        name = take(record, "entity_id", str, "", where)
        yield {"side": "candidate", "id": name, "text": description_text(record, where), "targets": None}
    else:
        raise DataError(f"{where}: expected Mewsli-X's mentions, pairs or entities, found {', '.join(record)[:80]}")


def _spans(node: Mapping[str, object], text: str, at: str, where: str) -> list[tuple[int, int]]:
    spans = enumerate(take(node, "sentence_spans", list, at, where))
    return [take_span(span, text, f"{at}.sentence_spans[{number}]", where) for number, span in spans]


def _one_line(text: str) -> str:
    return " ".join(text.splitlines()).replace("  ", " ").strip()
