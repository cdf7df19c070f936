"""A sweep's cells: which there are, what they are called, and that each is an ordinary configuration."""

from __future__ import annotations

import pytest
import yaml

from xtransfer.config import expand
from xtransfer.config_files import composed, shipped
from xtransfer.errors import ConfigError
from xtransfer.sweeps.cells import cells_of
from xtransfer.sweeps.sweeping import plan

TWO = {
    "model": {"encoder": "tiny", "lr": 1e-5},
    "data": {"init_args": {"data_dir": "data", "batch_size": 8}},
    "stages": {
        "before": {"data": {"class_path": "MNLI", "init_args": {"max_length": 32}}, "trainer": {"max_epochs": 2}},
        "target": "XNLI",
    },
}


def cells(axes, tmp_path, overrides=(), config=TWO):
    return cells_of(config, axes, tmp_path, overrides)


def stage(cell, name):
    return next(stage for stage in cell.plan.stages if stage.name == name)


def test_every_combination_is_a_cell_named_by_its_values(tmp_path):
    axes = {"stages.before": ["MNLI", None], "model.lr": [1e-5, 3e-5], "seed_everything": [1, 2]}
    found = cells(axes, tmp_path)
    assert [cell.name for cell in found] == [
        *("MNLI-lr1e-05-seed1", "MNLI-lr1e-05-seed2", "MNLI-lr3e-05-seed1", "MNLI-lr3e-05-seed2"),
        *("none-lr1e-05-seed1", "none-lr1e-05-seed2", "none-lr3e-05-seed1", "none-lr3e-05-seed2"),
    ]
    last = found[-1]
    assert last.values == {"stages.before": "none", "model.lr": "lr3e-05", "seed_everything": "seed2"}
    (only,) = last.plan.stages
    assert (only.name, only.config["model"]["lr"], only.config["seed_everything"]) == ("target", 3e-5, 2)
    assert last.plan.folder == tmp_path / "runs" / "none-lr3e-05-seed2"


def test_a_task_takes_the_place_of_a_stages_data_and_leaves_the_rest(tmp_path):
    (cell,) = cells({"stages.before": ["SQuAD"]}, tmp_path)
    config = stage(cell, "before").config
    assert config["data"] == {
        "class_path": "SQuAD",
        "init_args": {"data_dir": "data", "batch_size": 8},
    }  # no max_length
    assert config["trainer"] == {"max_epochs": 2}


def test_settings_are_laid_over_a_stage(tmp_path):
    (cell,) = cells({"stages.before": [{"model": {"lr": 1.0}, "data": {"init_args": {"batch_size": 4}}}]}, tmp_path)
    config = stage(cell, "before").config
    assert config["model"] == {"encoder": "tiny", "lr": 1.0}
    assert config["data"]["class_path"] == "MNLI"
    assert config["data"]["init_args"] == {"data_dir": "data", "batch_size": 4, "max_length": 32}


def test_a_mapping_elsewhere_is_laid_over_too(tmp_path):
    (cell,) = cells({"model": [{"warmup": 0.0}]}, tmp_path)
    assert stage(cell, "target").config["model"] == {"encoder": "tiny", "lr": 1e-5, "warmup": 0.0}


def test_a_file_of_one_stage_takes_the_place_of_a_stage(tmp_path):
    axes = {"stages.target": ["protocols/phang2020/xnli.yaml", "protocols/phang2020/udpos.yaml"]}
    first, second = cells(axes, tmp_path)
    assert (first.name, second.name) == ("xnli", "udpos")
    recipe = composed(shipped()["protocols/phang2020/udpos.yaml"])["stages"]["udpos"]
    assert stage(second, "target").protocol == "phang2020"
    assert stage(second, "target").config["trainer"] == recipe["trainer"]
    with pytest.raises(ConfigError, match=r"cell 'demo': demo.yaml: .* a file of one stage, found \['nli', 'qa', 'qa_"):
        cells({"stages.target": ["demo.yaml"]}, tmp_path)


def test_a_cells_file_is_complete_and_makes_the_same_run(tmp_path):
    config = {**TWO, "stages": {**TWO["stages"], "alone": {"data": "XNLI", "init": None, "select": "last"}}}
    settings = [("trainer.max_epochs", 1), ("stages.target.data.max_length", 64), ("checkpoint", {"keep": 1})]
    for cell in cells({"stages.before": ["QQP", None], "seed_everything": [1, 2]}, tmp_path, settings, config):
        assert expand(yaml.safe_load(cell.document())) == cell.plan
        assert stage(cell, "target").config["data"]["init_args"]["max_length"] == 64


def test_a_further_value_renames_no_cell(tmp_path):
    few = cells({"stages.before": ["MNLI"], "seed_everything": [1]}, tmp_path)
    more = cells({"stages.before": [None, "MNLI"], "seed_everything": [2, 1]}, tmp_path)
    assert {cell.name for cell in few} < {cell.name for cell in more}


def test_names_that_would_be_one_folder_are_told_apart(tmp_path):
    settings = [{"data": "XNLI", "model": {"lr": lr}} for lr in (1e-5, 2e-5)]
    one, two, three = [cell.name for cell in cells({"stages.target": [*settings, "xnli"]}, tmp_path)]
    assert len({one.lower(), two.lower(), three.lower()}) == 3
    assert one.startswith("XNLI-")
    long = [cell.name for cell in cells({"model.encoder": ["a" * 70 + "b", "a" * 70 + "c"]}, tmp_path)]
    assert len(set(long)) == 2
    assert max(map(len, long)) <= 64


@pytest.mark.parametrize(
    ("axes", "settings", "message"),
    [
        ({}, [], "a sweep needs axes"),
        ({"seed_everything": 3}, [], r"axes.seed_everything: expected a list of values, .* found 3"),
        ({"seed_everything": [1, 1]}, [], "axes.seed_everything: 1 is there twice"),
        ({"stages.befor": ["MNLI"]}, [], "cell 'MNLI': axes.stages.befor: no stage 'befor'; did you mean 'before'?"),
        ({"stages.before": [3]}, [], "expected a task, settings, a file or null, found 3"),
        ({"seed_everything": [1]}, [("seed_everything", 2)], "--seed_everything is given, but it is an axis"),
        ({"out_dir": ["a"]}, [], "axes.out_dir: where a cell is kept"),
        (
            {"stages.before": [None], "stages.target": ["XNLI", None]},
            [],
            "cell 'none-none': stages: every stage is null",
        ),
    ],
)
def test_what_is_no_sweep_is_refused(axes, settings, message, tmp_path):
    with pytest.raises(ConfigError, match=message):
        cells(axes, tmp_path, settings)


def test_a_file_with_axes_is_a_sweep_and_no_run(tmp_path):
    file = tmp_path / "toy.yaml"
    file.write_text(yaml.safe_dump({**TWO, "axes": {"seed_everything": [1, 2], "model.lr": [0.1]}}, sort_keys=False))
    with pytest.raises(ConfigError, match="it has `axes`, so it is not one run but many: xtransfer sweep"):
        expand(composed(file))
    planned = plan(file, {"model.lr": [0.2]}, tmp_path / "out")  # laid over those of the file
    assert [cell.name for cell in planned.cells] == ["seed1-lr0.2", "seed2-lr0.2"]
