"""From YAML to stages: merging, overriding, and messages a user can act on."""

from __future__ import annotations

from pathlib import Path

import pytest

from xtransfer.config import assign, expand, parse_overrides, read
from xtransfer.config_files import find, load, merge, shipped
from xtransfer.errors import ConfigError

TWO = {
    "model": {"lr": 1, "encoder": "x"},
    "trainer": {"max_epochs": 3, "callbacks": ["a"]},
    "stages": {
        "mnli": {"data": {"class_path": "MNLI", "init_args": {"batch_size": 32}}},
        "tydiqa": {"data": "TyDiQA", "trainer": {"max_epochs": 5, "callbacks": ["b"]}},
    },
}


def test_a_stage_is_laid_over_the_shared_part():
    first, second = expand(TWO).stages
    assert first.config["trainer"] == {"max_epochs": 3, "callbacks": ["a"]}
    assert second.config["trainer"] == {"max_epochs": 5, "callbacks": ["b"]}
    assert second.config["model"] == {"lr": 1, "encoder": "x"}
    assert second.config["data"] == {"class_path": "TyDiQA"}
    assert (first.start, second.start, second.parts) == (None, "mnli", ("encoder",))
    assert [stage.number for stage in (first, second)] == [1, 2]


def test_expand_leaves_its_input_alone():
    before = repr(TWO)
    expand(TWO, [("trainer.max_epochs", 1), ("stages.tydiqa.model.lr", 9)])
    assert repr(TWO) == before


def test_a_setting_for_all_stages_beats_what_a_stage_says():
    plan = expand(TWO, [("trainer.max_epochs", 1)])
    assert [stage.config["trainer"]["max_epochs"] for stage in plan.stages] == [1, 1]


def test_a_setting_for_one_stage_beats_one_for_all():
    plan = expand(TWO, [("stages.tydiqa.trainer.max_epochs", 7), ("trainer.max_epochs", 1)])
    assert [stage.config["trainer"]["max_epochs"] for stage in plan.stages] == [1, 7]


def test_a_new_class_replaces_the_whole_block():
    base = {"data": {"class_path": "A", "init_args": {"languages": ["de"]}}}
    assert merge(base, {"data": {"class_path": "B"}}) == {"data": {"class_path": "B"}}
    same = {"data": {"class_path": "A", "init_args": {"limit": 3}}}
    assert merge(base, same)["data"]["init_args"] == {"languages": ["de"], "limit": 3}


def test_shared_data_settings_reach_every_stage():
    plan = expand({**TWO, "data": {"init_args": {"data_dir": "d"}}})
    assert plan.stages[0].config["data"] == {"class_path": "MNLI", "init_args": {"data_dir": "d", "batch_size": 32}}
    assert plan.stages[1].config["data"]["init_args"] == {"data_dir": "d"}


def test_init_args_may_be_left_out_on_the_command_line():
    plan = expand(TWO, [("data.limit", 4), ("stages.mnli.data.batch_size", 2)])
    assert plan.stages[0].config["data"]["init_args"] == {"batch_size": 2, "limit": 4}
    assert plan.stages[1].config["data"]["init_args"] == {"limit": 4}


def test_null_drops_a_stage_and_the_next_starts_afresh():
    plan = expand(TWO, [("stages.mnli", None)])
    assert [(stage.name, stage.start, stage.number) for stage in plan.stages] == [("tydiqa", None, 1)]


def test_a_stage_can_be_replaced_by_the_name_of_a_task():
    plan = expand(TWO, [("stages.mnli", "SQuAD")])
    assert plan.stages[0].config["data"] == {"class_path": "SQuAD"}


