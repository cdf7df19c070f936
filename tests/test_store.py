"""Trained stages in a store: what is the same training and what is not, and that a stored one equals a fresh one."""

from __future__ import annotations

import hashlib
import json
import logging
import multiprocessing
import os
import shutil
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

import xtransfer
from xtransfer.config import expand
from xtransfer.curves import read_curves
from xtransfer.module import TransferModule
from xtransfer.pipeline import prepare, run
from xtransfer.results import Results
from xtransfer.store import StageStore
from xtransfer.versions import ELSEWHERE

DATA = Path(__file__).parent / "data"
OWN = """
from xtransfer.heads import ClassificationHead


class Mine(ClassificationHead):
    {0}
"""


@pytest.fixture
def config(tiny_encoder, tmp_path):
    """SQuAD alone, in a run that has a store."""
    return {
        "name": "toy",
        "out_dir": str(tmp_path / "runs"),
        "store": str(tmp_path / "store"),
        "seed_everything": 3,
        "model": {"encoder": str(tiny_encoder), "lr": 1e-2, "dropout": 0.2},
        "trainer": {"accelerator": "cpu", "max_epochs": 2, "enable_progress_bar": False, "logger": False},
        "data": {"init_args": {"data_dir": str(DATA), "batch_size": 2, "cache_dir": str(tmp_path / "cache")}},
        "stages": {"squad": {"data": {"class_path": "SQuAD"}}},
    }


@pytest.fixture
def trained(monkeypatch):
    """The tasks of the training steps that were really done, in order."""
    steps, original = [], TransferModule.training_step

    def counted(self, batch, number):
        steps.append(batch["task"])
        return original(self, batch, number)

    monkeypatch.setattr(TransferModule, "training_step", counted)
    return steps


def task(config, name, select="best", **settings):
    """The same run with another task in one stage of its name."""
    return {**config, "select": select, "stages": {name.lower(): {"data": {"class_path": name, "init_args": settings}}}}


def training(config, *overrides):
    """Return what tells the training of the last stage from others."""
    return prepare(expand(config, overrides))[-1].training


