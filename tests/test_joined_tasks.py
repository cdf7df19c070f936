"""A task of two data sets in whole runs: rows counted by data set, development rows scored together and one by one."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from xtransfer.catalogue import listing
from xtransfer.datamodules import ANLI, MNLI, SNLI, ANLIPlus, TaskDataModule
from xtransfer.errors import DataError
from xtransfer.pipeline import run

TASKS = '''
"""Two data sets on one head, and the task that joins them."""

from xtransfer.datamodules import TaskDataModule
from xtransfer.sources import Joined, Tsv
from xtransfer.task import Task

FIELDS = {"text": "text", "label": "label"}
LABELS = ("animal", "place")


def made(name, **more):
    files = (Tsv(paths={"train": "train.tsv", "validation": "dev.tsv"}, columns=("text", "label")),)
    return Task(name=name, kind="classification", fields=FIELDS, labels=LABELS, files=files, **more)


class Alpha(TaskDataModule):
    task = made("alpha")


class Beta(TaskDataModule):
    task = made("beta", aliases={"a": "animal", "p": "place"}, unlabelled=("?",), drop_unlabelled=True)


JOINED = Joined((Alpha.task, Beta.task), FIELDS)


class Both(TaskDataModule):
    task = Task(
        name="both",
        kind="classification",
        fields=FIELDS,
        labels=LABELS,
        aliases=Beta.task.aliases,
        unlabelled=Beta.task.unlabelled,
        drop_unlabelled=True,
        head="shared",
        hub=JOINED,
        files=(JOINED,),
    )
    also = (Alpha, Beta)
'''
DATA = Path(__file__).parent / "data"
ROWS = {
    "alpha/train.tsv": "dog\tanimal\ncity\tplace\ncat\tanimal\nriver\tplace\n",
    "alpha/dev.tsv": "the dog\tanimal\nthe city\tplace\nhouse\tplace\nthe house\tplace\n",
    "beta/train.tsv": "the cat\ta\nquestion\t?\nthe river\tp\n",
    "beta/dev.tsv": "the cat runs\ta\ncat house\t?\n",
}
GOLD = {
    "alpha": ["animal", "place", "place", "place"],
    "beta": ["animal", None],
    "both": ["animal", "place", "place", "place", "animal", None],
}


@pytest.fixture
def tasks(tmp_path, monkeypatch):
    """A module of one's own with the three tasks."""
    (tmp_path / "made_for_tests.py").write_text(TASKS)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(__import__("sys").modules, "made_for_tests", raising=False)
    return __import__("made_for_tests")


@pytest.fixture
def data_dir(tmp_path):
    for name, text in ROWS.items():
        (tmp_path / "data" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "data" / name).write_text(text)
    return tmp_path / "data"


@pytest.fixture
def settings(tiny_encoder, tmp_path, data_dir):
    return {"tokenizer": str(tiny_encoder), "cache_dir": tmp_path / "cache", "batch_size": 2, "data_dir": data_dir}


def scored(config: dict) -> dict[str, tuple[float, int, dict]]:
    """Return accuracy, number of examples and counts of each task's test rows."""
    return {row.task: (row.value, row.n, dict(row.counts)) for row in run(config).where(split="test")}


@pytest.fixture
def config(tasks, tiny_encoder, tmp_path, data_dir):
    init = {"data_dir": str(data_dir), "batch_size": 2, "cache_dir": str(tmp_path / "cache")}
    return {
        "out_dir": str(tmp_path / "runs"),
        "model": {"encoder": str(tiny_encoder), "lr": 1e-3},
        "trainer": {"accelerator": "cpu", "max_steps": 3, "logger": False, "enable_progress_bar": False},
        "data": {"class_path": "made_for_tests.Both", "init_args": init},
        "stages": {"one": {}},
    }


# ------------------------------------------------------------------ what is read
def test_all_rows_in_the_order_of_the_data_sets_and_counted_by_them(tasks, settings):
    data = tasks.Both(**settings)
    (train,) = data.portions("train")
    examples = train.examples()
    assert [example["text"] for example in examples] == ["dog", "city", "cat", "river", "the cat", "the river"]
    assert [example["label"] for example in examples] == [0, 1, 0, 1, 0, 1]
    assert [example["index"] for example in examples] == list(range(6))
    assert {name: train.counts[name] for name in ("rows_in_source", "rows", "rows_alpha", "rows_beta")} == {
        "rows_in_source": 7,
        "rows": 6,
        "rows_alpha": 4,
        "rows_beta": 2,
    }
    assert train.counts["dropped_unlabelled"] == 1


@pytest.mark.parametrize(
    ("rows", "limit", "texts"),
    [
        ("train[:1]", None, ["dog", "the cat"]),
        ("train[-1:]", None, ["river", "the river"]),
        ("train[50%:]", None, ["cat", "river", "the river"]),
        ("train", 3, ["dog", "city", "the cat"]),
        ("train[2:]", 2, ["cat", "the river"]),
        ("train", 100, ["dog", "city", "cat", "river", "the cat", "the river"]),
    ],
)
def test_slices_are_taken_of_each_data_set_and_a_limit_of_each_in_turn(tasks, settings, rows, limit, texts):
    data = tasks.Both(splits={"train": rows}, limit=limit, **settings)
    (train,) = data.portions("train")
    assert [example["text"] for example in train.examples()] == texts
    assert train.origin().endswith("of each") == (rows != "train" or limit is not None)


