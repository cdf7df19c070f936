"""Checkpoints that are written while training goes on are those that would have been written before it did."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections import OrderedDict
from itertools import count
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from xtransfer import checkpoints
from xtransfer.background import Copies, Writer, tensors
from xtransfer.checkpoints import CheckedFiles
from xtransfer.errors import DataError
from xtransfer.module import TransferModule
from xtransfer.pipeline import run
from xtransfer.snapshots import Snapshots, snapshots
from xtransfer.stopping import Stopped

ROOT = Path(__file__).parents[2]


@pytest.fixture
def config(config):
    """A snapshot before the fifth and the ninth of twelve batches."""
    config["checkpoint"] = {"every_steps": 4}
    return config


@pytest.fixture
def folder(tmp_path) -> Path:
    return tmp_path / "runs/toy/1-mnli/checkpoints"


def digest(folder: Path) -> dict[str, str]:
    files = sorted(folder.rglob("*.safetensors"))
    return {str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def undisturbed(config, tmp_path) -> dict[str, str]:
    """Return the weights of the same run, left alone and without a second thread."""
    run({**config, "out_dir": str(tmp_path / "alone"), "checkpoint": {"every_steps": 4, "background": False}})
    return digest(tmp_path / "alone/toy")


def at(monkeypatch, number: int, act) -> list[int]:
    """Act on the module when it is given its n-th training batch, counted from 1; return the list of their numbers."""
    calls, original, seen = count(1), TransferModule.training_step, []

    def hooked(self, *args):
        seen.append(next(calls))
        if seen[-1] == number:
            act(self)
        return original(self, *args)

    monkeypatch.setattr(TransferModule, "training_step", hooked)
    return seen


def before_the_disk(monkeypatch, act) -> None:
    """Act on a checkpoint's name when all of it is written, and before it comes into its place."""
    original = checkpoints._to_disk

    def hooked(file):
        name = Path(file.name).name
        if ".ckpt." in name and "sha256" not in name:
            act(name.removeprefix(".").partition(".ckpt")[0])
        original(file)

    monkeypatch.setattr(checkpoints, "_to_disk", hooked)


def files_of(module: TransferModule) -> CheckedFiles:
    return module.trainer.strategy.checkpoint_io


