"""A run in two processes scores and predicts what one process does, given the same weights."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from xtransfer.results import Results

ROOT = Path(__file__).resolve().parents[1]
CONFIG = """\
# Two stages on three rows each.
trainer: {accelerator: cpu, max_steps: 2, enable_progress_bar: false, logger: false}
model: {lr: 0.0}
data: {init_args: {data_dir: DATA, batch_size: 2}}
stages:
  mnli: {data: {class_path: MNLI}}
  qa: {data: {class_path: TyDiQA, init_args: {languages: [en, ru]}}}
"""


def test_two_processes_equal_one(tiny_encoder, tmp_path):
    (tmp_path / "toy.yaml").write_text(CONFIG.replace("DATA", str(ROOT / "tests" / "data")))
    outputs = {}
    for processes, strategy in ((1, "auto"), (2, "ddp")):
        command = [sys.executable, "-m", "xtransfer.cli", "fit", "--config", str(tmp_path / "toy.yaml")]
        command += ["--model.encoder", str(tiny_encoder), "--out_dir", str(tmp_path / strategy)]
        command += ["--trainer.devices", str(processes), "--trainer.strategy", strategy]
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "XTRANSFER_CACHE": str(tmp_path / "cache")}
        done = subprocess.run(
            command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=240, check=False
        )
        assert done.returncode == 0, done.stderr[-3000:]
        outputs[strategy] = done.stdout
        assert done.stdout.count("tydiqa: f1 in percent") == 1  # only one process prints

    def scores(strategy):
        rows = Results.load(tmp_path / strategy / "toy")
        return [(row.stage, row.task, row.split, row.language, row.metric, row.value, row.n) for row in rows]

    assert scores("ddp") == scores("auto")
    files = sorted(path.relative_to(tmp_path / "auto") for path in (tmp_path / "auto").rglob("predictions/*/*"))
    assert len(files) == 3
    for file in files:
        assert (tmp_path / "ddp" / file).read_text() == (tmp_path / "auto" / file).read_text()
