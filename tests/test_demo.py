"""The shipped demonstration data: reproducible, well-formed, parallel, true, and not solvable by a shortcut."""

from __future__ import annotations

import json
import math
import re
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Callable
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest

from xtransfer.demo import DATA_DIR, LANGUAGES
from xtransfer.demo.generate import Fact, Language, Pair, Passage, main

NLI = [("train", "en"), ("validation", "en"), *(("test", language) for language in LANGUAGES)]
LABELS = {"entailment", "neutral", "contradiction"}
HOURS = {"five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9, "ten": 10}


def nli(split: str, language: str) -> list[list[str]]:
    """Read premise, hypothesis, label of every row."""
    lines = (DATA_DIR / f"nli-{split}.{language}.tsv").read_text(encoding="utf-8").splitlines()
    assert lines[0] == "premise\thypothesis\tlabel"
    return [line.split("\t") for line in lines[1:]]


def paragraphs(split: str, language: str) -> list[dict[str, Any]]:
    """Read the paragraphs of a SQuAD file."""
    squad = json.loads((DATA_DIR / f"qa-{split}.{language}.json").read_text(encoding="utf-8"))
    assert squad["version"] == "1.1"
    return [paragraph for article in squad["data"] for paragraph in article["paragraphs"]]


def questions(split: str, language: str) -> list[tuple[str, dict[str, Any]]]:
    """Read (context, question) of every question."""
    return [(p["context"], qa) for p in paragraphs(split, language) for qa in p["qas"]]


def texts(split: str, language: str) -> list[str]:
    """Every sentence, passage and question of a split."""
    rows = [text for row in nli(split, language) for text in row[:2]]
    return rows + [text for context, qa in questions(split, language) for text in (context, qa["question"])]


def test_regenerated_byte_for_byte(tmp_path: Path) -> None:
    main(["--out", str(tmp_path)])
    shipped = {path.name: path.read_bytes() for pattern in ("nli-*", "qa-*") for path in DATA_DIR.glob(pattern)}
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == shipped
    assert len(shipped) == 16
    assert sum(map(len, shipped.values())) < 2_000_000


def test_another_seed_gives_other_data(tmp_path: Path) -> None:
    main(["--out", str(tmp_path), "--seed", "1"])
    for name in ("nli-test.ru.tsv", "qa-train.en.json"):
        assert (tmp_path / name).read_bytes() != (DATA_DIR / name).read_bytes()


def test_standard_library_only() -> None:
    heavy = "{'torch', 'numpy', 'lightning', 'transformers', 'datasets'}"
    code = f"import sys, xtransfer.demo.generate; assert not {heavy} & set(sys.modules), sys.modules.keys()"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(("split", "language"), NLI)
def test_every_hypothesis_has_every_label_equally_often(split: str, language: str) -> None:
    rows, labels = nli(split, language), defaultdict(Counter)
    for _, hypothesis, label in rows:
        labels[hypothesis][label] += 1
    assert all(len(set(counts.values())) == 1 and set(counts) == LABELS for counts in labels.values())
    assert len(rows) == {"train": 900, "validation": 144, "test": 216}[split]


@pytest.mark.parametrize(("split", "language"), NLI)
def test_answers_are_where_they_are_said_to_be(split: str, language: str) -> None:
    asked = questions(split, language)
    assert len(asked) == {"train": 900, "validation": 150, "test": 200}[split]
    assert len({qa["id"] for _, qa in asked}) == len(asked)
    for context, qa in asked:
        (answer,) = qa["answers"]
        start, text = answer["answer_start"], answer["text"]
        assert text
        assert context[start : start + len(text)] == text
        assert text not in qa["question"]
        if language != "zh":  # whole words
            assert not (context[start - 1 : start] + context[start + len(text)]).strip(" .'")


def test_languages_are_parallel() -> None:
    for language in LANGUAGES:
        assert [row[2] for row in nli("test", language)] == [row[2] for row in nli("test", "en")]
        assert [qa["id"] for _, qa in questions("test", language)] == [qa["id"] for _, qa in questions("test", "en")]
        ends = [len(re.findall("[.。]", p["context"])) for p in paragraphs("test", language)]
        assert ends == [p["context"].count(".") for p in paragraphs("test", "en")]


def test_no_premise_or_passage_is_in_two_splits() -> None:
    for one, other in combinations(("train", "validation", "test"), 2):
        assert not {row[0] for row in nli(one, "en")} & {row[0] for row in nli(other, "en")}
        assert not {p["context"] for p in paragraphs(one, "en")} & {p["context"] for p in paragraphs(other, "en")}
    names = {"Alice", "Emma", "Tom", "Peter", "Paris", "London"}
    assert names <= set(re.findall(r"\w+", " ".join(texts("train", "en"))))
    assert not names & set(re.findall(r"\w+", " ".join(texts("test", "en"))))


FACTS = {  # what is asked, and the sentences that give an answer of that type
    r"Where does \w+ live|Who lives": r"(\w+) lives in (.+)",
    r"travelling": r"(\w+) is travelling to (.+)",
    r"arrive": r"(\w+) arrived on (.+)",
    r"get up|gets up": r"(\w+) gets up at (.+)",
    r"buy|bought": r"(\w+) bought (.+)",
    r"like": r"(\w+) likes (.+)",
    r"How many|Who has": r"(\w+) has (.+)",
    r"What colour": r"(\w+)'s \w+ is (.+)",
    r"'s job|Who works as": r"(\w+) works as (.+)",
    r"\w+ work\?|Who works in": r"(\w+) works in a (.+)",
}


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_the_answer_is_the_right_one_and_has_rivals(split: str) -> None:
    asked_for = Counter()
    for context, qa in questions(split, "en"):
        kinds = [number for number, pattern in enumerate(FACTS) if re.search(pattern, qa["question"])]
        assert len(kinds) == 1, qa["question"]
        matches = (re.fullmatch(list(FACTS.values())[kinds[0]], sentence) for sentence in context[:-1].split(". "))
        facts = dict(match.groups() for match in matches if match)
        assert len(facts) >= 2
        assert len(set(facts.values())) == len(facts)
        named = [person for person in facts if re.search(rf"\b{person}\b", qa["question"])]
        right = facts[named[0]] if named else next(p for p, value in facts.items() if f" {value}?" in qa["question"])
        assert right == qa["answers"][0]["text"]
        assert all(len(re.findall(rf"\b{value}\b", context)) == 1 for value in facts.values())
        asked_for[kinds[0]] += 1
    assert len(asked_for) == len(FACTS)


@pytest.mark.parametrize(("language", "letters"), [("ru", "а-яё"), ("zh", "一-鿿"), ("ar", "ء-ْ")])
def test_every_text_is_in_its_script(language: str, letters: str) -> None:
    for text in texts("test", language):
        assert re.search(f"[{letters}]", text.lower())
        assert not re.search("[a-z]", text.lower())


@pytest.mark.parametrize(("split", "language"), NLI)
def test_no_template_syntax_is_left(split: str, language: str) -> None:
    for text in texts(split, language):
        assert not re.search(r"[{}<>|~\[\]_\t]|  | [.,?]", text)
        assert text[0] == text[0].upper()
        assert text[-1] in ".。?？؟"


KINDS = {
    "fruit": "apples pears bananas grapes oranges",
    "vegetables": "carrots potatoes onions",
    "furniture": "chairs tables beds",
    "clothes": "shirts coats socks",
    "flowers": "roses tulips lilies",
    "tools": "hammers saws",
}
OPPOSITES = {"taller": "shorter", "older": "younger", "faster": "slower"}
OPPOSITES |= {second: first for first, second in OPPOSITES.items()}
VERDICTS = {True: "entailment", False: "contradiction", None: "neutral"}


def by_time(premise: str, hypothesis: str) -> bool | None:
    """Judge who came first by the hours."""
    times = dict(re.findall(r"(\w+) arrived at (\w+) o'clock", premise))
    first, second = re.findall(r"[A-Z]\w+", hypothesis)
    return HOURS[times[first]] < HOURS[times[second]] if {first, second} <= set(times) else None


def by_kind(premise: str, hypothesis: str) -> bool | None:
    """Judge what is bought by what it is."""
    who, kind = re.fullmatch(r"(\w+) is buying (\w+)\.", hypothesis).groups()
    said = re.findall(r"([\w ]+?) (?:is|are) buying only (\w+)", premise)
    bought = {name: thing for names, thing in said for name in re.findall(r"[A-Z]\w+", names)}
    return bought[who] in KINDS[kind].split() if who in bought else None


def by_comparison(premise: str, hypothesis: str) -> bool | None:
    """Judge a comparison by the same comparison and its opposite."""
    one, quality, others = re.fullmatch(r"(\w+) is (\w+) than ([\w ]+)\.", premise).groups()
    known = {(one, quality, other) for other in others.split(" and ")}
    known |= {(other, OPPOSITES[quality], one) for _, _, other in known}
    one, quality, other = re.fullmatch(r"(\w+) is (\w+) than (\w+)\.", hypothesis).groups()
    return True if (one, quality, other) in known else False if (other, quality, one) in known else None


@pytest.mark.parametrize(
    ("cue", "judge"), [("arrived at", by_time), ("buying only", by_kind), (" than ", by_comparison)]
)
def test_labels_are_true(cue: str, judge: Callable[[str, str], bool | None]) -> None:
    rows = [row for split in ("train", "validation", "test") for row in nli(split, "en") if cue in row[0]]
    assert len(rows) > 40
    for premise, hypothesis, label in rows:
        assert label == VERDICTS[judge(premise, hypothesis)], (premise, hypothesis)


@pytest.mark.parametrize("column", [0, 1], ids=["premise", "hypothesis"])
def test_one_sentence_alone_does_not_tell_the_label(column: int) -> None:
    """A naive Bayes classifier over the words of one sentence stays near the chance of one third."""
    counts: dict[str, Counter[str]] = {label: Counter() for label in LABELS}
    for row in nli("train", "en"):
        counts[row[2]].update(row[column].split())

    def score(text: str, label: str) -> float:
        total = counts[label].total()
        return sum(math.log((counts[label][word] + 1) / (total + 1000)) for word in text.split())

    for split in ("validation", "test"):
        rows = nli(split, "en")
        right = sum(row[2] == max(sorted(LABELS), key=lambda name: score(row[column], name)) for row in rows)
        assert right / len(rows) < 0.5


WORDED = [  # gender, case and agreement, worked out by hand
    ("en", "Anna gave a book to Anton and gave nothing to Olga.", "Anton got a book from Anna."),
    ("de", "Anna hat Anton ein Buch und Olga nichts geschenkt.", "Anton hat von Anna ein Buch bekommen."),
    ("es", "Ana le regaló un libro a Antonio y no le regaló nada a Olga.", "Antonio recibió un libro de Ana."),
    ("ru", "Анна подарила Антону книгу, а Ольге ничего не подарила.", "Антон получил от Анны книгу."),
    ("zh", "安娜送给安东一本书，什么也没送给奥尔加。", "安东从安娜那里得到了一本书。"),
    ("ar", "أهدت آنا كتابًا إلى أنطون ولم تهدِ شيئًا إلى أولغا.", "حصل أنطون على كتاب من آنا."),
]


@pytest.mark.parametrize(("language", "premise", "hypothesis"), WORDED)
def test_wording_of_a_pair(language: str, premise: str, hypothesis: str) -> None:
    slots = {"A": "anna", "B": "anton", "C": "olga", "t": "book", "u": "lamp"}
    row = Language(language).row(Pair("giving", slots, "entailment", 1))
    assert row == (premise, hypothesis, "entailment")


def test_wording_of_a_passage() -> None:
    facts = [
        Fact("arrive", {"A": "olga", "v": "tuesday"}),
        Fact("colour", {"A": "anton", "t": "car", "v": "red"}),
    ]
    made = Language("ru").paragraph(Passage(facts, [(0, "what"), (0, "who"), (1, "what")]), "x")
    assert made["context"] == "Ольга приехала во вторник. Машина Антона красная."
    asked = [(qa["id"], qa["question"], *qa["answers"][0].values()) for qa in made["qas"]]
    assert asked == [
        ("x-0", "Когда приехала Ольга?", "вторник", 18),
        ("x-1", "Кто приехал во вторник?", "Ольга", 0),
        ("x-2", "Какого цвета машина Антона?", "красная", 41),
    ]


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_language_words_everything(language: str) -> None:
    english, other = Language("en"), Language(language)
    world = json.loads((DATA_DIR / "templates" / "world.json").read_text(encoding="utf-8"))
    pools = [pool.get("all", pool.get("test")) for pool in world["pools"].values()]
    assert {key for pool in pools for entry in pool for key in entry.split("/")} <= set(other.words)
    assert {name: set(kind) for name, kind in other.qa.items()} == {
        name: set(kind) for name, kind in english.qa.items()
    }
    assert set(other.nli) == set(english.nli)
    for name, family in other.nli.items():
        assert set(family) == LABELS | {"hypothesis"}
        assert all(len(family[label]) == len(english.nli[name][label]) for label in LABELS)
