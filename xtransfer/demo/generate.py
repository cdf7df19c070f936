"""Writes the demonstration data: sentences made from templates, true by construction, the same in every language.

A *plan* says what the items are about, in keys that belong to no language (``templates/world.json``); one file for each
language says how that is worded. One plan rendered in every language gives parallel items. In a template

* ``{A}`` is the word in slot A, ``{A.gen}`` its form ``gen``;
* ``{c~t}`` is the word in slot c in the gender of slot t, ``{A|he|she}`` one of two texts by the gender of slot A;
* ``<...>`` and ``[...]`` (QA) enclose the answer to the questions ``what`` and ``who``; the marks are removed.
"""

from __future__ import annotations

import argparse
import json
import random
import re
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from xtransfer.demo import DATA_DIR, LANGUAGES

LABELS = ("entailment", "neutral", "contradiction")
SEED = 2024
SIZES = {"train": (25, 450), "validation": (4, 75), "test": (6, 100)}
"""For each split: NLI rounds (12 families x 3 labels = 36 pairs each) and QA passages (2 questions each)."""

_SLOT = re.compile(r"\{(\w+)(?:\.(\w+)|~(\w+)|\|([^|}]*)\|([^|}]*))?\}")
_MARKS = re.compile(r"[<>\[\]]")
_WHO_SHARE = 0.35  # of the questions: the answers to "who" are all names and would otherwise crowd out the other types

Slots = dict[str, str]
Span = tuple[int, int]
Drawn = TypeVar("Drawn")


class Pair(NamedTuple):
    """One NLI item in no language: which template of which family, and what fills its slots."""

    family: str
    slots: Slots
    label: str
    variant: int


class Fact(NamedTuple):
    """One sentence of a passage in no language: its kind, and what fills its slots (``A`` has the value ``v``)."""

    kind: str
    slots: Slots


class Passage(NamedTuple):
    """One QA passage in no language: its facts in order, and questions as (index of the fact, ``what`` or ``who``)."""

    facts: list[Fact]
    questions: list[tuple[int, str]]


class Language:
    """The wording of one language, read from ``templates/<code>.json``.

    Args:
        code: The language code, such as ``de``.
    """

    def __init__(self, code: str) -> None:
        tables = json.loads((DATA_DIR / "templates" / f"{code}.json").read_text(encoding="utf-8"))
        self.words: dict[str, str | dict[str, str]] = tables["words"]
        self.nli: dict[str, dict[str, Any]] = tables["nli"]
        self.qa: dict[str, dict[str, str]] = tables["qa"]
        self.joiner: str = tables["joiner"]

    def _form(self, key: str, form: str) -> str:
        word = self.words[key]
        return word if isinstance(word, str) else word[form]  # a plain string: the word has one form only

    def render(self, template: str, slots: Slots) -> tuple[str, dict[str, Span]]:
        """Fill a template; return the text and the spans of its marks, as ``{"what": (start, end), "who": ...}``."""

        def fill(match: re.Match[str]) -> str:
            slot, form, agrees_with, masculine, feminine = match.groups()
            if masculine is not None:
                return str(masculine if self._form(slots[slot], "g") == "m" else feminine)
            if agrees_with is not None:
                form = self._form(slots[agrees_with], "g") if isinstance(self.words[slots[slot]], dict) else None
            return self._form(slots[slot], form or "nom")

        marked = _SLOT.sub(fill, template)
        opened: dict[str, int] = {}
        spans: dict[str, Span] = {}
        for removed, mark in enumerate(_MARKS.finditer(marked)):
            name, here = "what" if mark[0] in "<>" else "who", mark.start() - removed
            if mark[0] in "<[":
                opened[name] = here
            else:
                spans[name] = (opened[name], here)
        text = _MARKS.sub("", marked)
        return text[0].upper() + text[1:], spans

    def text(self, template: str, slots: Slots) -> str:
        """Fill a template and drop its marks."""
        return self.render(template, slots)[0]

    def premise(self, pair: Pair) -> str:
        """Word the premise of a pair."""
        return self.text(self.nli[pair.family][pair.label][pair.variant], pair.slots)

    def row(self, pair: Pair) -> tuple[str, str, str]:
        """Word a pair: premise, hypothesis, label."""
        return self.premise(pair), self.text(self.nli[pair.family]["hypothesis"], pair.slots), pair.label

    def paragraph(self, passage: Passage, name: str) -> dict[str, Any]:
        """Word a passage and its questions as one paragraph of SQuAD's JSON."""
        context, spans = "", []
        for fact in passage.facts:
            context += self.joiner if context else ""
            sentence, marks = self.render(self.qa[fact.kind]["fact"], fact.slots)
            spans.append({mark: (len(context) + start, len(context) + end) for mark, (start, end) in marks.items()})
            context += sentence
        qas = []
        for number, (index, asked) in enumerate(passage.questions):
            fact, (start, end) = passage.facts[index], spans[index][asked]
            answer = {"text": context[start:end], "answer_start": start}
            question = self.text(self.qa[fact.kind][asked], fact.slots)
            qas.append({"id": f"{name}-{number}", "question": question, "answers": [answer]})
        return {"context": context, "qas": qas}


