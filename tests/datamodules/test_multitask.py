"""Several tasks in one run: what is drawn, shared, left out, repeated and refused."""

from __future__ import annotations

import json
import logging
import shutil
from pathlib import Path

import pytest
import torch

from xtransfer.config import expand
from xtransfer.datamodules import (
    CCG,
    MNLI,
    PANX,
    SNLI,
    XNLI,
    ANLIPlus,
    CommonsenseQA,
    CustomTask,
    MNLIMismatched,
    MultiTask,
    SQuAD,
    SQuAD2,
    TaskDataModule,
)
from xtransfer.datamodules.mixture import Place
from xtransfer.errors import ConfigError, DataError
from xtransfer.pipeline import prepare, run
from xtransfer.samplers import Sampling
from xtransfer.sources import Hub, Tsv
from xtransfer.task import Task

DATA = Path(__file__).parents[1] / "data"
TEST_ON_DEV = {"test": "validation"}


@pytest.fixture
def settings(tiny_encoder, tmp_path):
    return {
        "data_dir": DATA,
        "tokenizer": str(tiny_encoder),
        "cache_dir": tmp_path / "cache",
        "splits": TEST_ON_DEV,
        "seed": 1,
    }


def config(tiny_encoder, tmp_path, tasks, data=None, **stages):
    """A run of one mixed stage, and of further stages."""
    mixed = {"tasks": tasks, "splits": TEST_ON_DEV, "steps": 6, "data_dir": str(DATA), **(data or {})}
    return {
        "name": "toy",
        "out_dir": str(tmp_path / "runs"),
        "model": {"encoder": str(tiny_encoder), "lr": 1e-2},
        "trainer": {"accelerator": "cpu", "enable_progress_bar": False, "logger": False},
        "data": {"init_args": {"data_dir": str(DATA), "cache_dir": str(tmp_path / "cache")}},
        "stages": {
            "mixed": {"data": {"class_path": "MultiTask", "init_args": mixed | {"data_dir": str(DATA)}}},
            **stages,
        },
    }


def batches(data: MultiTask) -> list[dict]:
    data.setup("fit")
    return list(data.train_dataloader())


# ------------------------------------------------------------------ what is trained
def test_every_batch_is_of_one_task_with_its_own_size_and_labels(settings):
    tasks = [MNLI(batch_size=2), SQuAD(batch_size=1, max_length=64), CommonsenseQA(batch_size=3)]
    found = batches(MultiTask(tasks, steps=40, sampling="uniform", **settings))
    assert len(found) == 40
    shapes = {"mnli": (2, 2), "squad_v1": (1, 2), "commonsenseqa": (3, 3)}  # options add a dimension
    for batch in found:
        size, dimensions = shapes[batch["task"]]
        assert batch["input_ids"].ndim == dimensions
        assert len(batch["input_ids"]) == len(batch["index"]) == size
    assert {batch["task"] for batch in found} == set(shapes)


def test_the_length_is_the_sum_of_epochs_times_steps_in_a_pass(settings):
    tasks = [MNLI(batch_size=2), SNLI(batch_size=2), CommonsenseQA(batch_size=1)]
    data = MultiTask(tasks, epochs={"mnli": 4, "snli": 1, "commonsenseqa": 2}, **settings)
    data.setup("fit")
    parts = data.parts()
    assert {part.name: len(part) for part in parts} == {"mnli/en": 3, "snli/en": 2, "commonsenseqa/en": 3}
    for accumulate, steps in ((1, 4 * 2 + 1 * 1 + 2 * 3), (2, 4 * 1 + 1 * 1 + 2 * 2)):
        assert data.order(parts, Place(1, accumulate=accumulate)).steps == steps
    told = data.facts(data.order(parts, Place(1)), parts, Place(1))
    assert sum(part["steps"] for part in told["parts"].values()) == 15
    assert told["parts"]["mnli/en"]["epochs"] == pytest.approx(told["parts"]["mnli/en"]["steps"] * 2 / 3, abs=1e-3)


