"""A real sweep of one small cell: alone, by processes here, by submitit and by ray it gives the same scores."""

from __future__ import annotations

import json
import os
import re
from dataclasses import asdict

import pytest

from xtransfer import cli
from xtransfer.errors import ConfigError
from xtransfer.pipeline import run
from xtransfer.results import Results
from xtransfer.sweeps.engines import engine_of
from xtransfer.sweeps.on_ray import Ray
from xtransfer.sweeps.on_slurm import Slurm
from xtransfer.sweeps.sweeping import sweep

WHERE = ("config_file", "time", "seconds")
"""Fields of a row that say where and when."""
AXES = {"stages.before": [None]}


def told(results: Results) -> list[dict]:
    rows = json.loads(json.dumps([asdict(row) for row in results]))
    return [{key: value for key, value in row.items() if key not in WHERE} for row in rows]


@pytest.fixture(autouse=True)
def one_thread(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


@pytest.fixture
def alone(config, tmp_path):
    """The rows of the cell's stage, run here without a sweep."""
    config["stages"]["before"] = None
    return told(run({**config, "name": "none", "out_dir": str(tmp_path / "alone")}))


def test_a_cell_gives_what_its_run_gives_alone(config, alone, tmp_path, capfd):
    found = sweep(config, AXES, tmp_path / "sweep")
    assert told(found) == alone
    assert found.sweep.values == {"none": {"stages.before": "none"}}
    assert re.search(r"none, done, \d+ s\n1 done\n", capfd.readouterr().err)
    file = tmp_path / "sweep" / "cells" / "none.yaml"
    assert told(run(file)) == alone  # done before, and found
    assert "is in use" not in (tmp_path / "sweep/logs/none.log").read_text()


def test_by_submitit(config, alone, tmp_path):
    pytest.importorskip("submitit", reason="pip install 'xtransfer[slurm]'")
    settings = Slurm(cluster="local", timeout_min=5)
    assert told(sweep(config, AXES, tmp_path / "sweep", engine="slurm", settings=settings)) == alone


def test_by_ray(config, alone, tmp_path):
    pytest.importorskip("ray", reason="240 MB: pip install 'xtransfer[ray]'")
    os.environ["RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO"] = "0"
    assert told(sweep(config, AXES, tmp_path / "sweep", engine="ray", settings=Ray("local"))) == alone


def test_a_fault_in_any_cell_stops_all_before_the_first(config, tmp_path):
    axes = {
        "stages.before": ["MNLI", "Mnil", None],
        "stages.target": [{"model": {"lr": 0.5}}, {"data": {"init_args": {"languages": ["xx"]}}}],
    }
    with pytest.raises(ConfigError) as error:
        sweep(config, axes, tmp_path / "sweep")
    first, target, before = str(error.value).splitlines()
    assert first == "nothing was trained, for 2 stages are wrong"
    cells = "cells MNLI-languages-xx, Mnil-languages-xx, none-languages-xx"
    assert target.strip().startswith(f"{cells}: stage 'target': task 'xnli' has no language 'xx'")
    assert before.strip().startswith("cells Mnil-lr0.5, Mnil-languages-xx: stage 'before': ")
    assert "no task 'Mnil'; did you mean 'MNLI'?" in before
    assert not (tmp_path / "sweep").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "name a configuration: xtransfer sweep CONFIG"),
        (["demo.yaml"], "a sweep needs axes"),
        (["demo.yaml", "--axis.seed_everything", "[1]"], "unknown option '--axis.seed_everything'"),
        (["demo.yaml", "--worker", "2"], "unknown option '--worker'; did you mean '--workers'?"),
        (["demo.yaml", "--workers", "two"], "--workers: expected a whole number, found 'two'"),
        (["demo.yaml", "--slurm.partition", "gpu"], "--slurm.partition is for --engine slurm, which is 'local'"),
        (["demo.yaml", "--engine", "slurm", "--slurm.partion", "gpu"], "did you mean 'partition'?"),
        (["demo.yaml", "--engine", "slurm", "--slurm.timeout_min", "long"], "--slurm.timeout_min: expected a number"),
    ],
)
def test_what_the_command_refuses(words, message, capsys):
    assert cli.main(["sweep", *words]) == 2
    assert message in capsys.readouterr().err


def test_what_no_engine_takes(tmp_path):
    with pytest.raises(ConfigError, match="no engine 'slrum'; there are: local, slurm, ray"):
        engine_of("slrum", 1, None, tmp_path)
    with pytest.raises(ConfigError, match="0 workers: at least one is needed"):
        engine_of("local", 0, None, tmp_path)
    with pytest.raises(ConfigError, match="are not for the engine 'local'"):
        engine_of("local", 1, Ray(), tmp_path)
