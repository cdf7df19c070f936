"""A loss or a score that is no number stops the run, and says where."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from xtransfer.errors import DataError
from xtransfer.module import TransferModule
from xtransfer.pipeline import run
from xtransfer.snapshots import snapshots


@pytest.fixture
def config(config):
    """Two epochs, with a snapshot before every step."""
    config["checkpoint"]["every_steps"] = 1
    config["trainer"]["max_epochs"] = 2
    return config


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("batch", [2, 3, 6], ids=["within", "before a validation", "last"])
def test_a_loss_that_is_no_number_stops_the_run(config, tmp_path, monkeypatch, value, batch):
    original, calls = TransferModule.training_step, []

    def step(self, given, number):
        calls.append(given["index"])
        loss = original(self, given, number)
        return loss * value if len(calls) == batch else loss

    monkeypatch.setattr(TransferModule, "training_step", step)
    with pytest.raises(DataError) as stopped:
        run(config)
    told = str(stopped.value)
    assert f"task 'mnli' (en), step {batch}, examples {calls[batch - 1][0]}: the loss is {value}" in told
    assert len(calls) == batch
    left = snapshots(tmp_path / "runs/toy/1-mnli/checkpoints")
    assert [int(path.stem.split("-")[1]) for path in left] == list(range(1, batch))[-2:]
    assert f"The last good snapshot is {left[-1]}" in told
    for path in left:
        state = torch.load(path, weights_only=True)["state_dict"]
        assert all(tensor.isfinite().all() for tensor in state.values())


def test_weights_that_are_no_numbers_enter_no_snapshot(config, tmp_path, monkeypatch):
    """The loss may be finite where its gradient is not."""

    def spoil(self, optimizer):
        if self.trainer.global_step == 2:
            next(self.encoder.parameters()).grad.fill_(float("inf"))

    monkeypatch.setattr(TransferModule, "on_before_optimizer_step", spoil)
    with pytest.raises(DataError, match=r"step 3: the weights encoder\..* are not finite; no snapshot is written"):
        run(config)
    left = snapshots(tmp_path / "runs/toy/1-mnli/checkpoints")
    assert [path.name for path in left] == ["step-00000001.ckpt", "step-00000002.ckpt"]


def test_a_score_that_is_no_number_is_never_the_best(config, tmp_path, monkeypatch):
    from xtransfer.metrics import Accuracy

    monkeypatch.setattr(Accuracy, "_scores", lambda self, rows: {"accuracy": float("nan")})
    with pytest.raises(DataError, match=r"val/mnli/en: the score 'accuracy' is nan"):
        run(config)
    assert not (tmp_path / "runs/toy/1-mnli/checkpoints/best.ckpt").exists()


def test_a_run_folder_has_one_owner(config, tmp_path):
    from xtransfer.errors import ConfigError
    from xtransfer.lock import locked

    with locked(tmp_path / "runs/toy"):
        code = f"""
from pathlib import Path
from xtransfer.lock import locked
with locked(Path({str(tmp_path / "runs/toy")!r})): pass
"""
        import os
        import subprocess
        import sys

        root = Path(__file__).parents[2]
        done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=False)
        assert done.returncode == 1
        last = done.stderr.strip().splitlines()[-1]
        assert f"is in use by process {os.getpid()} on " in last
        assert "give this run another --name" in last
    with locked(tmp_path / "runs/toy"):  # free again
        pass
    holder = subprocess.Popen(
        [sys.executable, "-c", code.replace("pass", "print('held', flush=True); import time; time.sleep(60)")],
        cwd=root,
        stdout=subprocess.PIPE,
    )
    holder.stdout.readline()
    with pytest.raises(ConfigError, match=f"is in use by process {holder.pid}"):
        run(config)
    holder.kill()
    holder.wait()
    run(config)  # the lock of the dead is free