def test_a_task_of_weight_0_is_scored_and_not_trained(settings, tiny_encoder, tmp_path):
    tasks = [MNLI(batch_size=2), SQuAD(batch_size=1, max_length=64)]
    found = batches(MultiTask(tasks, steps=10, sampling=Sampling(weights={"mnli": 1, "squad_v1": 0}), **settings))
    assert {batch["task"] for batch in found} == {"mnli"}
    results = run(
        config(tiny_encoder, tmp_path, ["MNLI", "SQuAD"], {"sampling": {"weights": {"mnli": 1, "squad_v1": 0}}})
    )
    assert {row.task for row in results} == {"mnli", "squad_v1"}
    assert results.rows[0].training["tasks"] == 1


def test_the_head_of_another_task_stays_as_it_is(tiny_encoder, tmp_path):
    """Neither decay nor the momentum of earlier steps may move a head in a step that is not its own."""
    from lightning.pytorch import Callback

    from xtransfer.training import build

    moved: list[tuple[str, set[str]]] = []

    class Watch(Callback):
        def on_train_batch_start(self, trainer, module, batch, number):
            self.before = {name: head.out_proj.weight.clone() for name, head in module.heads.items()}

        def on_train_batch_end(self, trainer, module, outputs, batch, number):
            changed = {n for n, head in module.heads.items() if not torch.equal(head.out_proj.weight, self.before[n])}
            moved.append((batch["task"], changed))

    made = config(tiny_encoder, tmp_path, ["MNLI", "CCG"], {"sampling": "uniform", "steps": 12})
    made["stages"]["mixed"]["model"] = {"warmup": 0.0, "weight_decay": 0.5}
    (step,) = prepare(expand(made))
    cli = build(step, (Watch(),))
    cli.trainer.fit(cli.model, datamodule=cli.datamodule)
    assert len(moved) == 12
    assert {task for task, _ in moved} == {"mnli", "ccg"}
    assert all(changed == {task} for task, changed in moved[:-1])  # the rate of the last step is 0


def test_the_model_is_chosen_by_the_mean_of_the_tasks(tiny_encoder, tmp_path):
    made = config(tiny_encoder, tmp_path, ["MNLI", "CCG", "SQuAD"])
    results = run(made)
    dev = {row.task: row.value for row in results.where(split="validation", main=True)}
    assert set(dev) == {"mnli", "ccg", "squad_v1"}
    selected = results.rows[0].selected
    assert selected.startswith("best val/mean ")
    assert float(selected.split()[2]) == pytest.approx(sum(dev.values()) / 3, abs=0.006)


def test_a_second_stage_starts_from_the_mix(tiny_encoder, tmp_path):
    after = {"data": {"class_path": "TyDiQA", "init_args": {"languages": ["en"], "batch_size": 2}}}
    results = run(config(tiny_encoder, tmp_path, ["MNLI", "CCG"], {"name": "two"}, tydiqa=after))
    row = results.where(task="tydiqa").rows[0]
    assert (row.chain, row.trained) == (("mixed", "tydiqa"), ("two", "tydiqa"))
    assert row.training == {}  # its own stage is of one task
    facts = results.where(task="mnli").rows[0].training
    assert facts["tasks"] == 2
    assert facts["missing"] == []
    assert set(facts["parts"]) == {"mnli/en", "ccg/en"}


def test_loss_weights_scale_the_loss_of_a_task(settings, tiny_encoder):
    from types import SimpleNamespace

    from xtransfer.module import TransferModule

    data = MultiTask([MNLI(batch_size=2), CCG(batch_size=1)], loss_weights={"ccg": 0.25}, steps=9, **settings)
    module = TransferModule(data.specs(), encoder=str(tiny_encoder))
    module.eval()
    module._trainer = SimpleNamespace(world_size=1)
    module.log = lambda *args, **kwargs: None
    for batch in batches(data):
        plain = module(batch).loss
        expected = plain * {"mnli": 1.0, "ccg": 0.25}[batch["task"]]
        assert torch.equal(module.training_step(batch, 0), expected)


