"""What `xtransfer plan` tells of many runs, compared with what these runs then do."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
import yaml

import xtransfer
from xtransfer import costs
from xtransfer.cli import main
from xtransfer.costs import batches_and_looks
from xtransfer.errors import ConfigError, DataError
from xtransfer.module import TransferModule
from xtransfer.pipeline import run

DATA = Path(__file__).parent / "data"
FIRST = {"squad": {"data": {"class_path": "SQuAD"}}}


@pytest.fixture
def config(tiny_encoder, tmp_path):
    """SQuAD, then multiple choice, in two epochs each."""
    return {
        "name": "toy",
        "out_dir": str(tmp_path / "runs"),
        "store": str(tmp_path / "store"),
        "seed_everything": 3,
        "model": {"encoder": str(tiny_encoder)},
        "trainer": {"accelerator": "cpu", "max_epochs": 2, "enable_progress_bar": False, "logger": False},
        "data": {"init_args": {"data_dir": str(DATA), "batch_size": 2, "cache_dir": str(tmp_path / "cache")}},
        "stages": FIRST | {"choice": {"data": {"class_path": "CommonsenseQA"}}},
    }


@pytest.fixture
def read(monkeypatch):
    """Tokens that models have really read, by the hook that was called."""
    found: Counter[str] = Counter()

    def watch(hook):
        original = getattr(TransferModule, hook)

        def counting(self, batch, *rest):
            found[hook] += int(batch["attention_mask"].sum())
            return original(self, batch, *rest)

        monkeypatch.setattr(TransferModule, hook, counting)

    for hook in ("training_step", "validation_step", "test_step"):
        watch(hook)
    return found


def after(config, **stages):
    return {**config, "stages": FIRST | stages}


def alone(config, name, **settings):
    block = {"data": {"class_path": name, "init_args": settings}}
    return {**config, "name": name.lower(), "stages": {name.lower(): block}}


def test_the_tokens_of_a_plan_are_those_that_are_read(config, read):
    planned = xtransfer.plan([config])
    assert planned.hours is None  # nothing was trained yet
    run(config)
    assert planned.tokens == planned.tokens_from_scratch == read["training_step"]
    assert planned.scored_tokens == read["validation_step"] + read["test_step"]
    assert xtransfer.plan([config]).tokens == xtransfer.plan([config]).scored_tokens == 0
    assert [node.state for node in xtransfer.plan([config]).nodes] == ["done", "done"]

    read.clear()
    other = {**config, "name": "other"}
    found = xtransfer.plan([other])
    assert [node.state for node in found.nodes] == ["score, in the store"] * 2
    assert found.tokens == 0
    assert found.tokens_from_scratch == planned.tokens
    assert found.hours > 0
    assert "measured in 2 trainings of the store, on cpu" in found.text()
    run(other)
    assert read["training_step"] == 0
    assert found.scored_tokens == read["validation_step"] + read["test_step"] > 0


def test_a_grid_trains_each_stage_that_runs_share_once(config):
    targets = {
        "tydiqa": {"data": {"class_path": "TyDiQA", "init_args": {"languages": ["en"]}}},
        "xquad": {"data": {"class_path": "XQuAD", "init_args": {"languages": ["de"]}}},
        "squad_": {"data": {"class_path": "SQuAD"}},
        "tatoeba": {"data": {"class_path": "Tatoeba", "init_args": {"languages": ["de"]}}},
    }
    intermediates = {"squad": FIRST["squad"], "mnli": {"data": {"class_path": "MNLI"}}}
    grid = [
        {**config, "name": f"{one}-{two}-{seed}", "seed_everything": seed, "stages": {one: first, two: target}}
        for one, first in intermediates.items()
        for two, target in targets.items()
        for seed in (1, 2)
    ]
    planned = xtransfer.plan(grid)
    cost = {name: xtransfer.plan([alone(config, name, **settings)]).tokens for name, settings in ONES.items()}
    seconds = cost["TyDiQA"] + cost["SQuAD"]  # XQuAD is SQuAD's training, Tatoeba is none
    firsts = cost["SQuAD"] + cost["MNLI"]
    assert planned.tokens == 2 * (firsts + 2 * seconds)
    assert planned.tokens_from_scratch == 2 * (4 * firsts + 2 * (seconds + cost["SQuAD"]))
    assert sum(node.trainings for node in planned.nodes) == 2 * (2 + 2 * 2)
    assert sum(len(node.uses) for node in planned.nodes) == 2 * len(grid)
    without = xtransfer.plan([{**one, "store": None} for one in grid])
    assert without.tokens == without.tokens_from_scratch == planned.tokens_from_scratch


ONES = {"SQuAD": {}, "MNLI": {}, "TyDiQA": {"languages": ["en"]}}


def test_the_tree_names_stages_and_runs(config, tmp_path, capsys):
    files = []
    for name, stages in {
        "one": {"choice": {"data": {"class_path": "CommonsenseQA"}}},
        "two": {"xquad": {"data": {"class_path": "XQuAD", "init_args": {"languages": ["de"]}}}},
    }.items():
        files.append(tmp_path / f"{name}.yaml")
        files[-1].write_text(yaml.safe_dump({**after(config, **stages), "name": name}, sort_keys=False))
    assert main(["plan", *map(str, files), "--tokens_per_second", "0.5", "--seed_everything", "9"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("  ")[0] for line in lines[1:4]] == [
        "squad (squad_v1)",
        "├─ choice (commonsenseqa)",
        "└─ xquad (xquad)",
    ]
    assert lines[1].endswith("  one, two")
    assert lines[3].endswith("  two")
    planned = xtransfer.plan([str(file) for file in files], ["--seed_everything", "9"], tokens_per_second=0.5)
    assert planned.text().splitlines() == lines
    assert planned.hours == pytest.approx((planned.tokens + planned.scored_tokens / 3) / 0.5 / 3600, rel=1e-3)
    assert not (tmp_path / "runs").exists()
    assert not (tmp_path / "cache").exists()
    laid_over = f"{files[0]}+{files[1]}"
    assert main(["plan", laid_over, "--store", "null"]) == 0
    assert "└─ choice (commonsenseqa)" in (told := capsys.readouterr().out)
    assert "store: none" in told


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--tokens_per_second", "fast"], "--tokens_per_second: expected a number above 0, found 'fast'"),
        (["--model.lrr", "1"], "run 'toy', stage 'squad': unknown key 'model.lrr'; did you mean 'lr'"),
        (["--data.folder", "nowhere"], "run 'toy', stage 'squad': squad_v1 .*nowhere"),
    ],
)
def test_mistakes_are_told_with_run_and_stage(config, tmp_path, words, message):
    file = tmp_path / "toy.yaml"
    file.write_text(yaml.safe_dump(config, sort_keys=False))
    from xtransfer.plan_cli import plan

    with pytest.raises((ConfigError, DataError), match=message):
        plan([str(file), *words])


def test_large_data_are_reckoned_from_some_rows(config, monkeypatch):
    exact = xtransfer.plan([alone(config, "MNLI")])
    monkeypatch.setattr(costs, "SAMPLE", 2)
    found = xtransfer.plan([alone(config, "MNLI")])
    assert "reckoned from a sample of their rows: mnli/test/en, mnli/train/en, mnli/validation/en" in found.text()
    assert found.tokens != exact.tokens
    assert found.tokens == pytest.approx(exact.tokens, rel=0.2)
    assert "reckoned from" not in exact.text()


@pytest.mark.parametrize(
    ("trainer", "batches", "looks"),
    [
        ({"max_epochs": 3}, 30, 3),
        ({"max_epochs": 3, "val_check_interval": 0.25}, 30, 15),  # every second batch
        ({"max_epochs": 3, "val_check_interval": 4}, 30, 6),
        ({"max_epochs": 3, "val_check_interval": 4, "check_val_every_n_epoch": None}, 30, 7),
        ({"max_epochs": 3, "check_val_every_n_epoch": 2}, 30, 1),
        ({"max_epochs": -1, "max_steps": 8, "accumulate_grad_batches": 2}, 16, 1),
        ({"max_epochs": 3, "limit_train_batches": 5, "limit_val_batches": 0}, 15, 0),
    ],
)
def test_batches_and_looks_at_development_rows(trainer, batches, looks):
    assert batches_and_looks(trainer, 10) == (batches, looks)
