"""A run that was interrupted, anywhere and however often, ends with the very weights of one that was not."""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
import signal
from itertools import count
from pathlib import Path

import pytest

from xtransfer.curves import read_curves
from xtransfer.errors import ConfigError, DataError
from xtransfer.module import TransferModule
from xtransfer.pipeline import run
from xtransfer.results import Results
from xtransfer.snapshots import snapshots
from xtransfer.stopping import Stopped

DATA = Path(__file__).parents[1] / "data"


class Killed(BaseException):
    """What no code of ours expects."""


@pytest.fixture
def config(config):
    """Two stages: after the first a shorter one."""
    config["checkpoint"]["every_steps"] = 2
    config["stages"]["qa"] = {
        "data": {"class_path": "SQuAD", "init_args": {"max_length": 64}},
        "trainer": {"max_epochs": 1},
    }
    return config


MIX = {
    "class_path": "MultiTask",
    "init_args": {
        "data_dir": str(DATA),
        "steps": 8,
        "sampling": "uniform",
        "splits": {"test": "validation"},
        "tasks": ["MNLI", "CCG", "CommonsenseQA"],
    },
}


def digest(folder: Path) -> dict[str, str]:
    """Return the digest of each file of weights of a run."""
    files = sorted(folder.rglob("*.safetensors"))
    return {str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def at(monkeypatch, place: str, number: int, act) -> None:
    """Act when a hook of the module is called for the n-th time, counted from 1."""
    calls, original = count(1), getattr(TransferModule, place)

    def hooked(self, *args, **kwargs):
        if next(calls) == number:
            act()
        return original(self, *args, **kwargs)

    monkeypatch.setattr(TransferModule, place, hooked)


def killed() -> None:
    raise Killed


def interrupted(monkeypatch, config, place: str, number: int, act=killed, error: type[BaseException] = Killed) -> None:
    with monkeypatch.context() as patch:
        at(patch, place, number, act)
        with pytest.raises(error):
            run(config)


def undisturbed(config, tmp_path) -> dict[str, str]:
    """Return the weights of the same run, left alone."""
    run({**config, "out_dir": str(tmp_path / "alone")})
    return digest(tmp_path / "alone" / "toy")


def settings(config, **changed):
    """Change settings of all stages: ``trainer.accumulate_grad_batches`` as ``trainer__accumulate_grad_batches``."""
    for key, value in changed.items():
        block, name = key.split("__")
        if block == "data":
            config["data"]["init_args"][name] = value
        else:
            config[block][name] = value
    return config


VARIANTS = {
    "plain": {},
    "every step": {"checkpoint__every_steps": 1},
    "accumulated": {"trainer__accumulate_grad_batches": 2, "checkpoint__every_steps": 1},
    "validated within an epoch": {"trainer__val_check_interval": 2, "checkpoint__every_steps": 1},
    "validated across epochs": {
        "trainer__val_check_interval": 5,
        "trainer__check_val_every_n_epoch": None,
        "checkpoint__every_steps": 1,
    },
    "workers": {"data__num_workers": 2, "checkpoint__every_steps": 3},
    "ended by steps": {"trainer__max_steps": 7, "trainer__max_epochs": -1, "checkpoint__every_steps": 1},
}
PLACES = {
    "plain": (1, 15),
    "every step": (3, 4, 12),
    "accumulated": (4, 8),
    "validated within an epoch": (3, 9),
    "validated across epochs": (6, 11),
    "workers": (5,),
    "ended by steps": (4, 7),
}
"""Training batches at which a run is killed: 12 of the first stage, then 3 of the second. With 3 batches an epoch, 4 is
the first of the second epoch; with 2 accumulated, an epoch has steps after 2 and 3 batches."""


@pytest.mark.parametrize("variant", VARIANTS)
def test_killed_at_a_training_batch(config, tmp_path, monkeypatch, variant):
    settings(config, **VARIANTS[variant])
    expected = undisturbed(config, tmp_path)
    for number in PLACES[variant]:
        interrupted(monkeypatch, config, "training_step", number)
        run(config)
        assert digest(tmp_path / "runs/toy") == expected, number
        shutil.rmtree(tmp_path / "runs")


def test_killed_in_a_validation(config, tmp_path, monkeypatch):
    settings(config, checkpoint__every_steps=1, trainer__val_check_interval=2)
    expected = undisturbed(config, tmp_path)
    for number in (1, 4):
        interrupted(monkeypatch, config, "validation_step", number)
        run(config)
        assert digest(tmp_path / "runs/toy") == expected, number
        shutil.rmtree(tmp_path / "runs")


def test_killed_in_a_mix_of_tasks_twice_in_a_row(config, tmp_path, monkeypatch):
    settings(config, trainer__accumulate_grad_batches=2, checkpoint__every_steps=1)
    config["stages"] = {"mixed": {"data": MIX, "trainer": {"max_epochs": 1}}, "qa": config["stages"]["qa"]}
    expected = undisturbed(config, tmp_path)
    for first, second in ((8, 2), (5, 11)):
        interrupted(monkeypatch, config, "training_step", first)
        interrupted(monkeypatch, config, "training_step", second)
        run(config)
        assert digest(tmp_path / "runs/toy") == expected, (first, second)
        shutil.rmtree(tmp_path / "runs")


def test_early_stopping_stops_where_it_would_have(config, tmp_path, monkeypatch):
    stopping = {
        "class_path": "lightning.pytorch.callbacks.EarlyStopping",
        "init_args": {"monitor": "val/mnli/accuracy/en", "mode": "max", "patience": 2},
    }
    settings(config, checkpoint__every_steps=1, trainer__max_epochs=9)
    config["stages"]["mnli"]["trainer"] = {"callbacks": [stopping]}
    alone = run({**config, "out_dir": str(tmp_path / "alone")})
    steps = alone.where(stage="mnli").rows[0].steps
    assert steps < 27
    for number in (7, steps):
        interrupted(monkeypatch, config, "training_step", number)
        assert run(config).where(stage="mnli").rows[0].steps == steps
        assert digest(tmp_path / "runs/toy") == digest(tmp_path / "alone/toy")
        shutil.rmtree(tmp_path / "runs")


def test_killed_while_it_is_scored_it_is_not_trained_again(config, tmp_path, monkeypatch):
    expected = undisturbed(config, tmp_path)
    interrupted(monkeypatch, config, "test_step", 1)
    assert (tmp_path / "runs/toy/1-mnli/TRAINED").is_file()
    with monkeypatch.context() as patch:
        at(patch, "training_step", 4, killed)  # the second stage has three batches
        results = run(config)
    assert digest(tmp_path / "runs/toy") == expected
    assert results.where(stage="mnli").rows[0].steps == 12
    assert results.where(stage="mnli").rows[0].selected.startswith("best val/mnli/accuracy/en")


def test_killed_before_it_was_marked_as_done_its_scores_stand_once(config, tmp_path, monkeypatch):
    alone = len(run({**config, "out_dir": str(tmp_path / "alone")}))
    with monkeypatch.context() as patch:
        patch.setattr("xtransfer.training.log_settings", lambda *_: killed())
        with pytest.raises(Killed):
            run(config)
    file = tmp_path / "runs/toy/results.jsonl"
    assert 0 < len(Results.load(file)) < alone  # of the first stage
    run(config)
    assert len(Results.load(file)) == alone


def test_what_a_mix_was_made_of_is_known_though_it_was_killed_while_scored(config, tmp_path, monkeypatch):
    config["stages"] = {"mixed": {"data": MIX, "trainer": {"max_epochs": 1}}}
    alone = run({**config, "out_dir": str(tmp_path / "alone")}).rows[0].training
    assert alone["tasks"] == 3
    interrupted(monkeypatch, config, "test_step", 1)
    assert run(config).rows[0].training == alone
    config["stages"] = {"mixed": {"data": {"class_path": "MNLI"}}}  # another stage of that name in its place
    assert run(config).rows[0].training == {}


def test_scores_are_those_of_the_undisturbed_run(config, tmp_path, monkeypatch):
    alone = run({**config, "out_dir": str(tmp_path / "alone")})
    interrupted(monkeypatch, config, "training_step", 8)
    again = run(config)

    def told(results: Results):
        return [(r.stage, r.task, r.language, r.split, r.metric, r.value, r.n, r.steps, r.selected) for r in results]

    assert told(again) == told(alone)


def test_snapshots_are_few_and_go_with_the_end(config, tmp_path, monkeypatch):
    settings(config, checkpoint__every_steps=1)
    interrupted(monkeypatch, config, "training_step", 8)
    folder = tmp_path / "runs/toy/1-mnli/checkpoints"
    assert [path.name for path in snapshots(folder)] == ["step-00000006.ckpt", "step-00000007.ckpt"]
    run(config)
    assert not snapshots(folder)
    assert not list((tmp_path / "runs/toy").rglob("*.tmp"))


def test_where_the_last_model_is_kept_there_are_snapshots_alone(config, tmp_path, monkeypatch):
    settings(config, checkpoint__every_steps=2)
    interrupted(monkeypatch, {**config, "select": "last"}, "training_step", 8)
    folder = tmp_path / "runs/toy/1-mnli/checkpoints"
    assert sorted((tmp_path / "runs/toy").rglob("*.ckpt")) == snapshots(folder)
    run({**config, "select": "last"})
    assert not list((tmp_path / "runs/toy").rglob("*.ckpt"))


def test_the_learning_curve_is_whole(config, tmp_path, monkeypatch):
    config["trainer"] |= {"log_every_n_steps": 1}
    del config["trainer"]["logger"]
    config["stages"] = {"mnli": config["stages"]["mnli"]}
    run({**config, "out_dir": str(tmp_path / "alone")})
    interrupted(monkeypatch, config, "training_step", 6)
    interrupted(monkeypatch, config, "training_step", 5)
    run(config)
    alone, again = (read_curves(tmp_path / name / "toy/1-mnli") for name in ("alone", "runs"))
    assert [step for step, _ in alone.losses["mnli"]] == list(range(12))
    assert again == alone


# ------------------------------------------------------------------ signals
@pytest.mark.parametrize(
    ("number", "error"), [(signal.SIGTERM, Stopped), (signal.SIGINT, KeyboardInterrupt)], ids=["SIGTERM", "SIGINT"]
)
@pytest.mark.parametrize(("place", "when"), [("training_step", 5), ("validation_step", 2)])
def test_a_signal_leaves_a_snapshot(config, tmp_path, monkeypatch, number, error, place, when):
    settings(config, checkpoint__every_steps=1000)
    expected = undisturbed(config, tmp_path)
    before = signal.getsignal(number)
    interrupted(monkeypatch, config, place, when, lambda: os.kill(os.getpid(), number), error)
    assert signal.getsignal(number) is before
    (snapshot,) = snapshots(tmp_path / "runs/toy/1-mnli/checkpoints")
    assert snapshot.name == ("step-00000005.ckpt" if place == "training_step" else "step-00000003.ckpt")
    run(config, resume="must")
    assert digest(tmp_path / "runs/toy") == expected


def test_the_exit_status_says_why(config, monkeypatch):
    with monkeypatch.context() as patch:
        at(patch, "training_step", 3, lambda: os.kill(os.getpid(), signal.SIGTERM))
        with pytest.raises(SystemExit) as stopped:
            run(config)
    assert stopped.value.code == 143


def test_a_second_interrupt_stops_at_once(config, tmp_path, monkeypatch):
    def twice() -> None:
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)

    settings(config, checkpoint__every_steps=1000)
    interrupted(monkeypatch, config, "training_step", 5, twice, KeyboardInterrupt)
    assert not snapshots(tmp_path / "runs/toy/1-mnli/checkpoints")


