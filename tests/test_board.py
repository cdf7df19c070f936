"""What TensorBoard is told of a stage, read back from its files."""

from __future__ import annotations

from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

from xtransfer.module import TransferModule
from xtransfer.pipeline import run

DATA = Path(__file__).parent / "data"


@pytest.fixture
def told(tiny_encoder, tmp_path, monkeypatch):
    """A mix of two tasks, four steps, each logged; the events, the results, and the gradients there were."""
    norms = []
    original = TransferModule.on_before_optimizer_step

    def watch(self, optimizer):
        original(self, optimizer)
        norms.append(sum(float(p.grad.square().sum()) for p in self.parameters() if p.grad is not None) ** 0.5)

    monkeypatch.setattr(TransferModule, "on_before_optimizer_step", watch)
    files = {"data_dir": str(DATA), "cache_dir": str(tmp_path / "cache")}
    data = {"tasks": [{"class_path": "MNLI"}, {"class_path": "QQP"}], "steps": 4, "batch_size": 2, **files}
    trainer = {"accelerator": "cpu", "log_every_n_steps": 1, "enable_progress_bar": False, "gradient_clip_val": 0.01}
    config = {
        "name": "toy",
        "out_dir": str(tmp_path / "runs"),
        "model": {"encoder": str(tiny_encoder), "lr": 1e-3},
        "trainer": trainer,
        "data": {"class_path": "MultiTask", "init_args": data},
    }
    results = run(config)
    events = EventAccumulator(str(next((tmp_path / "runs/toy").glob("1-*")) / "tensorboard"))
    return events.Reload(), results, norms


def scalars(events, prefix):
    found = [
        (e.step, name, e.value)
        for name in events.Tags()["scalars"]
        if name.startswith(prefix)
        for e in events.Scalars(name)
    ]
    return sorted(found)


def test_gradient_norms_are_those_before_clipping(told):
    events, _, norms = told
    found = scalars(events, "gradients/")
    assert [value for *_, value in found] == pytest.approx(norms, rel=1e-4)
    assert {name for _, name, _ in found} <= {"gradients/mnli/norm", "gradients/qqp/norm"}
    assert len({name for _, name, _ in found}) == 2


def test_shares_of_the_mix(told):
    events, _, _ = told
    shares = {name: value for _, name, value in scalars(events, "mix/")}
    assert shares.keys() == {"mix/mnli/en/share", "mix/qqp/en/share"}
    assert sum(shares.values()) == pytest.approx(1)


def test_settings_stand_with_the_final_scores(told):
    events, results, _ = told
    data = HParamsPluginData.FromString(events.SummaryMetadata("_hparams_/session_start_info").plugin_data.content)
    assert data.session_start_info.hparams["lr"].number_value == 1e-3
    final = {name: value for _, name, value in scalars(events, "final/")}
    main = [row for row in results if row.main and row.split == "test"]
    assert final.keys() == {f"final/{row.task}/{row.metric}" for row in main}
    for name, value in final.items():
        rows = [row.value for row in main if f"final/{row.task}/{row.metric}" == name]
        assert value == pytest.approx(sum(rows) / len(rows), rel=1e-5)


def test_scores_by_task_and_language(told):
    events, _, _ = told
    assert "val/mnli/accuracy/en" in events.Tags()["scalars"]
