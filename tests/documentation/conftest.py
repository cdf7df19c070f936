"""A folder that has small stand-ins for what the documentation names: runs, data, encoders."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import yaml

from tests.documentation.pages import ROOT
from xtransfer.config import read

RUNS = (
    *("runs/phang2020/mnli", "runs/phang2020/none", "runs/forgetting", "runs/none", "runs/mnli"),
    *("runs/demo-seeds/seed1", "sweeps/first", "sweeps/phang2020", "sweeps/small"),
)
"""Runs that the pages name, each a copy of the one that is trained here."""

FOLDERS = (
    *("labels", "alignment", "runs/mnli/2-xnli", "runs/none/1-xnli", "runs/zero_shot_xnli/1-mnli/predictions"),
    "runs/mnli_then_tydiqa/3-tydiqa_alone",
)


@pytest.fixture(scope="session")
def stand_ins(tiny_encoder, tmp_path_factory) -> Path:
    """The README's run, with a random encoder and one step a stage, below ``runs/``; ``data`` holds the tests' rows."""
    from xtransfer.pipeline import run

    place = tmp_path_factory.mktemp("reader")
    for name in ("data", "DATA", "DIR"):
        (place / name).symlink_to(ROOT / "tests" / "data")
    for name in ("xlm-roberta-base", "xlm-roberta-large", "my-encoder"):
        (place / name).symlink_to(tiny_encoder)
    settings = {
        "out_dir": str(place / "runs"),
        "model.encoder": str(tiny_encoder),
        "data.data_dir": str(ROOT / "tests" / "data"),
        "data.cache_dir": str(place / "cache"),
        "data.batch_size": 2,
        "trainer.max_steps": 1,
        "trainer.accelerator": "cpu",
        "trainer.logger": False,
        "trainer.enable_progress_bar": False,
        "stages.tydiqa.data.languages": ["en", "ru"],
    }
    run(read(["mnli_then_tydiqa.yaml"], list(settings.items())))
    write_demo(place, tiny_encoder)
    for name in RUNS:
        shutil.copytree(place / "runs" / "mnli_then_tydiqa", place / name)
    for name in FOLDERS:
        (place / name).mkdir(parents=True, exist_ok=True)
    return place


def write_demo(place: Path, encoder: Path) -> None:
    """Write a ``demo.yaml`` that is the shipped one on four rows a task, with another encoder."""
    small = [("model.encoder", str(encoder)), ("model.freeze_layers", 0), ("data.limit", 4), ("trainer.logger", False)]
    stages = {
        stage.name: {**stage.config, "init": stage.start and {"from": stage.start}, "select": stage.select}
        for stage in read(["demo.yaml"], small).stages
    }
    (place / "demo.yaml").write_text(yaml.safe_dump({"stages": stages}, sort_keys=False), encoding="utf-8")


@pytest.fixture
def reader(stand_ins, monkeypatch) -> Path:
    """That folder as the working directory, in which nobody else's cache or store is used."""
    monkeypatch.chdir(stand_ins)
    monkeypatch.setenv("XTRANSFER_CACHE", str(stand_ins / "cache"))
    return stand_ins