# ------------------------------------------------------------------ shared heads
def test_tasks_of_one_head_share_it_with_labels_by_name(settings, tiny_encoder):
    other = Task(
        name="other_nli",
        kind="classification",
        fields=MNLI.task.fields,
        labels=("neutral", "contradiction", "entailment"),
        head="mnli",
        files=(Tsv(paths={"train": "multinli.train.en.tsv"}, rename={"hypo": "hypothesis"}),),
        aliases=MNLI.task.aliases,
        folder="formats/mnli-xnli-mt",
    )
    data = MultiTask([MNLI(batch_size=2), CustomTask(task=other, batch_size=2)], steps=8, **settings)
    specs = data.specs()
    assert [spec["labels"] for spec in specs] == [list(MNLI.task.labels)] * 2
    assert {spec["head"] for spec in specs} == {"mnli"}
    gold = {
        portion.task.name: [portion.task.labels[example["label"]] for example in portion.examples()]
        for portion in data.portions("train")
    }
    single = CustomTask(task=other, **{k: v for k, v in settings.items() if k != "splits"}).portions("train")[0]
    assert gold["other_nli"] == [other.labels[example["label"]] for example in single.examples()]


def test_rows_of_the_task_trained_on_are_numbered_as_the_shared_head(settings):
    """XNLI's training rows are MNLI's, whose labels stand in another order than those of the task before it here."""
    first = Task(**{**vars(SNLI.task), "name": "first", "labels": ("neutral", "contradiction", "entailment")})
    first = Task(**{**vars(first), "folder": "snli"})
    member = MNLIMismatched(splits={"test": "validation"})
    tasks = [CustomTask(task=first), XNLI(languages=["de"], evaluate=[member])]
    data = MultiTask(tasks, **settings)
    assert {tuple(spec["labels"]) for spec in data.specs()} == {first.labels}
    alone = {key: value for key, value in settings.items() if key != "splits"}
    for split in ("train", "test"):
        mixed = next(p for p in data.portions(split) if p.task.name == "xnli")
        single = XNLI(languages=["de"], splits=TEST_ON_DEV, **alone).portions(split)[0]
        named = [[p.task.labels[example["label"]] for example in p.examples()] for p in (mixed, single)]
        assert named[0] == named[1]
        assert mixed.task.labels == first.labels


def test_one_head_for_different_labels_is_refused(settings):
    two = Task(
        name="binary",
        kind="classification",
        fields=SNLI.task.fields,
        labels=("entailment", "other"),
        head="mnli",
        aliases={"neutral": "other", "contradiction": "other"},
        files=SNLI.task.files,
        folder="snli",
        drop_unlabelled=True,
    )
    with pytest.raises(ConfigError, match=r"'mnli' and 'binary' cannot share the head 'mnli': expected .*neutral"):
        MultiTask([MNLI(), CustomTask(task=two)], **settings).specs()


def test_what_a_joined_task_scores_besides_is_not_scored_twice(settings):
    data = MultiTask([ANLIPlus(), MNLI()], **settings)
    names = [spec["name"] for spec in data.specs()]
    assert sorted(names) == ["anli_plus", "anli_r1", "anli_r2", "anli_r3", "mnli", "snli"]
    assert [p.name for p in data.portions("test") if p.task.name == "mnli"] == ["mnli/test/en"]