def test_init_says_where_weights_come_from():
    config = {"stages": {"a": {}, "b": {"init": None}, "c": {"init": {"from": "a", "parts": ["encoder", "heads"]}}}}
    a, b, c = expand(config).stages
    assert (a.start, b.start, c.start) == (None, None, "a")
    assert c.parts == ("encoder", "heads")


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"stages": {"a": {"init": {"from": "mlni"}}}}, "init.from names 'mlni'"),
        ({"stages": {"mnli": {}, "b": {"init": {"from": "mlni"}}}}, "did you mean 'mnli'"),
        ({"stages": {"a": {"init": {"parts_": []}}}}, "'from', 'parts', 'adapters'"),
        ({"stages": {"../a": {}}}, "cannot name a folder"),
        ({"stages": []}, "expected a mapping"),
        ({"stages": {"a": None}}, "every stage is null"),
        ({"name": ".x", "stages": {"a": {}}}, "cannot name a folder"),
    ],
)
def test_broken_stages_are_named(config, message):
    with pytest.raises(ConfigError, match=message):
        expand(config)


def test_a_file_without_stages_is_one_stage():
    (stage,) = expand({"data": {"class_path": "xtransfer.datamodules.XNLI"}}).stages
    assert (stage.name, stage.start) == ("xnli", None)


def test_overrides_are_yaml():
    words = ["--a.b", "1", "--c=[x, y]", "--d", "null", "--e=1e-5", "--f", "true"]
    assert parse_overrides(words) == [("a.b", 1), ("c", ["x", "y"]), ("d", None), ("e", "1e-5"), ("f", True)]


@pytest.mark.parametrize(
    ("words", "message"),
    [(["fit"], "'fit' is no option"), (["--a"], "--a has no value"), (["--a", "[x"], "not readable as YAML")],
)
def test_broken_overrides_are_named(words, message):
    with pytest.raises(ConfigError, match=message):
        parse_overrides(words)


def test_an_override_of_no_stage_has_a_hint():
    with pytest.raises(ConfigError, match="no stage 'tydyqa'; did you mean 'tydiqa'"):
        expand(TWO, [("stages.tydyqa.trainer.max_epochs", 1)])


def test_assigning_inside_a_value_is_refused():
    with pytest.raises(ConfigError, match="'b' is inside a value"):
        assign({"a": 3}, "a.b", 1)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\na: 2\n", "x.yaml:2: 'a' is written twice"),
        ("a: {b: 1, b: 2}\n", "'b' is written twice"),
        ("a: [1\n", "not readable as YAML"),
        ("- 1\n", "expected keys such as"),
        ("a: !!python/object/apply:os.getcwd []\n", "not readable as YAML"),
        ("a: " + "x" * 1_000_001, "larger than"),
    ],
)
def test_broken_files_are_named(tmp_path, text, message):
    path = tmp_path / "x.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=message):
        load(path)


def test_merge_keys_of_yaml_work(tmp_path):
    path = tmp_path / "x.yaml"
    path.write_text("a: &a {x: 1, y: 2}\nb: {<<: *a, y: 3}\n")
    assert load(path)["b"] == {"x": 1, "y": 3}


def test_later_files_win_and_the_last_names_the_run(tmp_path):
    for name, text in (
        ("base", "trainer: {max_epochs: 1, devices: 1}"),
        ("mine", "trainer: {max_epochs: 2}\ndata: MNLI"),
    ):
        (tmp_path / f"{name}.yaml").write_text(text)
    plan = read([tmp_path / "base.yaml", tmp_path / "mine.yaml"])
    assert plan.stages[0].config["trainer"] == {"max_epochs": 2, "devices": 1}
    assert plan.folder == Path("runs/mine")


def test_shipped_configurations_are_found_anywhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert find("mnli_then_tydiqa.yaml") == (shipped()["mnli_then_tydiqa.yaml"], True)
    assert find("configs/trainer/gpu.yaml")[1]
    Path("mnli_then_tydiqa.yaml").write_text("a: 1")
    assert find("mnli_then_tydiqa.yaml") == (Path("mnli_then_tydiqa.yaml"), False)


def test_an_unknown_file_has_a_hint():
    with pytest.raises(
        ConfigError, match=r"no configuration file 'mnli_then_tydiq.yaml'.*did you mean 'mnli_then_tydiqa"
    ):
        find("mnli_then_tydiq.yaml")