def digests(folder: Path) -> dict[str, str]:
    files = sorted(folder.rglob("*.safetensors"))
    return {str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def entries(tmp_path) -> list[Path]:
    return sorted(path.parent for path in (tmp_path / "store").glob("??/*/stage.json"))


# ------------------------------------------------------------------ what is the same training
def test_a_stored_stage_equals_a_fresh_one_and_so_does_the_next(config, tmp_path, trained):
    del config["trainer"]["logger"]
    config["trainer"]["log_every_n_steps"] = 1
    config["stages"]["qa"] = {"data": {"class_path": "TyDiQA", "init_args": {"languages": ["en", "ru"]}}}
    alone = run({**config, "name": "alone", "store": None})
    steps = len(trained)
    run({**config, "name": "one", "stages": {"squad": config["stages"]["squad"]}})
    assert len(trained) == steps + 4
    both = run({**config, "name": "two"})
    assert trained[steps + 4 :] == ["tydiqa"] * 4  # its first stage was taken from the store
    again = run({**config, "name": "three"})
    assert len(trained) == steps + 8  # and now the second one too
    expected = digests(tmp_path / "runs/alone")
    assert len(expected) == 4
    assert digests(tmp_path / "runs/two") == digests(tmp_path / "runs/three") == expected
    for results in (both, again):
        assert [(row.metric, row.value, row.steps, row.selected) for row in results] == [
            (row.metric, row.value, row.steps, row.selected) for row in alone
        ]
    assert {row.reused_from for row in both.where(stage="squad")} == {"one/squad"}
    assert {row.reused_from for row in both.where(stage="qa")} == {""}
    assert {row.reused_from for row in Results.load(tmp_path / "runs/three").where(stage="qa")} == {"two/qa"}
    for stage in ("1-squad", "2-qa"):
        assert read_curves(tmp_path / "runs/three" / stage) == read_curves(tmp_path / "runs/alone" / stage)


def test_tasks_that_train_on_squad_share_its_training(config, tmp_path, trained):
    run(config)
    steps = len(trained)
    found = run({**task(config, "XQuAD", languages=["en", "de"]), "name": "xquad"})
    member = {"class_path": "MLQA", "init_args": {"languages": ["en"]}}
    found.rows += run({**task(config, "SQuAD", evaluate=[member]), "name": "mlqa"}).rows
    assert len(trained) == steps
    assert {(row.task, row.language, row.reused_from) for row in found.where(split="test")} == {
        ("xquad", "en", "toy/squad"),
        ("xquad", "de", "toy/squad"),
        ("squad_v1", "en", "toy/squad"),
        ("mlqa", "en", "toy/squad"),
    }
    assert len(entries(tmp_path)) == 1


def test_which_development_rows_choose_the_model_tells_trainings_apart(config):
    mlqa, xquad = task(config, "MLQA", languages=["en"]), task(config, "XQuAD", languages=["en"])
    assert training(xquad) == training(config)
    assert training(mlqa) != training(config)  # it has development rows of its own
    last = {**config, "select": "last"}
    assert training({**mlqa, "select": "last"}) == training({**xquad, "select": "last"}) == training(last)
    assert training(last) != training(config)
    xnli, mnli = task(config, "XNLI", languages=["en", "de"]), task(config, "MNLI")
    assert training({**xnli, "select": "last"}) == training({**mnli, "select": "last"})
    assert training(xnli) != training(mnli)
    more = task(config, "XNLI", languages=["en"], dev_languages=["en", "de"])
    assert training(more) == training(xnli)  # the first one chooses
    mean = ("select", "val/xnli/accuracy/mean")
    assert training(more, mean) != training(xnli, mean)
    stopping = {"class_path": "lightning.pytorch.callbacks.EarlyStopping"}
    both = [
        ("trainer.callbacks", [{**stopping, "init_args": {"monitor": f"val/{name}/f1/en", "mode": "max"}}])
        for name in ("squad_v1", "xquad")
    ]
    assert training(config, both[0]) == training(xquad, both[1])
    assert training(last, both[0]) not in (training(last), training(config, both[0]))


SCORING = [
    ("data.languages", ["en"]),
    ("data.eval_batch_size", 1),
    ("data.num_workers", 1),
    ("data.evaluate", [{"class_path": "XQuAD", "init_args": {"languages": ["zh"]}}]),
    ("data.options", {"n_best": 3, "normalizer": "mlqa"}),
    ("trainer.limit_test_batches", 1),
    ("trainer.limit_val_batches", 1),
    ("trainer.check_val_every_n_epoch", 2),
    ("trainer.profiler", "simple"),
    ("model.eval_bf16", False),
    ("trainer.logger", True),
    ("checkpoint", {"every_steps": 7}),
    ("protocol", "mine"),
    ("init", None),
    ("name", "other"),
]
WEIGHTS = [
    ("seed_everything", 4),
    ("model.lr", 5e-3),
    ("model.layer", 1),
    ("data.batch_size", 1),
    ("data.max_length", 40),
    ("data.limit", 2),
    ("data.splits", {"train": "train[:2]"}),
    ("data.options", {"stride": 16}),
    ("data", {"class_path": "SQuAD2", "init_args": {"data_dir": str(DATA), "batch_size": 2}}),
    ("trainer.max_epochs", 1),
    ("trainer.accumulate_grad_batches", 2),
    ("trainer.precision", "bf16-mixed"),
    ("select", "val/squad_v1/em/en"),
    ("model.eval_bf16", False),  # the model is chosen by development scores
    ("trainer.limit_val_batches", 1),
]


def test_what_changes_scores_alone_is_the_same_training(config):
    config["select"] = "last"
    same = training(config)
    assert [pair for pair in SCORING if training(config, pair) != same] == []


def test_what_changes_weights_is_another_training(config):
    found = [training(config), *(training(config, pair) for pair in WEIGHTS)]
    assert len(set(found)) == 1 + len(WEIGHTS)


def test_files_count_by_what_is_in_them(config, tiny_encoder, tmp_path):
    before = training(config)
    for folder, source in (("data", DATA / "squad_v1"), ("encoder", tiny_encoder)):
        shutil.copytree(source, tmp_path / folder / source.name)
    moved = {**config, "model": {**config["model"], "encoder": str(tmp_path / "encoder" / tiny_encoder.name)}}
    moved["data"] = {"init_args": {**config["data"]["init_args"], "data_dir": str(tmp_path / "data")}}
    assert training(moved) == before
    rows = tmp_path / "data/squad_v1/train-v1.1.json"
    written = rows.read_text()
    rows.write_text(written.replace("?", "!"))
    assert training(moved) != before
    rows.write_text(written)
    assert training(moved) == before
    weights = tmp_path / "encoder" / tiny_encoder.name / "model.safetensors"
    tensors = load_file(weights)
    next(iter(tensors.values())).add_(1e-3)
    save_file(tensors, weights, {"format": "pt"})
    assert training(moved) != before


def test_a_start_counts_by_its_own_training(config):
    target = {"data": {"class_path": "TyDiQA", "init_args": {"languages": ["en"]}}}
    scored = {"data": {"class_path": "Tatoeba", "init_args": {"languages": ["de"]}}}
    first, xquad = config["stages"]["squad"], {"data": {"class_path": "XQuAD", "init_args": {"languages": ["de"]}}}

    def after(**before):
        return training({**config, "stages": {**before, "target": target}})

    alone = after()
    assert after(a=first) == after(b=xquad) == after(a=first, between=scored)
    assert after(a={**first, "model": {"lr": 1e-3}}) != after(a=first) != alone
    assert after(between=scored) == alone  # nothing was trained before
    heads = {**target, "init": {"from": "a", "parts": ["encoder", "heads"]}}
    same = {"a": first, "b": {**first, "init": None}}
    assert training({**config, "stages": same}) == training(config)
    again = {"a": target, "b": {**target, "init": {"from": "a"}}, "c": heads}
    assert len({step.training for step in prepare(expand({**config, "stages": again}))}) == 3


def test_code_of_ones_own_counts(config, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))
    for module, line in (("mine_one", "scale = 1"), ("mine_two", "scale = 2")):
        (tmp_path / f"{module}.py").write_text(OWN.format(line))
    mnli = task(config, "MNLI")
    found = prepare(expand(mnli, [("model.heads", {"mnli": {"class_path": "mine_one.Mine"}})]))[0]
    (own,) = found.everything["own_classes"]
    assert own["class"] == "mine_one.Mine"
    assert own["sources"] == {"mine_one": hashlib.sha256((tmp_path / "mine_one.py").read_bytes()).hexdigest()}
    assert found.training != training(mnli)


