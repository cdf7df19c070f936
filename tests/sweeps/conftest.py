"""The sweep that the tests of this folder run: an intermediate task or none, then question answering."""

from __future__ import annotations

from pathlib import Path

import pytest

DATA = Path(__file__).parents[1] / "data"


@pytest.fixture
def config(tiny_encoder, tmp_path):
    """MNLI, then XNLI's rows, a step each."""
    return {
        "name": "toy",
        "seed_everything": 3,
        "model": {"encoder": str(tiny_encoder), "lr": 1e-2},
        "trainer": {"accelerator": "cpu", "max_steps": 1, "logger": False, "enable_progress_bar": False},
        "data": {"init_args": {"data_dir": str(DATA), "batch_size": 2, "cache_dir": str(tmp_path / "cache")}},
        "stages": {
            "before": {"data": {"class_path": "MNLI"}, "trainer": {"max_steps": 2}},
            "target": {"data": {"class_path": "XNLI", "init_args": {"languages": ["en", "de"]}}},
        },
    }
