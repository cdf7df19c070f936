"""Two folders of predictions against labels: examples add up to the official scores, and are drawn as they belong."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from xtransfer.benchmarks import XTREME
from xtransfer.compare import compare
from xtransfer.errors import ConfigError, DataError
from xtransfer.evaluator import score
from xtransfer.example_scores import TASKS, example_counts

MOCK = Path(__file__).parents[2].parent / "shared" / "data" / "xtreme_mock_test_data"
NLI = ("entailment", "neutral", "contradiction")


def write(folder: Path, task: str, **languages) -> Path:
    """Write a file a language: lines, tagged sentences, or what JSON holds."""
    for language, content in languages.items():
        path = folder / task / f"test-{language}.{TASKS[task].suffix}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content) if isinstance(content, dict) else "\n".join([*content, ""]))
    return folder


def squad(**golds: str) -> dict:
    """Labels of questions in SQuAD's form, all about one passage."""
    passage = " ".join(golds.values())
    qas = [
        {"id": name, "question": "?", "answers": [{"text": gold, "answer_start": passage.index(gold)}]}
        for name, gold in golds.items()
    ]
    return {"data": [{"title": "t", "paragraphs": [{"context": passage, "qas": qas}]}]}


@pytest.fixture
def folders(tmp_path):
    return tmp_path / "a", tmp_path / "b", tmp_path / "labels"


# ------------------------------------------------------------------ examples add up
@pytest.mark.skipif(not MOCK.parent.is_dir(), reason="the folder of real samples, shared/data, is not there")
@pytest.mark.parametrize("task", [task.name for task in XTREME.tasks])
def test_examples_add_up_to_the_official_scores(task):
    official = score(MOCK / "predictions", MOCK / "labels").tasks[task]
    for language, expected in official.languages.items():
        for metric, value in expected.scores.items():
            counts = example_counts(TASKS[task], language, MOCK / "predictions", MOCK / "labels", metric)
            above, below = np.sum(list(counts.values()), axis=0)
            assert 100 * above / below == pytest.approx(value), (language, metric)


def test_pairs_are_counted_by_foreign_sentence(folders):
    a, _, labels = folders
    write(a, "bucc2018", de=["d1\te1", "d1\te2", "d9\te9"])
    write(labels, "bucc2018", de=["d1\te1", "d2\te2"])
    assert example_counts(TASKS["bucc2018"], "de", a, labels, "f1") == {"d1": (2, 3), "d9": (0, 1), "d2": (0, 1)}


def test_spans_are_counted_by_sentence(folders):
    a, _, labels = folders
    write(a, "panx", en=["B-PER", "O", "", "O", "", "B-LOC", ""])
    write(labels, "panx", en=["B-PER", "B-LOC", "", "O", "", "B-ORG", ""])
    assert example_counts(TASKS["panx"], "en", a, labels, "f1") == {0: (2, 3), 1: (0, 0), 2: (0, 2)}


def test_answers_are_scored_by_question_and_a_missing_one_counts_nothing(folders):
    a, _, labels = folders
    write(a, "xquad", en={"q1": "red house", "q3": "cat"})
    write(labels, "xquad", en=squad(q1="house", q2="dog", q3="cat"))
    counts = example_counts(TASKS["xquad"], "en", a, labels, "f1")
    assert {name: value for name, (value, _) in counts.items()} == pytest.approx({"q1": 2 / 3, "q2": 0, "q3": 1})
    counts = example_counts(TASKS["xquad"], "en", a, labels, "em")
    assert {name: value for name, (value, _) in counts.items()} == {"q1": 0, "q2": 0, "q3": 1}


# ------------------------------------------------------------------ comparisons
def nli(folders, n: int = 60, **wrong: tuple[int, int]) -> None:
    """Write inference predictions with so many wrong lines of A and of B, those of A first."""
    gold = [NLI[i % 3] for i in range(n)]
    for language, (of_a, of_b) in wrong.items():
        flipped = [NLI[(i + 1) % 3] for i in range(n)]
        write(folders[0], "xnli", **{language: [*flipped[:of_a], *gold[of_a:]]})
        write(folders[1], "xnli", **{language: [*gold[: n - of_b], *flipped[n - of_b :]]})
        write(folders[2], "xnli", **{language: gold})


def test_scores_and_difference_by_hand(folders):
    nli(folders, en=(6, 30), de=(12, 24))
    found = compare(*folders, "xnli", samples=2000)
    assert {code: (one.a, one.b, one.difference.mean) for code, one in found.languages.items()} == {
        "de": pytest.approx((80, 60, 20)),
        "en": pytest.approx((90, 50, 40)),
    }
    assert (found.mean.a, found.mean.b, found.mean.difference.mean) == pytest.approx((85, 55, 30))
    assert found.mean.difference.n == 60
    assert found.metric == "accuracy"
    assert set(found.left_out) == set(TASKS["xnli"].languages) - {"de", "en"}
    assert found.left_out["sw"] == f"no predictions in {folders[0]}"
    assert "A is better, at n=60 lines" in found.verdict()
    assert "B is better" in compare(folders[1], folders[0], folders[2], "xnli", samples=2000).verdict()