# ------------------------------------------------------------------ duplicates
def test_examples_of_two_tasks_are_named_and_kept_or_removed(settings, caplog):
    kept = MultiTask([ANLIPlus(), MNLI()], **settings)
    with caplog.at_level(logging.WARNING):
        kept.check()
    assert "3 of the 3 training examples of mnli stand in anli_plus too (they are kept)" in caplog.text
    kept.setup("fit")
    assert sum(len(part) for part in kept.parts()) == len(kept.parts()[0]) + 3
    removed = MultiTask([MNLI(), ANLIPlus()], duplicates="remove", **settings)
    removed.setup("fit")
    parts = removed.parts()
    assert [part.name for part in parts] == ["mnli/en", "anli_plus/en"]
    texts = {
        portion.task.name: [(e["text"], e["pair"]) for e in portion.examples()] for portion in removed.portions("train")
    }
    left = [number for number, text in enumerate(texts["anli_plus"]) if text not in texts["mnli"]]
    assert 0 < len(left) < len(texts["anli_plus"])
    assert len(parts[0]) == 3
    assert [parts[1][number]["index"] for number in range(len(parts[1]))] == left
    place = Place(1)
    assert removed.facts(removed.order(parts, place), parts, place)["removed"] == len(texts["anli_plus"]) - len(left)


def test_languages_of_one_task_may_share_examples(settings, tmp_path):
    """Names are the same in many languages."""
    shutil.copytree(DATA, tmp_path / "data")
    english = (tmp_path / "data/panx/en/train").read_text(encoding="utf-8")
    (tmp_path / "data/panx/de/train").write_text(english.replace("en:", "de:"), encoding="utf-8")
    panx = PANX(train_languages=["en", "de"])
    data = MultiTask([panx, MNLI()], duplicates="remove", **{**settings, "data_dir": tmp_path / "data"})
    data.setup("fit")
    sizes = {part.name: len(part) for part in data.parts()}
    assert sizes["panx/de"] == sizes["panx/en"] > 0


def test_windows_of_a_repeated_question_are_all_removed(settings):
    data = MultiTask([SQuAD(max_length=40), SQuAD2(max_length=40)], duplicates="remove", **settings)
    data.setup("fit")
    _, second = data.parts()
    examples = {portion.task.name: portion.examples() for portion in data.portions("train")}
    known = {(e["question"], e["context"]) for e in examples["squad_v1"]}
    common = {e["index"] for e in examples["squad_v2"] if (e["question"], e["context"]) in known}
    assert common  # the fixtures do overlap
    left = {second[number]["index"] for number in range(len(second))}
    assert left == {e["index"] for e in examples["squad_v2"]} - common


def test_a_task_of_repetitions_alone_is_refused(settings):
    data = MultiTask([ANLIPlus(), MNLI()], duplicates="remove", **settings)
    data.setup("fit")
    with pytest.raises(DataError, match="mnli/en: all its training examples stand in tasks before it"):
        data.parts()


# ------------------------------------------------------------------ what is missing
def test_a_task_without_its_files_is_left_out_and_named(settings, tiny_encoder, tmp_path, caplog):
    folder = tmp_path / "data"
    for name in ("mnli", "commonsenseqa"):
        shutil.copytree(DATA / name, folder / name)
    made = config(tiny_encoder, tmp_path, ["MNLI", "CCG", "CommonsenseQA"], {"missing": "leave_out"})
    made["stages"]["mixed"]["data"]["init_args"]["data_dir"] = str(folder)
    made["data"]["init_args"]["data_dir"] = str(folder)
    with caplog.at_level(logging.WARNING):
        results = run(made)
    assert "ccg is left out of the mix, its training rows are not there" in caplog.text
    assert "2 of 3 tasks: mnli, commonsenseqa" in caplog.text
    for row in results:
        assert row.training["missing"] == ["ccg"]
        assert row.training["tasks"] == 2
    kept = json.loads((tmp_path / "runs/toy/1-mixed/training.json").read_text())
    assert kept["missing"] == ["ccg"]
    refused = MultiTask([MNLI(), CCG()], **{**settings, "data_dir": folder})
    with pytest.raises((ConfigError, DataError), match="ccg"):
        refused.check()
    with pytest.raises(ConfigError, match="no task is left to train"):
        MultiTask([CCG()], missing="leave_out", **{**settings, "data_dir": folder}).check()