def test_under_slurm_the_job_is_put_back_into_the_queue(config, tmp_path, monkeypatch):
    program = tmp_path / "bin" / "scontrol"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\necho $@ >> {tmp_path}/asked\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    monkeypatch.setenv("SLURM_JOB_ID", "77")
    config["trainer"]["plugins"] = [{"class_path": "lightning.pytorch.plugins.environments.LightningEnvironment"}]
    with monkeypatch.context() as patch:
        at(patch, "training_step", 4, lambda: os.kill(os.getpid(), signal.SIGUSR1))
        with pytest.raises(Stopped) as stopped:
            run(config, on_preempt="requeue")
    assert stopped.value.code == 128 + signal.SIGUSR1
    assert (tmp_path / "asked").read_text() == "requeue 77\n"
    assert snapshots(tmp_path / "runs/toy/1-mnli/checkpoints")


# ------------------------------------------------------------------ what has changed meanwhile
def test_another_configuration_is_shown_and_refused(config, tmp_path, monkeypatch):
    interrupted(monkeypatch, config, "training_step", 8)
    changed = {**config, "model": {**config["model"], "lr": 5e-3, "dropout": None}}
    with pytest.raises(ConfigError) as refused:
        run(changed)
    told = str(refused.value)
    assert "stage 'mnli' was begun with another configuration (before -> now):" in told
    assert "config.model.lr: 0.01 -> 0.005" in told
    assert "config.model.dropout: 0.2 -> None" in told
    assert "--resume never" in told
    assert "--allow_config_change" in told
    assert snapshots(tmp_path / "runs/toy/1-mnli/checkpoints")  # nothing was touched
    run(config)  # undoing the change is enough


