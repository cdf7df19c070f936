"""Training in other languages than English: translations, mixed by language, and a few examples of each."""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path

import pytest

from xtransfer.datamodules import MNLI, UDPOS, XNLI, SQuAD
from xtransfer.errors import ConfigError, DataError
from xtransfer.pipeline import run
from xtransfer.samplers import Sampling
from xtransfer.sources import SquadJson, Tsv

DATA = Path(__file__).parents[1] / "data"
HEADER = "premise\thypo\tlabel\n"


@pytest.fixture
def folder(tmp_path):
    """MNLI, XNLI, and machine translations of MNLI into German (two rows) and Swahili (six)."""
    folder = tmp_path / "data"
    for name in ("mnli", "xnli"):
        shutil.copytree(DATA / name, folder / name)
    for language, rows in (("de", 2), ("sw", 6)):
        lines = [f"{language} {i}\tpaka\t{('neutral', 'contradictory')[i % 2]}\n" for i in range(rows)]
        (folder / "xnli" / f"multinli.train.{language}.tsv").write_text(HEADER + "".join(lines))
    return folder


@pytest.fixture
def settings(folder, tiny_encoder, tmp_path):
    return {"data_dir": folder, "tokenizer": str(tiny_encoder), "cache_dir": tmp_path / "cache", "batch_size": 1}


# ------------------------------------------------------------------ translations
def test_english_rows_are_the_training_tasks_and_the_others_its_translations(settings):
    data = XNLI(train_languages=["en", "de", "sw"], **settings)
    origins = {portion.language: portion.origin().split()[0] for portion in data.portions("train")}
    assert origins == {
        "en": "mnli/multinli_1.0_train.jsonl",
        "de": "xnli/multinli.train.de.tsv",
        "sw": "xnli/multinli.train.sw.tsv",
    }
    german = data.portions("train")[1].examples()
    assert [(e["text"], data.record.labels[e["label"]]) for e in german] == [
        ("de 0", "neutral"),
        ("de 1", "contradiction"),
    ]
    assert data.dev_languages == ["en", "de", "sw"]  # people translated the development rows
    assert XNLI(**settings).dev_languages == ["en"]


def test_each_step_is_of_one_language_in_proportion_or_as_asked(settings):
    data = XNLI(train_languages=["en", "de", "sw"], dev_languages=["en"], **settings)
    data.setup("fit")
    loader = data.train_dataloader()
    assert len(loader) == 3 + 2 + 6  # one pass over all
    assert {batch["language"] for batch in loader} <= {"en", "de", "sw"}
    order = loader.batch_sampler
    assert order.sampling.shares(order.sizes) == pytest.approx(
        {"xnli/en": 3 / 11, "xnli/de": 2 / 11, "xnli/sw": 6 / 11}
    )
    uniform = Sampling(temperature=float("inf"))
    even = XNLI(train_languages=["en", "sw"], dev_languages=["en"], sampling=uniform, **settings)
    even.setup("fit")
    order = even.train_dataloader().batch_sampler
    assert order.sampling.shares(order.sizes) == pytest.approx({"xnli/en": 0.5, "xnli/sw": 0.5})


def test_languages_are_drawn_by_given_weights(settings):
    data = XNLI(
        train_languages=["en", "de", "sw"],
        dev_languages=["en"],
        sampling=Sampling(weights={"en": 3, "de": 0, "sw": 1}),
        **settings,
    )
    data.setup("fit")
    order = data.train_dataloader().batch_sampler
    assert order.sampling.shares(order.sizes) == pytest.approx({"xnli/en": 0.75, "xnli/de": 0, "xnli/sw": 0.25})


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ({"en": 1, "sv": 1, "sw": 1}, "no training language of 'xnli' 'sv' in the mix.*sw"),
        ({"en": 1}, "no weight for sw; give one, 0 leaves a training language of 'xnli' out"),
        ({"en": 0, "sw": 0}, "one of them above 0; found: en 0, sw 0"),
    ],
)
def test_weights_of_languages_are_checked_before_training(settings, weights, message):
    with pytest.raises(ConfigError, match=message):
        XNLI(train_languages=["en", "sw"], sampling=Sampling(weights=weights), **settings)


def test_any_task_takes_translations_from_files_of_ones_own(settings, folder):
    own = Tsv(paths={"train": "translated.{language}.tsv"})
    lines = "premise\thypothesis\tlabel\nMbwa anakimbia.\tMbwa.\tentailment\n"
    (folder / "mnli" / "translated.sw.tsv").write_text(lines)
    data = MNLI(train_languages=["en", "sw"], translations=own, **settings)
    english, swahili = data.portions("train")
    assert english.origin().split()[0] == "mnli/multinli_1.0_train.jsonl"
    assert swahili.origin().split()[0] == "mnli/translated.sw.tsv"
    assert swahili.examples()[0]["text"] == "Mbwa anakimbia."
    assert data.dev_languages == ["en"]  # there are no development rows in Swahili
    shutil.copytree(DATA / "squad_v1", folder / "squad_v1")
    shutil.copy(DATA / "squad_v1/train-v1.1.json", folder / "squad_v1/squad.de.json")
    squad = SQuAD(train_languages=["de"], translations=SquadJson(paths={"train": "squad.{language}.json"}), **settings)
    assert [p.origin().split()[0] for p in squad.portions("train")] == ["squad_v1/squad.de.json"]


