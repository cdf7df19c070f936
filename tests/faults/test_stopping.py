"""A run is stopped in awkward places, or found changed on the disk, and still ends as it should."""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
from itertools import count
from pathlib import Path

import pytest
import yaml

from xtransfer import checkpoints
from xtransfer.checkpoints import CheckedFiles
from xtransfer.errors import DataError
from xtransfer.lock import locked
from xtransfer.module import TransferModule
from xtransfer.pipeline import run
from xtransfer.snapshots import snapshots
from xtransfer.stopping import Stopped


class Killed(BaseException):
    """What no code of ours expects."""


def stage(tmp_path) -> Path:
    return tmp_path / "runs/toy/1-mnli"


def digest(folder: Path) -> dict[str, str]:
    files = sorted(folder.rglob("*.safetensors"))
    return {str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def undisturbed(config, tmp_path):
    """Return the weights of the same run, left alone, and which model it kept."""
    results = run({**config, "out_dir": str(tmp_path / "alone")})
    return digest(tmp_path / "alone/toy"), results.rows[0].selected


def at(monkeypatch, place: str, number: int, act, after: bool = False) -> None:
    """Act when a method of the module is called for the n-th time, counted from 1."""
    calls, original = count(1), getattr(TransferModule, place)

    def hooked(self, *args, **kwargs):
        now = next(calls) == number
        if now and not after:
            act()
        found = original(self, *args, **kwargs)
        if now and after:
            act()
        return found

    monkeypatch.setattr(TransferModule, place, hooked)


def killed() -> None:
    raise Killed


def terminate() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


def terminate_all() -> None:
    """Signal the workers first, then the run itself, as a scheduler does that signals every process of a job."""
    workers = multiprocessing.active_children()
    assert len(workers) == 2
    for worker in workers:
        os.kill(worker.pid, signal.SIGTERM)
        os.kill(worker.pid, signal.SIGINT)
    terminate()


def lost() -> None:
    """Lose the exception of the handler, as a finalizer does in which it happens to be raised."""
    with pytest.raises(Stopped):
        terminate()


def broken() -> None:
    """Break something by the exception of the handler."""
    try:
        terminate()
    except Stopped as error:
        raise RuntimeError("half torn down") from error


def test_workers_leave_signals_to_the_run(config, tmp_path, monkeypatch):
    config["data"]["init_args"]["num_workers"] = 2
    config["trainer"]["limit_val_batches"] = 0
    expected, _ = undisturbed(config, tmp_path)
    with monkeypatch.context() as patch:
        at(patch, "training_step", 5, terminate_all)
        with pytest.raises(Stopped) as stopped:
            run(config)
    assert stopped.value.code == 143
    assert [path.name for path in snapshots(stage(tmp_path) / "checkpoints")] == ["step-00000005.ckpt"]
    config["data"]["init_args"]["num_workers"] = 0  # it makes no difference
    run(config, resume="must")
    assert digest(tmp_path / "runs/toy") == expected


def test_a_fault_in_a_validation_leaves_no_worker_that_is_waited_for(config):
    config["data"]["init_args"]["num_workers"] = 2
    config["trainer"]["callbacks"] = [{"class_path": "tests.faults.faulty.Faulty"}]
    done = subprocess.run(
        [sys.executable, "-c", "import sys, yaml; from xtransfer.pipeline import run; run(yaml.safe_load(sys.stdin))"],
        input=yaml.safe_dump(config),
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 1
    assert "RuntimeError: out of memory, say" in done.stderr


@pytest.mark.parametrize("act", [terminate, lost, broken])
def test_stopped_while_it_is_scored(config, tmp_path, monkeypatch, act):
    config["trainer"]["max_epochs"] = 1
    config["data"]["init_args"]["languages"] = ["en", "de"]
    config["stages"] = {"xnli": {"data": {"class_path": "XNLI"}}}
    with monkeypatch.context() as patch:
        at(patch, "test_step", 1, act)
        with pytest.raises(Stopped) as stopped:
            run(config)
    assert stopped.value.code == 143
    folder = tmp_path / "runs/toy/1-xnli"
    assert (folder / "TRAINED").is_file()
    assert not (folder / "DONE").exists()
    with monkeypatch.context() as patch:
        at(patch, "training_step", 1, killed)  # it is only scored
        assert len(run(config).where(split="test")) == 2
    assert (folder / "DONE").is_file()


def test_a_fault_of_the_last_snapshot_is_told(config, tmp_path, monkeypatch):
    """A stop is no excuse for a snapshot that could not be written."""
    at(monkeypatch, "training_step", 5, terminate)
    original = checkpoints.os.replace

    def refused(source, target):
        if Path(target).name.startswith("step-"):
            raise PermissionError(13, "Permission denied", str(target))
        original(source, target)

    monkeypatch.setattr(checkpoints.os, "replace", refused)
    with pytest.raises(DataError, match=r"step-00000005.ckpt: the checkpoint cannot be written .*Permission denied"):
        run(config)
    assert not snapshots(stage(tmp_path) / "checkpoints")


def test_a_folder_that_was_moved_keeps_its_best_model(config, tmp_path, monkeypatch):
    """The best model is that of the first epoch, before the snapshot."""
    config["checkpoint"] = {"every_steps": 2}
    falling = count()
    from xtransfer.metrics import Accuracy

    monkeypatch.setattr(Accuracy, "_scores", lambda self, rows: {"accuracy": 100.0 - next(falling)})
    expected, selected = undisturbed(config, tmp_path)
    assert selected.endswith("at step 3")
    falling = count()
    with monkeypatch.context() as patch:
        at(patch, "training_step", 8, killed)
        with pytest.raises(Killed):
            run(config)
    shutil.move(tmp_path / "runs", tmp_path / "moved")
    results = run({**config, "out_dir": str(tmp_path / "moved")}, resume="must")
    assert results.rows[0].selected == selected
    assert digest(tmp_path / "moved/toy") == expected


def test_the_mark_of_trained_weights_goes_before_they_are_replaced(config, tmp_path, monkeypatch):
    config["trainer"]["max_epochs"] = 1
    other = {**config, "model": {**config["model"], "lr": 1e-3}}
    expected, _ = undisturbed(config, tmp_path)
    for changed, place, after in ((config, "test_step", False), (other, "save_parts", True)):
        with monkeypatch.context() as patch:
            at(patch, place, 1, killed, after)
            with pytest.raises(Killed):
                run({**changed, "stages": {"mnli": {"data": {"class_path": "MNLI"}}}}, resume="never")
    run(config)
    assert digest(tmp_path / "runs/toy") == expected


def test_an_exchange_that_is_interrupted_twice_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "best.ckpt"
    CheckedFiles().save_checkpoint({"step": 1}, path)
    original = checkpoints.os.replace

    def interrupted(source, target):
        if Path(target) == path:
            raise Killed
        original(source, target)

    for step in (2, 3):
        with monkeypatch.context() as patch:
            patch.setattr(checkpoints.os, "replace", interrupted)
            with pytest.raises(Killed):
                CheckedFiles().save_checkpoint({"step": step}, path)
        assert CheckedFiles().load_checkpoint(path)["step"] == 1
    CheckedFiles().save_checkpoint({"step": 4}, path)
    assert CheckedFiles().load_checkpoint(path)["step"] == 4
    assert len(path.with_name("best.ckpt.sha256").read_text().splitlines()) == 1


@pytest.mark.parametrize("name", ["LOCAL_RANK", "RANK", "SLURM_PROCID", "NODE_RANK"])
def test_of_processes_that_train_together_the_first_takes_the_lock(tmp_path, monkeypatch, name):
    with locked(tmp_path):
        monkeypatch.setenv(name, "1")
        with locked(tmp_path):  # would be refused to another run
            pass