def equal(one, other) -> bool:
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(equal(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(equal, one, other))
    return one == other


# ------------------------------------------------------------------ what is written
def test_it_is_the_state_before_the_step_though_it_is_written_after(config, tmp_path, folder, monkeypatch):
    """The file of step 4 is not opened before the sixth batch."""
    expected, written = undisturbed(config, tmp_path), {}
    for background in (True, False):
        config["checkpoint"]["background"] = background
        with monkeypatch.context() as patch:
            later, original = threading.Event(), checkpoints.write

            def write(path, fill, later=later, original=original, wanted=background):
                if path.name.startswith("step") and wanted:
                    assert later.wait(30)
                original(path, fill)

            def stop(module):
                os.kill(os.getpid(), signal.SIGTERM)

            patch.setattr(checkpoints, "write", write)
            at(patch, 6, lambda module, later=later: later.set())
            at(patch, 7, stop)
            with pytest.raises(Stopped):
                run(config)
        written[background] = CheckedFiles().load_checkpoint(folder / "step-00000004.ckpt")
        run(config, resume="must")
        assert digest(tmp_path / "runs/toy") == expected
        (tmp_path / "runs").rename(tmp_path / f"runs-{background}")
    for name in written[True]:
        assert equal(written[True][name], written[False][name]) or name == "callbacks", name  # which holds paths
    assert written[True]["global_step"] == 4


def test_a_slow_disk_changes_nothing(config, tmp_path, monkeypatch):
    """The best model is read only when it is there: that of the last epoch, unless waiting was forgotten."""
    from xtransfer.metrics import Accuracy

    rising, threads = count(), set()
    monkeypatch.setattr(Accuracy, "_scores", lambda self, rows: {"accuracy": float(next(rising))})
    expected, rising = undisturbed(config, tmp_path), count()

    def slow(checkpoint: str) -> None:
        threads.add((checkpoint, threading.current_thread() is threading.main_thread()))
        time.sleep(0.1)

    before_the_disk(monkeypatch, slow)
    row = run(config).rows[0]
    assert row.selected == "best val/mnli/accuracy/en 3.00 at step 12"
    assert digest(tmp_path / "runs/toy") == expected
    assert threads == {("best", False), ("step-00000004", False), ("step-00000008", False)}


def test_a_copy_shares_nothing_with_its_original_and_memory_only_with_the_copy_before():
    table = torch.arange(6.0).reshape(2, 3)
    weights = OrderedDict(table=table.detach(), tied=table.detach(), turned=table.T, none=torch.zeros(0))
    weights._metadata = {"": {"version": 2}}
    checkpoint = {"state_dict": weights, "moments": [{0: table + 1}], "progress": {"seen": [1, 2]}, "step": 3}
    copies = Copies()
    first = copies.take(checkpoint)
    table.zero_()
    checkpoint["progress"]["seen"].append(3)
    assert first["state_dict"]["table"].tolist() == [[0, 1, 2], [3, 4, 5]]
    assert first["state_dict"]["turned"].tolist() == [[0, 3], [1, 4], [2, 5]]
    assert first["state_dict"]["tied"] is first["state_dict"]["table"]  # and is written once
    assert first["state_dict"]._metadata == {"": {"version": 2}}
    assert first["moments"][0][0].tolist() == [[1, 2, 3], [4, 5, 6]]
    assert (first["progress"], first["step"]) == ({"seen": [1, 2]}, 3)
    places = {place: tensor.data_ptr() for place, tensor in tensors(first)}
    second = copies.take(checkpoint)
    assert second["state_dict"]["table"].count_nonzero() == 0
    assert {place: tensor.data_ptr() for place, tensor in tensors(second)} == places


# ------------------------------------------------------------------ what may happen meanwhile
def test_killed_while_it_is_written_the_one_before_is_gone_on_from(config, tmp_path, folder, caplog):
    expected = undisturbed(config, tmp_path)
    code = f"""
import json, os, pathlib
from xtransfer import checkpoints
from xtransfer.pipeline import run
original = checkpoints._to_disk
def to_disk(file):
    if "step-00000008.ckpt" in str(file.name):
        os._exit(9)
    original(file)
checkpoints._to_disk = to_disk
run(json.loads({json.dumps(config)!r}))
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 9, done.stderr[-2000:]
    (half,) = folder.glob(".step*")
    assert half.name.startswith(".step-00000008.ckpt.")
    with caplog.at_level(logging.INFO):
        run(config, resume="must")
    assert f"going on from {folder / 'step-00000004.ckpt'}" in caplog.text
    assert digest(tmp_path / "runs/toy") == expected
    assert not list(folder.glob(".step*"))


def test_a_full_disk_stops_the_run_at_the_next_step(config, tmp_path, folder, monkeypatch):
    expected = undisturbed(config, tmp_path)

    def full(checkpoint: str) -> None:
        if checkpoint == "step-00000008":
            raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        before_the_disk(patch, full)
        seen = at(patch, 9, lambda module: files_of(module).wait())
        with pytest.raises(DataError) as stopped:
            run(config)
    told = str(stopped.value)
    assert told.startswith(f"stage 'mnli': {folder / 'step-00000008.ckpt'}: the checkpoint cannot be written (")
    assert "No space left on device" in told
    assert "bytes are free there, at least" in told
    assert told.endswith("give the same command again: the stage goes on from its last snapshot")
    assert seen[-1] == 9
    assert [path.name for path in snapshots(folder)] == ["step-00000004.ckpt"]
    run(config, resume="must")
    assert digest(tmp_path / "runs/toy") == expected


def test_a_best_model_that_cannot_be_written_is_told_at_the_end_too(config, monkeypatch):
    """No step follows the last validation."""

    def full(checkpoint: str) -> None:
        if checkpoint == "best":
            raise OSError(28, "No space left on device")

    config["trainer"]["max_epochs"] = 1
    before_the_disk(monkeypatch, full)
    with pytest.raises(DataError, match=r"stage 'mnli': .*best.ckpt: the checkpoint cannot be written"):
        run(config)


def test_a_signal_waits_for_the_file_and_leaves_the_newest_state(config, tmp_path, folder, monkeypatch, caplog):
    gate, order, wait = threading.Event(), [], Writer.wait

    def waiting(writer: Writer, why: str = "") -> None:
        if "step-00000006" in why:
            threading.Timer(0.2, gate.set).start()
        wait(writer, why)

    def held(checkpoint: str) -> None:
        if checkpoint == "step-00000004":
            assert gate.wait(30)
        order.append((checkpoint, threading.current_thread() is threading.main_thread()))

    config["trainer"]["limit_val_batches"] = 0
    expected = undisturbed(config, tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(Writer, "wait", waiting)
        before_the_disk(patch, held)
        at(patch, 6, lambda module: os.kill(os.getpid(), signal.SIGTERM))
        with pytest.raises(Stopped) as stopped, caplog.at_level(logging.INFO):
            run(config)
    assert stopped.value.code == 143
    assert order == [("step-00000004", False), ("step-00000006", True)]
    told = r"stage 'mnli': step-00000006\.ckpt waited \d+\.\d s until step-00000004\.ckpt was written"
    assert re.search(told, caplog.text)
    assert [path.name for path in snapshots(folder)] == ["step-00000004.ckpt", "step-00000006.ckpt"]
    run(config, resume="must")
    assert digest(tmp_path / "runs/toy") == expected


@pytest.mark.parametrize("first", [True, False], ids=["the one that writes", "another"])
def test_several_processes_stop_together(tmp_path, first):
    """They ask each other every ten steps, since only one of them knows."""
    files = CheckedFiles("mnli", background=True)
    files.fault = "of the first" if first else ""
    strategy = SimpleNamespace(
        checkpoint_io=files,
        reduce_boolean_decision=lambda failed, all: failed or not first,
        broadcast=lambda fault: fault or "of the first",
    )
    trainer = SimpleNamespace(world_size=2, strategy=strategy)
    snapshots = Snapshots(tmp_path, 4, 2, signals=None, facts={})
    snapshots._ask_writer(trainer, 9)
    with pytest.raises(DataError, match="of the first"):
        snapshots._ask_writer(trainer, 10)
