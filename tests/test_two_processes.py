"""A run in two processes scores, predicts and learns what one process does."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from xtransfer.results import Results

ROOT = Path(__file__).resolve().parents[1]
CONFIG = """\
# Two stages on three rows each without any learning, then a mix of tasks of three heads.
trainer: {accelerator: cpu, enable_progress_bar: false, logger: false}
data: {init_args: {data_dir: DATA, batch_size: 2}}
checkpoint: {every_steps: 2}  # written by the first process while both train
stages:
  mnli: {data: {class_path: MNLI}, model: {lr: 0.0, layer: 1}, trainer: {max_steps: 2}} # the layer above has no part
  qa: {data: {class_path: TyDiQA, init_args: {languages: [en, ru]}}, model: {lr: 0.0}, trainer: {max_steps: 2}}
  mixed:
    init: null
    model: {lr: 1.0e-3, weight_decay: 0.1, dropout: 0.2}
    data:
      class_path: MultiTask
      init_args:
        data_dir: DATA
        batch_size: 1
        steps: 7
        sampling: uniform
        splits: {test: validation}
        tasks: [MNLI, SQuAD, CommonsenseQA]
"""


def test_two_processes_equal_one(tiny_encoder, tmp_path):
    (tmp_path / "toy.yaml").write_text(CONFIG.replace("DATA", str(ROOT / "tests" / "data")))
    outputs = {}
    for processes, strategy in ((1, "auto"), (2, "ddp")):
        command = [sys.executable, "-m", "xtransfer.cli", "fit", "--config", str(tmp_path / "toy.yaml")]
        command += ["--model.encoder", str(tiny_encoder), "--out_dir", str(tmp_path / strategy)]
        command += ["--trainer.devices", str(processes), "--trainer.strategy", strategy]
        command += ["--stages.mixed.trainer.accumulate_grad_batches", str(2 // processes)]  # the same effective batch
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "XTRANSFER_CACHE": str(tmp_path / "cache")}
        done = subprocess.run(
            command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=240, check=False
        )
        assert done.returncode == 0, done.stderr[-3000:]
        outputs[strategy] = done.stdout
        assert done.stdout.count("tydiqa: f1 in percent") == 1  # only one process prints

    def rows(strategy, learning):
        return [row for row in Results.load(tmp_path / strategy / "toy") if (row.stage == "mixed") == learning]

    def told(row):
        return (row.stage, row.task, row.split, row.language, row.metric, row.n, row.steps)

    for learning in (False, True):
        one, two = rows("auto", learning), rows("ddp", learning)
        assert list(map(told, two)) == list(map(told, one))
        assert [row.value for row in two] == pytest.approx([row.value for row in one], abs=1e-5 if learning else 0)
    facts = [rows(strategy, True)[0].training for strategy in ("auto", "ddp")]
    assert facts[0] == facts[1]  # as many steps of each task, and as many examples
    one, two = (
        {
            f"{file.parent.name}/{name}": tensor
            for file in (tmp_path / strategy / "toy/3-mixed").rglob("*.safetensors")
            for name, tensor in load_file(file).items()
        }
        for strategy in ("auto", "ddp")
    )
    assert one.keys() == two.keys()
    for name in one:
        torch.testing.assert_close(two[name], one[name], rtol=0, atol=1e-5, msg=name)
    files = sorted(path.relative_to(tmp_path / "auto") for path in (tmp_path / "auto").rglob("predictions/*/*"))
    files = [file for file in files if "mixed" not in str(file)]
    assert len(files) == 3
    for file in files:
        assert (tmp_path / "ddp" / file).read_text() == (tmp_path / "auto" / file).read_text()
