"""From tasks to rows: samples, states and what each measure is given, on a tiny encoder and embedded data."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from transformers import AutoModel, AutoTokenizer

import xtransfer.alignment.registry as registry
from xtransfer.alignment import MEASURES, Measure, Texts, measure, read, write
from xtransfer.alignment.jensen_shannon import jensen_shannon
from xtransfer.alignment.parallel_rows import draw_parallel
from xtransfer.datamodules import DemoNLI, TaskDataModule
from xtransfer.errors import ConfigError, DataError
from xtransfer.sources import Tsv
from xtransfer.task import Task

DATA = Path(__file__).parents[1] / "data"


@pytest.fixture(scope="module")
def rows(tiny_encoder: Path):
    """All measures of the embedded tasks; `trained` is the same encoder, as if an intermediate had left it."""
    return measure(
        ["DemoNLI"],
        ["DemoQA", "demo_nli"],
        encoder=str(tiny_encoder),
        encoders={"demo_nli": str(tiny_encoder)},
        layers=[0, 2],
        languages=["en", "de"],
        limit=30,
        parallel="DemoNLI",
    )


def only(rows, **wanted):
    (found,) = [row for row in rows if all(getattr(row, key) == value for key, value in wanted.items())]
    return found


def test_there_is_a_row_for_every_measure_pair_language_and_layer(rows):
    assert {row.measure for row in rows} == set(MEASURES)
    pairs = [row for row in rows if row.measure == "jensen_shannon"]
    assert {(row.intermediate, row.target, row.language, row.layer) for row in pairs} == {
        ("demo_nli", target, language, None) for target in ("demo_qa", "demo_nli") for language in ("de", "en")
    }
    assert len([row for row in rows if row.measure == "proxy_a_distance"]) == 2 * 2 * 2
    assert len([row for row in rows if row.measure == "cka"]) == 1 * 2 * 2  # German; two layers, two encoders
    assert {row.n for row in rows if row.measure == "text_embedding"} == {(30, 30)}


def test_a_row_says_how_it_came_about(rows, tiny_encoder):
    row = only(rows, measure="text_embedding", target="demo_qa", language="de", layer=2)
    assert (row.encoder, row.seed, row.trained, row.better) == (str(tiny_encoder), 1, False, "high")
    assert "nli-train.en.tsv" in row.origin[0]
    assert "qa-test.de.json" in row.origin[1]
    assert {"torch", "numpy", "xtransfer"} <= set(row.versions)


def test_states_are_means_over_the_tokens_of_an_input(tiny_encoder):
    texts = {"train": "the cat sleeps", "test": "the dog runs to the city", "validation": "day"}
    data, seen = _own_task(texts), []
    one = Measure("seen", "states", lambda a, b: seen.append((a, b)) or 0.0, "high", "none")
    measure([data], [data], encoder=str(tiny_encoder), layers=[1], measures=[one], limit=1)
    tokenizer, model = AutoTokenizer.from_pretrained(tiny_encoder), AutoModel.from_pretrained(tiny_encoder)
    for split, states in zip(("train", "test"), seen[0], strict=True):
        with torch.inference_mode():
            output = model(**tokenizer(texts[split], return_tensors="pt"), output_hidden_states=True)
        np.testing.assert_allclose(states, output.hidden_states[1].mean(1).double(), atol=1e-5)


def _own_task(texts: dict[str, str]) -> TaskDataModule:
    from xtransfer.task import Source

    class Given(Source):
        def rows(self, split, language, folder):
            yield {"text": texts[split], "label": "yes"}

        def declares(self, split):
            return True

        def has(self, split, language, folder):
            return True

        def origin(self, split, language, folder):
            return f"given {split}"

    record = Task(name="own", kind="classification", fields={"text": "text", "label": "label"}, labels=("yes", "no"))
    return TaskDataModule(task=record, source=Given())


def test_texts_are_the_distinct_ones_without_special_tokens(tiny_encoder):
    seen: list[tuple[Texts, Texts]] = []
    one = Measure("seen", "texts", lambda a, b: seen.append((a, b)) or 0.0, "high", "none")
    measure(["DemoNLI"], ["DemoQA"], encoder=str(tiny_encoder), languages=["en"], measures=[one], limit=None)
    nli, qa = seen[0]
    assert len(set(nli.texts)) == len(nli.texts)
    assert any("?" in text for text in qa.texts)  # questions
    assert max(map(len, qa.texts)) > 100  # and passages
    tokenizer = AutoTokenizer.from_pretrained(tiny_encoder)
    assert list(nli.tokens[0]) == tokenizer(nli.texts[0], add_special_tokens=False)["input_ids"]


def test_rows_are_drawn_by_the_seed_and_not_the_first_ones(tiny_encoder):
    def drawn(seed: int, limit: int | None = 20) -> list[str]:
        seen: list[Texts] = []
        one = Measure("seen", "texts", lambda a, b: seen.append(a) or 0.0, "high", "none")
        given = {"encoder": str(tiny_encoder), "languages": ["en"], "measures": [one], "limit": limit, "seed": seed}
        measure(["DemoNLI"], ["DemoQA"], **given)
        return list(seen[0].texts)

    every, found = drawn(1, None), drawn(1)
    assert found == drawn(1)
    assert found != drawn(2)
    assert set(found) <= set(every)
    assert max(every.index(text) for text in found) > 100


def test_an_encoder_that_did_not_change_has_cka_1_with_itself(rows):
    changes = [row for row in rows if row.measure == "cka_change"]
    assert len(changes) == 2 * 2 * 2
    assert all(row.intermediate == "demo_nli" and row.value == pytest.approx(1) for row in changes)
    before, after = (
        only(rows, measure="isoscore", target="demo_qa", language="de", layer=2, trained=t) for t in (0, 1)
    )
    assert before.value == pytest.approx(after.value)
    assert (before.intermediate, after.intermediate) == ("", "demo_nli")


def test_a_task_without_classes_has_no_score_of_labels_and_says_so(rows):
    row = only(rows, measure="logme", target="demo_qa", layer=2, trained=False)
    assert (row.value, row.why) == (None, "rows of task 'demo_qa' have no classes")
    assert only(rows, measure="logme", target="demo_nli", layer=2, trained=False).n == (30,)


@pytest.mark.parametrize(
    ("name", "classes"), [("udpos", 17), ("hellaswag", 2), ("mnli", 3)], ids=["words", "options", "rows"]
)
def test_labels_are_those_of_words_options_or_rows(tiny_encoder, name, classes):
    seen = []
    one = Measure("seen", "labels", lambda states, labels: seen.append((states, labels)) or 0.0, "high", "none")
    measure([], [name], data_dir=DATA, encoder=str(tiny_encoder), languages=["en"], measures=[one])
    ((states, labels),) = seen
    assert len(states) == len(labels)
    assert set(labels) <= set(range(classes))
    if name == "udpos":
        assert len(labels) > 5
    if name == "hellaswag":
        assert len(labels) == 4 * labels.sum()  # one of four is right
    row_classes = {"udpos": None, "hellaswag": None, "mnli": [0, 1, 2]}[name]
    assert row_classes is None or sorted(labels.tolist()) == row_classes


# ------------------------------------------------------------------ between languages
def test_pairs_of_translations_are_english_against_the_other_side(tiny_encoder):
    seen = []
    one = Measure("seen", "parallel", lambda a, b: seen.append((a, b)) or 0.0, "high", "none")
    found = measure(
        [], ["xnli"], data_dir=DATA, encoder=str(tiny_encoder), languages=["de"], measures=[one], parallel="Tatoeba"
    )
    lines = {code: (DATA / f"tatoeba/tatoeba.deu-eng.{code}").read_text().splitlines() for code in ("eng", "deu")}
    assert found[0].n == (len(lines["deu"]),)
    tokenizer, model = AutoTokenizer.from_pretrained(tiny_encoder), AutoModel.from_pretrained(tiny_encoder)
    pairs = set()
    for english, german in zip(*lines.values(), strict=True):
        with torch.inference_mode():
            both = [model(**tokenizer(text.strip(), return_tensors="pt"))[0].mean(1)[0] for text in (english, german)]
        pairs.add(tuple(np.round(torch.cat(both).numpy(), 3)))
    got = {tuple(np.round(np.concatenate(pair), 3).astype(np.float32)) for pair in zip(*seen[0], strict=True)}
    assert len(got & pairs) == len(pairs)


def test_a_task_says_which_side_of_its_pairs_is_in_the_language(tiny_encoder, tmp_path):
    (tmp_path / "test-de.tsv").write_text("foreign\tenglish\nder Hund schläft\tthe dog sleeps\n", encoding="utf-8")

    class Pairs(TaskDataModule):
        """Pairs whose queries are in the language."""

        task = Task(
            name="pairs",
            kind="retrieval",
            fields={"text": "foreign", "candidate": "english"},
            options={"own_side": "text"},
            languages=("de",),
            files=(Tsv(paths={"test": "test-{language}.tsv"}),),
        )

    pairs, seen = Pairs(data_dir=tmp_path, folder="."), []
    own = Measure("own", "texts", lambda a, b: seen.append(b.texts) or 0.0, "low", "none")
    both = Measure("both", "parallel", lambda a, b: 0.0, "high", "none")
    told = {"encoder": str(tiny_encoder), "languages": ["de"], "parallel": pairs}
    measure(["DemoNLI"], [pairs], measures=[own, both], **told)
    assert seen == [["der Hund schläft"]]
    english, german = draw_parallel(pairs, "de", None, 1)
    assert [sample.examples[0]["text"] for sample in (english, german)] == ["the dog sleeps", "der Hund schläft"]
    assert (english.language, german.language) == ("en", "de")


def test_a_measure_that_is_defined_again_takes_its_own_place(monkeypatch):
    monkeypatch.setattr("xtransfer.alignment.registry.MEASURES", dict(MEASURES))

    def define():
        def spread(a):
            return 0.0

        return Measure("spread", "sample", spread, "low", "none")

    first, again = registry.register(define()), registry.register(define())
    assert registry.MEASURES["spread"] is again is not first
    with pytest.raises(ConfigError, match="there is a measure 'spread' already"):
        registry.register(Measure("spread", "sample", lambda a: 1.0, "low", "none"))


def test_options_of_a_premise_are_read_together(tiny_encoder, tmp_path, caplog):
    lines = ["language\tgold_label\tsentence1_binary_parse\tsentence2_binary_parse\tsentence1\tsentence2"]
    for code, premises in (("en", ("the cat", "the dog", "day")), ("de", ("die Katze", "der Hund", "Hund"))):
        for premise, options in zip(premises, (3, 3, 2), strict=True):
            lines += [f"{code}\tneutral\t\t\t{premise}\t{['ist', 'nicht', 'der'][i]}" for i in range(options)]
    (tmp_path / "xnli").mkdir()
    (tmp_path / "xnli/xnli.test.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    seen = []
    one = Measure("seen", "options", lambda a, b: seen.append((a, b)) or 0.0, "high", "none")
    given = {"data_dir": tmp_path, "encoder": str(tiny_encoder), "languages": ["de"], "measures": [one]}
    with caplog.at_level("INFO", logger="xtransfer"):
        found = measure([], ["XNLI"], **given, parallel="XNLI")
    english, german = seen[0]
    assert english.shape == german.shape == (2, 3, 32)
    assert found[0].n == (2,)
    assert "questions_with_other_options: 1" in caplog.text
    tokenizer, model = AutoTokenizer.from_pretrained(tiny_encoder), AutoModel.from_pretrained(tiny_encoder)
    with torch.inference_mode():
        state = model(**tokenizer("die Katze", "nicht", return_tensors="pt"))[0].mean(1)[0].double().numpy()
    assert min(np.abs(german[:, 1] - state).max(-1)) < 1e-5  # the second option of one of both questions
    measure([], ["XNLI"], **given, parallel="XNLI", limit=5)  # one question and two rows: a second does not fit whole
    assert len(seen[-1][0]) == 1


def test_translations_are_drawn_by_the_seed(tiny_encoder):
    def drawn(seed: int) -> np.ndarray:
        seen = []
        one = Measure("seen", "parallel", lambda a, b: seen.append(b) or 0.0, "high", "none")
        given = {"encoder": str(tiny_encoder), "languages": ["de"], "measures": [one], "limit": 5, "seed": seed}
        measure([], ["DemoQA"], **given, parallel="DemoNLI")
        return seen[0]

    np.testing.assert_array_equal(drawn(1), drawn(1))
    assert drawn(1).shape == drawn(2).shape == (5, 32)
    assert np.abs(drawn(1) - drawn(2)).max() > 0.01


def test_rows_that_are_not_parallel_are_refused(tiny_encoder):
    class Uneven(DemoNLI):
        def portion(self, split, language):
            found = super().portion(split, language)
            found.limit = 10 if language == "de" else 11
            return found

    with pytest.raises(DataError, match=r"demo_nli.*11 rows in English and 10 in 'de'.*choose a data set"):
        measure([], ["DemoQA"], encoder=str(tiny_encoder), languages=["de"], measures=["mexa"], parallel=Uneven())


def test_languages_come_from_a_table(tiny_encoder, tmp_path):
    table = tmp_path / "languages.csv"
    table.write_text("language,syntactic,size\nde,0.36,5\nzh,,7\n", encoding="utf-8")
    found = measure(
        [], ["DemoQA"], encoder=str(tiny_encoder), languages=["de", "zh"], measures=[], language_table=table
    )
    told = {(row.measure, row.language): (row.value, row.why) for row in found}
    assert told["language:syntactic", "de"] == (0.36, "")
    assert told["language:syntactic", "zh"] == (None, "the table of languages has no value")
    assert told["language:size", "zh"] == (7, "")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("code,x\nde,1\n", "languages.csv:1: expected a column 'language'"),
        ("language,x\nde,1\nde,2\n", "languages.csv:3: the language 'de' is there twice"),
        ("language,x\nde,near\n", "languages.csv:2: column 'x': expected a number, found 'near'"),
        ("language,x\nde,1,2\n", "languages.csv:2: expected 2 cells"),
    ],
)
def test_a_broken_table_of_languages_names_its_line(tiny_encoder, tmp_path, content, message):
    table = tmp_path / "languages.csv"
    table.write_text(content, encoding="utf-8")
    with pytest.raises(DataError, match=message):
        measure([], ["DemoQA"], encoder=str(tiny_encoder), measures=[], language_table=table)


# ------------------------------------------------------------------ names and files
@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"intermediates": ["MNIL"]}, "no task 'MNIL'; did you mean 'mnli'"),
        ({"intermediates": ["Tatoeba"]}, "task 'tatoeba' has no training rows"),
        ({"measures": ["jensen_shanon"]}, "no measure 'jensen_shanon'; did you mean 'jensen_shannon'"),
        ({"measures": ["nowhere.MINE"]}, "cannot be imported"),
        ({"languages": ["sw"]}, "no target has the language 'sw'"),
        ({"layers": [3], "measures": ["isoscore"]}, "no layer 3: 0 is the embeddings, 2 the last"),
        ({"encoders": {"mnli": "x"}}, "an encoder is given of 'mnli', which is no intermediate"),
        ({"limit": 0}, "limit is 0"),
        ({"split": "train"}, "targets have no 'train' rows to measure; known: test, validation"),
    ],
)
def test_what_cannot_be_measured_is_told(tiny_encoder, given, message):
    options = {"intermediates": ["DemoNLI"], "targets": ["DemoQA"], "encoder": str(tiny_encoder), "limit": 5, **given}
    with pytest.raises((ConfigError, DataError), match=message):
        measure(**options)


def test_a_measure_of_ones_own_is_found_by_its_path(tiny_encoder, monkeypatch):
    module = ModuleType("own_measures")
    module.SAME = Measure("same_as_jensen_shannon", "texts", jensen_shannon, "low", "none")
    monkeypatch.setitem(sys.modules, "own_measures", module)
    monkeypatch.setattr("xtransfer.alignment.registry.MEASURES", dict(MEASURES))
    names = ["jensen_shannon", "own_measures.SAME"]
    found = measure(["DemoNLI"], ["DemoQA"], encoder=str(tiny_encoder), languages=["en"], measures=names, limit=20)
    assert [row.measure for row in found] == ["jensen_shannon", "same_as_jensen_shannon"]
    assert found[0].value == found[1].value


def test_rows_are_read_as_they_were_written(rows, tmp_path):
    write(rows, tmp_path / "deep" / "alignment.jsonl")
    assert read(tmp_path / "deep" / "alignment.jsonl") == rows
    broken = tmp_path / "broken.jsonl"
    broken.write_text(json.dumps({"measure": "x"}) + "\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"broken.jsonl:1: expected a row of alignment"):
        read(broken)