def test_a_task_that_is_gone_from_the_hub_is_left_out_and_told_of(settings, caplog):
    gone = MNLI(source=Hub("xtransfer-tests/there-is-no-such-data-set"))
    data = MultiTask([gone, CCG()], missing="leave_out", **settings)
    with caplog.at_level(logging.WARNING):
        data.check()
    assert [task.record.name for task in data.tasks] == ["ccg"]
    assert "mnli is left out of the mix, its training rows are not there" in caplog.text
    assert "no longer there under this id" in caplog.text
    assert "https://cims.nyu.edu/~sbowman/multinli" in caplog.text


def test_early_stopping_by_the_mean_works_with_one_task_left(tiny_encoder, tmp_path):
    shutil.copytree(DATA / "mnli", tmp_path / "data" / "mnli")
    made = config(tiny_encoder, tmp_path, ["MNLI", "CCG"], {"missing": "leave_out"})
    made["stages"]["mixed"]["data"]["init_args"]["data_dir"] = str(tmp_path / "data")
    made["data"]["init_args"]["data_dir"] = str(tmp_path / "data")
    stopping = {"monitor": "val/mean", "mode": "max", "patience": 1}
    made["trainer"]["callbacks"] = [{"class_path": "lightning.pytorch.callbacks.EarlyStopping", "init_args": stopping}]
    assert run(made).where(task="mnli", split="validation").rows[0].selected.startswith("best val/mnli/accuracy/en")


# ------------------------------------------------------------------ what is refused before training
@pytest.mark.parametrize(
    ("tasks", "data", "message"),
    [
        (["MNLI", "CCG"], {"sampling": {"weights": {"mnli": 1, "cgc": 1}}}, r"no task 'cgc' in the mix.*ccg"),
        (["MNLI", "CCG"], {"sampling": {"weights": {"mnli": 0, "ccg": 0}}}, "one of them above 0"),
        (["MNLI", "CCG"], {"sampling": {"temperature": 0}}, "temperature must be above 0"),
        (["MNLI", "MNLI"], {}, "two tasks are named 'mnli'"),
        ([], {}, "name at least one task"),
        (["MNLI", "Tatoeba"], {}, "task 'tatoeba' has no training data"),
        (["MNLI"], {"epochs": {"mnil": 2}}, r"epochs: no task 'mnil' in the mix.*mnli"),
        (["MNLI"], {"epochs": 0}, "epochs: expected a number above 0"),
        (["MNLI"], {"loss_weights": {"mnli": -1}}, "loss_weights: expected a number above 0 for 'mnli', found -1"),
        (["MNLI"], {"steps": 0}, "steps must be at least 1"),
        ([{"class_path": "MNLI", "init_args": {"batch_size": 0}}], {}, "batch_size must be at least 1"),
        ([{"class_path": "MNLI", "init_args": {"max_length": 600}}], {}, "max_length 600 is more than the 512"),
        (["MNIL"], {}, r"data.tasks\[0\].class_path: no task 'MNIL'.*MNLI"),
        ([{"class_path": "MNLI", "init_args": {"batch": 1}}], {}, r"unknown key 'data.tasks\[0\].batch'"),
        (["MNLI"], {"duplicates": "drop"}, "duplicates"),
        (["MNLI"], {"sampling": "propotional"}, "sampling"),
    ],
)
def test_mistakes_are_named_before_training(tiny_encoder, tmp_path, tasks, data, message):
    with pytest.raises((ConfigError, DataError), match=message):
        prepare(expand(config(tiny_encoder, tmp_path, tasks, data)))


def test_a_mix_is_a_task_like_any_other():
    assert issubclass(MultiTask, TaskDataModule)