def test_results_name_the_languages(folder, tiny_encoder, tmp_path):
    results = run(
        {
            "name": "toy",
            "out_dir": str(tmp_path / "runs"),
            "model": {"encoder": str(tiny_encoder)},
            "trainer": {"accelerator": "cpu", "max_epochs": 1, "enable_progress_bar": False, "logger": False},
            "data": {
                "class_path": "XNLI",
                "init_args": {"data_dir": str(folder), "languages": ["ar"]}
                | {"train_languages": ["en", "sw"], "dev_languages": ["en"]},
            },
        }
    )
    facts = results.rows[0].training
    assert facts["languages"] == ["en", "sw"]
    assert set(facts["parts"]) == {"xnli/en", "xnli/sw"}


@pytest.mark.parametrize(
    ("languages", "message"),
    [
        (["en", "fr"], r"xnli \(fr\): no files of the train split; looked for 'multinli.train.fr.tsv'"),
        (["en", "xx"], "task 'xnli' has no language 'xx'"),
    ],
)
def test_a_language_without_rows_is_named_before_training(settings, languages, message):
    with pytest.raises((ConfigError, DataError), match=message):
        XNLI(train_languages=languages, **settings).check()


def test_without_translations_a_task_has_no_other_languages(settings):
    with pytest.raises(ConfigError, match="task 'mnli' has no language 'sw'"):
        MNLI(train_languages=["sw"], **settings)


# ------------------------------------------------------------------ a few examples
@pytest.fixture
def many(tmp_path):
    """German UD sentences do for tagging; for inference 30 pairs in a development file, of uneven labels."""
    folder = tmp_path / "few" / "xnli"
    folder.mkdir(parents=True)
    labels = ["entailment"] * 20 + ["neutral"] * 8 + ["contradiction"] * 2
    for language in ("sw", "de"):
        lines = [f"{language} {i}\tb\t{label}\n" for i, label in enumerate(labels)]
        (folder / f"dev-{language}.tsv").write_text("".join(lines))
    return folder.parent


def few(many, tiny_encoder, **changed):
    settings = {"train_languages": ["sw", "de"], "languages": ["sw"], "dev_languages": ["sw"], "shots": 9, "seed": 1}
    settings |= {"splits": {"train": "validation[:25]"}, **changed}
    return XNLI(data_dir=many, tokenizer=str(tiny_encoder), **settings)


def test_shots_are_drawn_by_seed_and_of_each_label_as_many(many, tiny_encoder):
    data = few(many, tiny_encoder)
    drawn = {portion.language: portion.examples() for portion in data.portions("train")}
    for language, examples in drawn.items():
        assert Counter(example["label"] for example in examples) == {0: 5, 1: 4} or Counter(
            example["label"] for example in examples
        ) == {0: 4, 1: 5}  # no contradiction is among the first 25
        assert [example["index"] for example in examples] == list(range(9))
        assert all(example["text"].startswith(language) for example in examples)
    numbers = [[example["text"].split()[1] for example in examples] for examples in drawn.values()]
    assert numbers[0] != numbers[1]  # drawn for each language
    again = few(many, tiny_encoder).portions("train")
    assert [portion.examples() for portion in again] == list(drawn.values())
    other = few(many, tiny_encoder, seed=2).portions("train")
    assert [portion.examples() for portion in other] != list(drawn.values())
    assert [p.origin() for p in other] != [p.origin() for p in again]  # another seed is other data


def test_a_rare_label_gives_all_it_has(many, tiny_encoder):
    data = few(many, tiny_encoder, splits={"train": "validation"}, shots=12)
    counts = Counter(example["label"] for example in data.portions("train")[0].examples())
    assert counts == {0: 5, 1: 5, 2: 2}


def test_shots_of_tags_are_drawn_without_labels(tiny_encoder):
    data = UDPOS(data_dir=DATA, tokenizer=str(tiny_encoder), shots=2, languages=["de"], seed=1)
    (portion,) = data.portions("train")
    assert len(portion.examples()) == 2


def test_more_shots_than_rows_are_refused(many, tiny_encoder):
    with pytest.raises(DataError, match="xnli/train/sw: expected at least 40 rows to draw shots from, found 25"):
        few(many, tiny_encoder, shots=40).check(splits=["train"])


def test_a_further_stage_in_the_target_language(many, tiny_encoder, tmp_path):
    shutil.copytree(DATA / "mnli", many / "mnli")
    shots = {
        "class_path": "XNLI",
        "init_args": {
            "train_languages": ["sw"],
            "splits": {"train": "validation[:20]", "validation": "validation[20:]", "test": "validation[20:]"},
            "shots": 4,
            "languages": ["sw"],
        },
    }
    results = run(
        {
            "name": "toy",
            "out_dir": str(tmp_path / "runs"),
            "model": {"encoder": str(tiny_encoder)},
            "trainer": {"accelerator": "cpu", "max_epochs": 1, "enable_progress_bar": False, "logger": False},
            "data": {"init_args": {"data_dir": str(many)}},
            "stages": {
                "mnli": {"data": {"class_path": "MNLI"}},
                "few": {"data": shots, "seed_everything": 7, "init": {"parts": ["encoder", "heads"]}},
            },
        }
    )
    row = results.where(stage="few", split="test").rows[0]
    assert (row.chain, row.n) == (("mnli", "few"), 10)
    assert (row.training["shots"], row.training["shots_seed"], row.training["languages"]) == (4, 7, ["sw"])