def test_a_change_may_be_allowed_or_the_stage_begun_anew(config, tmp_path, monkeypatch):
    changed = {**config, "model": {**config["model"], "lr": 5e-3}}
    expected = undisturbed(changed, tmp_path)
    interrupted(monkeypatch, config, "training_step", 8)
    run(changed, resume="never")
    assert digest(tmp_path / "runs/toy") == expected
    shutil.rmtree(tmp_path / "runs")
    interrupted(monkeypatch, config, "training_step", 8)
    run(changed, allow_config_change=True)
    assert digest(tmp_path / "runs/toy") != expected


def test_after_a_change_the_best_model_is_not_of_the_course_given_up(config, tmp_path, monkeypatch):
    """The best model lies in one file, which may be newer than the snapshot that a run goes on from."""
    from xtransfer.metrics import Accuracy

    scores = iter([90.0, 80.0, 70.0, 60.0, 50.0, 40.0, 30.0, 20.0, 10.0])
    monkeypatch.setattr(Accuracy, "_scores", lambda self, rows: {"accuracy": next(scores)})
    config["stages"] = {"mnli": config["stages"]["mnli"]}
    settings(config, checkpoint__every_steps=4)
    interrupted(monkeypatch, config, "training_step", 8)  # looked at after 3 and 6 steps, snapshot after 4
    changed = {**config, "model": {**config["model"], "lr": 5e-3}}
    row = run(changed, allow_config_change=True).where(split="test").rows[0]
    assert row.selected == "best val/mnli/accuracy/en 70.00 at step 6"