def test_what_was_not_answered_counts_0_and_is_told(folders):
    golds = {f"q{i}": f"word{i}" for i in range(10)}
    write(folders[0], "xquad", en=golds, de=dict(list(golds.items())[:4]))
    write(folders[1], "xquad", en=golds, de=golds)
    write(folders[2], "xquad", en=squad(**golds), de=squad(**golds))
    found = compare(*folders, "xquad", samples=100)
    assert (found.languages["de"].a, found.languages["de"].b) == (40, 100)
    assert found.unanswered == {("A", "de"): 6}
    assert "not answered by A, which counts 0: de 6 of 10" in found.markdown()
    assert "not answered by B" not in found.markdown()
    write(folders[0], "lareqa", en={"e1": ["a", "b"]})
    write(folders[1], "lareqa", en={"e1": ["a"], "e2": ["b"]})
    write(folders[2], "lareqa", en={"e1": ["a"], "e2": ["b"]})
    assert compare(*folders, "lareqa", samples=100).unanswered == {("A", "en"): 1}


def test_what_may_be_chance_is_said_plainly(folders):
    nli(folders, en=(9, 10))
    assert compare(*folders, "xnli", samples=2000).verdict().endswith("not distinguishable from zero at n=60 lines")
    nli(folders, en=(0, 0))
    assert "A - B is +0.00, 95 % interval +0.00 to +0.00: not distinguishable" in compare(*folders, "xnli").verdict()


def test_translations_are_drawn_together(folders):
    """Two equal languages say no more than one; drawn apart, their mean would seem surer."""
    nli(folders, en=(10, 20), de=(10, 20))
    found = compare(*folders, "xnli", samples=4000)
    assert found.together
    assert found.mean.difference == found.languages["en"].difference
    assert "translations drawn together" in found.markdown()


def test_what_is_no_translation_is_drawn_apart(folders):
    sentences = {"gold": ["B-PER", ""] * 60, "a": ["B-PER", ""] * 50 + ["O", ""] * 10}
    sentences["b"] = ["B-PER", ""] * 40 + ["O", ""] * 20
    for folder, key in zip(folders, ("a", "b", "gold"), strict=True):
        write(folder, "panx", en=sentences[key], de=sentences[key])
    found = compare(*folders, "panx", samples=4000)
    assert not found.together
    wide, narrow = (one.difference.high - one.difference.low for one in (found.languages["en"], found.mean))
    assert narrow / wide == pytest.approx(1 / np.sqrt(2), rel=0.1)
    assert found.mean.difference.n == 120


@pytest.mark.parametrize(("shared", "n"), [(True, 2), (False, 4)])
def test_questions_of_equal_ids_are_translations(folders, shared, n):
    names = ({"q1": "x", "q2": "y"}, {"q1": "x", "q2": "y"} if shared else {"q3": "x", "q4": "y"})
    for folder, answer in zip(folders[:2], ("x", "y"), strict=True):
        write(
            folder, "xquad", **{code: dict.fromkeys(own, answer) for code, own in zip(("en", "de"), names, strict=True)}
        )
    write(folders[2], "xquad", en=squad(**names[0]), de=squad(**names[1]))
    found = compare(*folders, "xquad", samples=100)
    assert (found.together, found.mean.difference.n) == (shared, n)
    assert (found.mean.a, found.mean.b) == (50, 50)


def test_equal_seeds_give_equal_tables(folders):
    nli(folders, en=(10, 20), de=(3, 9))
    told = [compare(*folders, "xnli", samples=500, seed=seed).markdown() for seed in (1, 1, 2)]
    assert told[0] == told[1] != told[2]


def test_a_language_without_gold_labels_is_left_out(folders):
    nli(folders, en=(1, 2), de=(1, 2))
    write(folders[2], "xnli", de=[""] * 60)
    found = compare(*folders, "xnli", samples=100)
    assert list(found.languages) == ["en"]
    assert found.left_out["de"] == "60 of 60 lines have none"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"task": "xnil"}, "no official files of a task 'xnil'; did you mean 'xnli'?"),
        ({"task": "xnli", "metric": "f1"}, "xnli has no score 'f1'"),
        ({"task": "pawsx"}, "pawsx: none of its 7 languages can be compared (de: no predictions in"),
        ({"task": "xnli", "samples": 0}, "0 resamples"),
    ],
)
def test_what_cannot_be_compared_is_refused(folders, options, message):
    nli(folders, en=(1, 2))
    with pytest.raises(ConfigError) as error:
        compare(*folders, **options)
    assert message in str(error.value)


def test_broken_files_are_named(folders):
    nli(folders, en=(1, 2))
    write(folders[1], "xnli", en=["neutral"])
    with pytest.raises(DataError, match=r"b/xnli/test-en.tsv: expected 60 lines"):
        compare(*folders, "xnli")