class World:
    """What the sentences talk about, read from ``templates/world.json``, and the drawing of plans from it.

    Args:
        seed: The same seed gives the same plans.
    """

    def __init__(self, seed: int) -> None:
        tables = json.loads((DATA_DIR / "templates" / "world.json").read_text(encoding="utf-8"))
        self._pools: dict[str, dict[str, list[str]]] = tables["pools"]
        self._nli: dict[str, dict[str, str]] = tables["nli"]
        self._qa: dict[str, dict[str, str]] = tables["qa"]
        self._seed = seed
        self._english = Language("en")
        self._seen: set[str] = set()  # premises and passages, in English: none is used twice, in one split or in two

    def _pool(self, name: str, split: str) -> list[str]:
        pool = self._pools[name]
        return pool.get("all") or pool["test" if split == "test" else "train"]

    def _fresh(self, draw: Callable[[], tuple[Drawn, list[str]]]) -> Drawn:
        """Draw until no text of the draw has been used before."""
        while True:
            drawn, used = draw()
            if self._seen.isdisjoint(used):
                self._seen.update(used)
                return drawn

    def _slots(self, rng: random.Random, specs: dict[str, str], split: str) -> Slots:
        """Fill slots: ``"A B": pool`` draws two different entries; an entry ``x/y`` fills the slots ``x/y``."""
        slots: Slots = {}
        for names, pool in specs.items():
            for name, entry in zip(names.split(), rng.sample(self._pool(pool, split), len(names.split())), strict=True):
                slots.update(zip(name.split("/"), entry.split("/"), strict=True))
        return slots

    def pairs(self, split: str, rounds: int) -> list[Pair]:
        """Draw NLI pairs: in each round and family one hypothesis with three premises, one for each label.

        The templates give most forms of premise to two or three labels: neither sentence alone tells the label.
        """
        rng = random.Random(f"{self._seed}/nli/{split}")

        def group(family: str) -> tuple[list[Pair], list[str]]:
            slots = self._slots(rng, self._nli[family], split)
            wordings = self._english.nli[family]
            drawn = [Pair(family, slots, label, rng.randrange(len(wordings[label]))) for label in LABELS]
            return drawn, [self._english.premise(pair) for pair in drawn]

        pairs: list[Pair] = []
        for _ in range(rounds):
            for family in self._nli:
                pairs += self._fresh(partial(group, family))
        rng.shuffle(pairs)
        return pairs

    def _passage(self, rng: random.Random, split: str) -> Passage:
        """Draw a passage: two kinds of fact, each about two or three people, so that every answer has a rival."""
        people = rng.sample(self._pool("person", split), rng.choice((2, 3)))
        facts: list[Fact] = []
        questions: list[tuple[Fact, str]] = []
        used: set[str] = set()
        for kind in rng.sample(list(self._qa), 2):
            topic = {"t": rng.choice(self._pool(self._qa[kind]["topic"], split))} if "topic" in self._qa[kind] else {}
            about = rng.sample(people, rng.randint(2, len(people)))
            free = [value for value in self._pool(self._qa[kind]["value"], split) if value not in used]
            values = rng.sample(free, len(about))
            used.update(values)
            drawn = [Fact(kind, {"A": who, "v": value, **topic}) for who, value in zip(about, values, strict=True)]
            asks_who = rng.random() < _WHO_SHARE and "who" in self._english.qa[kind]
            questions.append((rng.choice(drawn), "who" if asks_who else "what"))
            facts += drawn
        rng.shuffle(facts)
        return Passage(facts, [(facts.index(fact), asked) for fact, asked in questions])

    def passages(self, split: str, count: int) -> list[Passage]:
        """Draw QA passages."""
        rng = random.Random(f"{self._seed}/qa/{split}")

        def one() -> tuple[Passage, list[str]]:
            passage = self._passage(rng, split)
            return passage, [self._english.paragraph(passage, "")["context"]]

        return [self._fresh(one) for _ in range(count)]


def _tsv(rows: Iterable[tuple[str, str, str]]) -> str:
    return "".join("\t".join(row) + "\n" for row in (("premise", "hypothesis", "label"), *rows))


def _squad(paragraphs: list[dict[str, Any]], title: str) -> str:
    """SQuAD v1.1 JSON with one paragraph a line, so that a change shows as changed lines."""
    lines = ",\n".join(json.dumps(paragraph, ensure_ascii=False) for paragraph in paragraphs)
    return f'{{"version": "1.1", "data": [{{"title": "{title}", "paragraphs": [\n{lines}\n]}}]}}\n'


def files(seed: int = SEED) -> dict[str, str]:
    """Make all data files.

    Args:
        seed: The same seed gives the same text.

    Returns:
        File name to content.
    """
    world, made = World(seed), {}
    languages = {code: Language(code) for code in LANGUAGES}
    for split, (rounds, count) in SIZES.items():
        pairs, passages = world.pairs(split, rounds), world.passages(split, count)
        for code, language in languages.items():
            if split != "test" and code != "en":
                continue
            made[f"nli-{split}.{code}.tsv"] = _tsv(language.row(pair) for pair in pairs)
            named = [language.paragraph(passage, f"{split}-{i:03d}") for i, passage in enumerate(passages)]
            made[f"qa-{split}.{code}.json"] = _squad(named, f"demo-{split}-{code}")
    return made


def main(arguments: list[str] | None = None) -> None:
    """Write the data files into a folder (the package's own unless told otherwise)."""
    parser = argparse.ArgumentParser(prog="python -m xtransfer.demo.generate", description="Write the demo data.")
    parser.add_argument("--out", type=Path, default=DATA_DIR, help="folder to write into")
    parser.add_argument("--seed", type=int, default=SEED, help="the same seed gives the same files")
    options = parser.parse_args(arguments)
    options.out.mkdir(parents=True, exist_ok=True)
    made = files(options.seed)
    for name, text in made.items():
        (options.out / name).write_bytes(text.encode("utf-8"))  # bytes: no newline translation on any system
    print(f"{len(made)} files in {options.out}")


if __name__ == "__main__":
    main()