def test_another_number_of_processes_is_refused(config, tmp_path, monkeypatch):
    interrupted(monkeypatch, config, "training_step", 8)
    noted = tmp_path / "runs/toy/1-mnli/checkpoints/begun.json"
    noted.write_text(noted.read_text().replace('"world_size": 1', '"world_size": 4'))
    with pytest.raises(ConfigError, match="processes: 4 -> 1"):
        run(config)


def test_other_versions_are_told(config, tmp_path, monkeypatch, caplog):
    interrupted(monkeypatch, config, "training_step", 8)
    noted = tmp_path / "runs/toy/1-mnli/checkpoints/begun.json"
    text = noted.read_text()
    noted.write_text(text.replace('"torch": "', '"torch": "1.', 1))
    with caplog.at_level(logging.WARNING):
        run(config)
    assert "not promised to the bit, for versions differ: torch: '1." in caplog.text


def test_there_must_be_something_to_go_on_from(config, monkeypatch):
    with pytest.raises(ConfigError, match="--resume must: nothing to go on from in .*toy"):
        run(config, resume="must")
    interrupted(monkeypatch, config, "training_step", 14)  # the first stage is done, of the second there is no snapshot
    run(config, resume="must")
    run(config, resume="must")  # all is done: nothing is wrong


# ------------------------------------------------------------------ damage
def test_a_damaged_snapshot_is_passed_over_loudly(config, tmp_path, monkeypatch, caplog):
    settings(config, checkpoint__every_steps=1)
    expected = undisturbed(config, tmp_path)
    interrupted(monkeypatch, config, "training_step", 8)
    older, newer = snapshots(tmp_path / "runs/toy/1-mnli/checkpoints")
    content = bytearray(newer.read_bytes())
    content[len(content) // 2] ^= 1
    newer.write_bytes(content)
    with pytest.raises(DataError, match=r"step-00000007.ckpt: the checkpoint is damaged"):
        run(config, resume="must")
    with caplog.at_level(logging.INFO):
        run(config)
    assert "the checkpoint is damaged; take an older one, or train the stage anew; trying the one before" in caplog.text
    assert f"going on from {older}" in caplog.text
    assert digest(tmp_path / "runs/toy") == expected


def test_if_all_are_damaged_nothing_is_done(config, tmp_path, monkeypatch):
    settings(config, checkpoint__every_steps=1)
    interrupted(monkeypatch, config, "training_step", 8)
    for snapshot in snapshots(tmp_path / "runs/toy/1-mnli/checkpoints"):
        snapshot.write_bytes(b"")
    with pytest.raises(DataError, match="all snapshots are damaged.*begin anew with --resume never"):
        run(config)