# ------------------------------------------------------------------ files made of others
def test_a_file_is_laid_over_those_it_includes(tmp_path):
    (tmp_path / "a.yaml").write_text("model: {encoder: one, lr: 1.0}\nstages: {first: {data: MNLI}}\n")
    (tmp_path / "b.yaml").write_text("model: {lr: 2.0}\nstages: {second: {data: TyDiQA}}\n")
    (tmp_path / "c.yaml").write_text("include: [a.yaml, b.yaml]\nmodel: {dropout: 0.5}\n")
    plan = read([tmp_path / "c.yaml"])
    assert plan.stages == read([tmp_path / "a.yaml", tmp_path / "b.yaml", tmp_path / "c.yaml"]).stages
    assert [stage.name for stage in plan.stages] == ["first", "second"]
    assert plan.stages[0].config["model"] == {"encoder": "one", "lr": 2.0, "dropout": 0.5}
    assert plan.name == "c"
    (tmp_path / "d.yaml").write_text("include: [c.yaml, trainer/cpu.yaml]\n")  # a shipped one, and one within another
    assert read([tmp_path / "d.yaml"]).stages[0].config["trainer"]["accelerator"] == "cpu"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("include: [x.yaml]", "x.yaml: includes itself: x.yaml -> x.yaml"),
        ("include: [y.yaml]", "x.yaml: includes itself: x.yaml -> y.yaml -> x.yaml"),
        ("include: a.yaml", "x.yaml: include: expected a list of configuration files, found 'a.yaml'"),
        ("include: [nowhere.yaml]", "no configuration file 'nowhere.yaml'"),
    ],
)
def test_what_cannot_be_included(tmp_path, content, message):
    (tmp_path / "x.yaml").write_text(content)
    (tmp_path / "y.yaml").write_text("include: [x.yaml]")
    with pytest.raises(ConfigError, match=message):
        read([tmp_path / "x.yaml"])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"every_step": 5}, "stage 'mnli': unknown key 'checkpoint.every_step'.*every_steps"),
        ({"every_steps": 0}, "stage 'mnli': checkpoint.every_steps: expected a whole number from 1, found 0"),
        ({"keep": "all"}, "stage 'mnli': checkpoint.keep: expected a whole number from 1, found 'all'"),
        ({"keep": True}, "stage 'mnli': checkpoint.keep: expected a whole number from 1, found True"),
        ({"background": 1}, "stage 'mnli': checkpoint.background: expected true or false, found 1"),
        (5, "stage 'mnli': checkpoint has the keys every_steps, keep, background, found 5"),
    ],
)
def test_how_snapshots_cannot_be_asked_for(settings, message):
    with pytest.raises(ConfigError, match=message):
        expand({"data": "MNLI", "checkpoint": settings})


def test_snapshots_may_differ_by_stage():
    plan = expand(
        {
            "checkpoint": {"every_steps": 50},
            "stages": {"a": {"data": "MNLI"}, "b": {"checkpoint": {"keep": 9, "background": False}, "data": "MNLI"}},
        }
    )
    assert [dict(stage.checkpoint) for stage in plan.stages] == [
        {"every_steps": 50, "keep": 2, "background": True},
        {"every_steps": 50, "keep": 9, "background": False},
    ]


def test_a_list_may_be_added_to():
    base = {"data": {"init_args": {"tasks": ["MNLI"], "steps": 5}}}
    assert merge(base, {"data": {"init_args": {"tasks+": ["MLM"]}}}) == {
        "data": {"init_args": {"tasks": ["MNLI", "MLM"], "steps": 5}}
    }
    assert merge({"tasks": ["MNLI"]}, {"tasks": ["MLM"]}) == {"tasks": ["MLM"]}
    assert merge({}, {"tasks+": ["MLM"]}) == {"tasks+": ["MLM"]}  # nothing to add to: for the parser to see