def test_a_missing_data_set_stops_the_run_by_its_name(tasks, settings, data_dir):
    (data_dir / "beta/dev.tsv").unlink()
    with pytest.raises(DataError, match=r"^beta \(en\): no files of the validation split; looked for 'dev.tsv'"):
        tasks.Both(**settings).check()


def test_the_catalogue_says_where_the_data_sets_lie(tasks, monkeypatch):
    import xtransfer.datamodules as datamodules

    monkeypatch.setattr(datamodules, "__all__", ["Both"])
    monkeypatch.setattr(datamodules, "Both", tasks.Both, raising=False)
    assert "| alpha + beta |" in listing()


# ------------------------------------------------------------------ together and one by one
def test_development_rows_are_scored_together_and_one_by_one(config, tmp_path):
    results = scored(config)
    folder = tmp_path / "runs/run/1-one/predictions"
    right = {}
    for task, gold in GOLD.items():
        predicted = (folder / task / "test-en.tsv").read_text().split()
        assert len(predicted) == len(gold)
        right[task] = [guess == label for guess, label in zip(predicted, gold, strict=True) if label is not None]
    assert right["both"] == right["alpha"] + right["beta"]  # one head, the same rows
    for task, n in (("alpha", 4), ("beta", 1), ("both", 5)):
        assert results[task][:2] == (pytest.approx(100 * sum(right[task]) / n), n)
    together = (4 * results["alpha"][0] + results["beta"][0]) / 5
    assert results["both"][0] == pytest.approx(together)
    assert results["both"][2] == {"rows": 6, "rows_alpha": 4, "rows_beta": 2, "rows_in_source": 6, "unlabelled": 1}
    assert results["alpha"][2] == {"rows": 4, "rows_in_source": 4}


def test_a_model_is_chosen_by_all_development_rows(config):
    rows = run(config)
    assert {row.task for row in rows.where(split="validation")} == {"both"}
    assert {row.rows for row in rows.where(split="test")} == {"validation"}
    assert {row.head for row in rows} == {"shared"}


@pytest.mark.parametrize(("wanted", "names"), [([], ["both"]), (["made_for_tests.Beta"], ["both", "beta"])])
def test_what_is_asked_for_takes_the_place_of_the_default(config, wanted, names):
    splits = {"init_args": {"splits": {"test": "validation"}}}
    config["data"]["init_args"]["evaluate"] = [{"class_path": name, **splits} for name in wanted]
    assert list(scored(config)) == names


def test_a_data_set_by_default_that_is_not_there_is_left_out_and_named(tasks, settings, data_dir, caplog):
    (data_dir / "both").mkdir()
    for split in ("train", "dev"):  # all rows in one file: beta is not needed any more
        (data_dir / "both" / f"{split}.tsv").write_text(ROWS[f"alpha/{split}.tsv"])
        (data_dir / "beta" / f"{split}.tsv").unlink()
    (whole,) = tasks.Alpha.task.files
    data = tasks.Both(source=whole, **settings)
    with caplog.at_level(logging.WARNING):
        assert [spec["name"] for spec in data.specs()] == ["both", "alpha"]
    assert "beta is left out, its rows are not there: beta (en): no files of the validation split" in caplog.text
    assert set(data.check()) == {"both/train/en", "both/validation/en", "both/test/en", "alpha/test/en"}


def test_a_data_set_that_is_asked_for_must_be_there(tasks, settings, data_dir):
    (data_dir / "beta/dev.tsv").unlink()
    member = tasks.Beta(splits={"test": "validation"})
    with pytest.raises(DataError, match=r"^beta \(en\): no files of the validation split"):
        tasks.Alpha(evaluate=[member], **settings).check()


def test_tasks_score_nothing_else_by_default():
    assert MNLI.also == TaskDataModule.also == ()
    assert MNLI(data_dir=Path("nowhere")).members[1:] == []


# ------------------------------------------------------------------ ANLI+
def test_anli_plus_is_five_data_sets_on_the_head_of_mnli(tiny_encoder, tmp_path):
    data = ANLIPlus(data_dir=DATA, tokenizer=str(tiny_encoder), cache_dir=tmp_path)
    report = {name: {key: n for key, n in counts.items() if n} for name, counts in data.check().items()}
    rounds = {"rows_anli_r1": 1, "rows_anli_r2": 1, "rows_anli_r3": 1}
    dev = {
        "rows_in_source": 9,
        "rows": 9,
        "rows_snli": 3,
        "rows_mnli": 3,
        **rounds,
        "unlabelled": 1,
        "rows_published": 23_015,
    }
    train = {"rows_in_source": 9, "rows": 8, "rows_snli": 2, "rows_mnli": 3, **rounds, "dropped_unlabelled": 1}
    train["rows_published"] = 550_152 + 392_702 + 16_946 + 45_460 + 100_459
    assert report["anli_plus/train/en"] == train
    assert report["anli_plus/validation/en"] == report["anli_plus/test/en"] == dev
    alone = {name.split("/")[0]: counts["rows"] for name, counts in report.items() if "anli_plus" not in name}
    assert alone == {"snli": 3, "mnli": 3, "anli_r1": 1, "anli_r2": 1, "anli_r3": 1}
    assert {spec["head"] for spec in data.specs()} == {"mnli"}


def test_anli_plus_reads_labels_as_its_data_sets_do():
    task = ANLIPlus.task
    for part in (SNLI.task, MNLI.task, ANLI.task):
        for spelling in (*part.aliases, *part.unlabelled, *part.labels):
            assert task.label_name(spelling) == part.label_name(spelling)
    assert task.drop_unlabelled
