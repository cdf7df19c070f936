"""The run that the tests of this folder interrupt and damage."""

from __future__ import annotations

from pathlib import Path

import pytest

DATA = Path(__file__).parents[1] / "data"


@pytest.fixture
def config(tiny_encoder, tmp_path):
    """One stage of 4 epochs of 3 batches, with dropout, the best model kept; validations have 3 batches too."""
    few = {"batch_size": 1, "eval_batch_size": 1}
    return {
        "name": "toy",
        "out_dir": str(tmp_path / "runs"),
        "seed_everything": 3,
        "checkpoint": {"every_steps": 1000},
        "model": {"encoder": str(tiny_encoder), "lr": 1e-2, "dropout": 0.2},
        "trainer": {"accelerator": "cpu", "enable_progress_bar": False, "logger": False, "max_epochs": 4},
        "data": {"init_args": {"data_dir": str(DATA), "cache_dir": str(tmp_path / "cache"), **few}},
        "stages": {"mnli": {"data": {"class_path": "MNLI"}}},
    }