def test_code_that_only_scores_tells_and_draws_is_left_out_by_name():
    package = Path(xtransfer.__file__).parent
    assert [name for name in ELSEWHERE if not any(package.glob(f"{name}.py"))] == []


# ------------------------------------------------------------------ the store itself
def test_what_determined_a_stage_can_be_read(config, tmp_path):
    (row,) = run(config).where(metric="f1", split="test")
    (entry,) = entries(tmp_path)
    record = json.loads((entry / "stage.json").read_text())
    assert entry == StageStore(tmp_path / "store").entry(training(config))
    assert (record["run"], record["stage"], record["tasks"]) == ("toy", "squad", ["squad_v1"])
    assert record["determined_by"]["config"]["model"]["lr"] == 1e-2
    assert "train-v1.1.json sha256:" in record["determined_by"]["data"]["tasks"][0]["rows"][0]["origin"]
    features = 0
    for row_ in json.loads((DATA / "squad_v1/train-v1.1.json").read_text())["data"]:
        features += sum(len(paragraph["qas"]) for paragraph in row_["paragraphs"])
    assert row.steps == 2 * -(-features // 2)
    assert record["noted"]["tokens"] == row.tokens > 0
    assert record["noted"]["seconds"] == row.seconds > 0
    mine = tmp_path / "runs/toy/1-squad/encoder/model.safetensors"
    assert mine.samefile(entry / "encoder/model.safetensors")  # not twice on the disk


@pytest.mark.parametrize("damage", ["weights", "record"])
def test_a_damaged_stage_is_set_aside_and_trained_again(config, tmp_path, trained, caplog, damage):
    run(config)
    expected, steps = digests(tmp_path / "runs/toy"), len(trained)
    (entry,) = entries(tmp_path)
    file = entry / ("stage.json" if damage == "record" else "encoder/model.safetensors")
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.unlink()  # what the first run has stays whole
    file.write_bytes(content)
    with caplog.at_level(logging.WARNING):
        results = run({**config, "name": "again"})
    assert f"the stored stage {entry.name} is damaged: " in caplog.text
    assert len(trained) == 2 * steps
    assert {row.reused_from for row in results} == {""}
    assert digests(tmp_path / "runs/again") == expected
    assert entry.with_name(f"{entry.name}.damaged-1").is_dir()
    run({**config, "name": "third"})
    assert len(trained) == 2 * steps  # what was trained again is whole


def test_killed_while_it_is_taken_it_is_not_taken_for_another(config, tmp_path, monkeypatch):
    other = {**config, "name": "other", "model": {**config["model"], "lr": 1e-3}}
    run(config)
    expected = digests(tmp_path / "runs/toy")
    run(other)
    with monkeypatch.context() as patch:
        patch.setattr("xtransfer.training.take_up", killed)
        with pytest.raises(KeyError, match="killed"):
            run({**other, "name": "toy"})
    assert digests(tmp_path / "runs/toy") != expected  # the other's weights lie there already
    run({**config, "store": None})
    assert digests(tmp_path / "runs/toy") == expected


def test_no_run_changes_what_another_has(config, tmp_path, trained):
    run(config)
    run({**config, "name": "other"})
    (entry,) = entries(tmp_path)
    before, steps = digests(entry), len(trained)
    run({**config, "name": "other"}, [("model.lr", 1e-3)])  # in the folder that shares its files with the store
    assert len(trained) == 2 * steps
    assert digests(entry) == before
    assert digests(tmp_path / "runs/toy/1-squad") == before
    run({**config, "name": "other"}, force=True)
    assert len(trained) == 3 * steps  # though the store has it
    shutil.rmtree(tmp_path / "runs")
    assert digests(entry) == before


def test_another_disk_gets_a_copy(config, tmp_path, trained, monkeypatch):
    def refused(*_):
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", refused)
    run(config)
    steps = len(trained)
    run({**config, "name": "other"})
    assert len(trained) == steps
    assert digests(tmp_path / "runs/other") == digests(tmp_path / "runs/toy")


def test_an_interrupted_stage_is_stored_when_it_went_on_and_not_when_it_was_changed(config, tmp_path, trained):
    config["checkpoint"] = {"every_steps": 1}
    expected = digests_of_undisturbed(config, tmp_path)

    def interrupted(changed):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(TransferModule, "validation_step", killed)
            with pytest.raises(KeyError, match="killed"):
                run(config)
        assert not entries(tmp_path)
        run({**config, **changed}, allow_config_change=bool(changed))

    interrupted({})
    assert digests(tmp_path / "runs/toy") == expected
    assert len(entries(tmp_path)) == 1
    for folder in ("runs", "store"):
        shutil.rmtree(tmp_path / folder)
    interrupted({"model": {**config["model"], "lr": 1e-3}})
    assert not entries(tmp_path)


def killed(*_):
    raise KeyError("killed")


def digests_of_undisturbed(config, tmp_path):
    run({**config, "store": None, "out_dir": str(tmp_path / "alone")})
    return digests(tmp_path / "alone/toy")


def test_without_a_store_too_other_languages_are_only_scored(config, tmp_path, trained):
    xquad = {**task(config, "XQuAD", languages=["en"]), "store": None}
    run(xquad)
    steps = len(trained)
    rows = run(xquad, [("data.languages", ["en", "de"])])
    assert {row.language for row in rows.where(split="test")} == {"en", "de"}
    assert len(trained) == steps
    assert {row.steps for row in rows} == {4}


def in_a_process(config, name, seconds):
    import time

    logging.basicConfig(filename=f"{config['out_dir']}.{name}.log", level=logging.INFO, force=True)
    original = TransferModule.training_step

    def slow(self, batch, number):
        time.sleep(seconds)
        logging.getLogger("test").info("one step trained")
        return original(self, batch, number)

    TransferModule.training_step = slow
    run({**config, "name": name})


def test_of_two_processes_that_want_the_same_stage_one_trains(config, tmp_path):
    context = multiprocessing.get_context("spawn")  # a fork of a process that computes with threads may not compute
    both = [context.Process(target=in_a_process, args=(config, name, 0.4)) for name in ("one", "two")]
    for process in both:
        process.start()
    for process in both:
        process.join(120)
    assert [process.exitcode for process in both] == [0, 0]
    logs = [Path(f"{config['out_dir']}.{name}.log").read_text() for name in ("one", "two")]
    assert sorted(text.count("one step trained") for text in logs) == [0, 4]
    (waited,) = [text for text in logs if "one step trained" not in text]
    assert "squad: the very same stage is being trained by run '" in waited
    assert "squad: taken from the store, trained by the stage '" in waited
    assert digests(tmp_path / "runs/one") == digests(tmp_path / "runs/two")


def test_a_run_without_a_seed_shares_nothing(config, tmp_path, caplog):
    with caplog.at_level(logging.WARNING):
        run(config, [("seed_everything", False)])
    assert "seed_everything is no number" in caplog.text
    assert not entries(tmp_path)
