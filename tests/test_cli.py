"""The command line: what it answers at once, what it refuses and how, and what a run prints."""

from __future__ import annotations

import inspect
import json
import logging
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from xtransfer import __version__, datamodules
from xtransfer.cli import main
from xtransfer.config import STAGE_KEYS, read
from xtransfer.config_files import shipped
from xtransfer.run_cli import RUN_HELP

DATA = Path(__file__).parent / "data"
HEAVY = ("torch", "lightning", "transformers", "datasets")


@pytest.fixture(autouse=True)
def logging_as_before():
    """Give back what the command line sets for a process of its own."""
    root, own = logging.getLogger(), logging.getLogger("xtransfer")
    before = root.handlers[:], root.level, own.level
    yield
    root.handlers[:], root.level, own.level = before


@pytest.fixture
def write(tiny_encoder, tmp_path):
    """Write a run on MNLI, then XQuAD, and return its file; further settings are laid over it by dotted name."""

    def write(text: str = "") -> Path:
        config = {
            "out_dir": str(tmp_path / "runs"),
            "model": {"encoder": str(tiny_encoder)},
            "trainer": {"accelerator": "cpu", "max_steps": 1, "logger": False, "enable_progress_bar": False},
            "data": {"init_args": {"data_dir": str(DATA), "batch_size": 2, "cache_dir": str(tmp_path / "cache")}},
            "stages": {
                "mnli": {"data": {"class_path": "MNLI"}},
                "qa": {"data": {"class_path": "XQuAD", "init_args": {"languages": ["en", "de"]}}},
            },
        }
        file = tmp_path / "toy.yaml"
        file.write_text(yaml.safe_dump(config, sort_keys=False) + text)
        return file

    return write


def refused(capsys, *words: object) -> str:
    """Return the one message of a command that must be refused."""
    assert main([str(word) for word in words]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    *notices, last = said.err.splitlines()
    assert all("rows, the data set is published with" in notice for notice in notices)
    assert last.startswith("xtransfer: ")
    return last


# ------------------------------------------------------------------ help
@pytest.mark.parametrize(
    ("words", "told"),
    [
        ([], "usage: xtransfer COMMAND"),
        (["--help"], "usage: xtransfer COMMAND"),
        (["--version"], f"xtransfer {__version__}"),
        (["configs"], "mnli_then_tydiqa.yaml"),
        (["fit", "--help"], "usage: xtransfer fit --config FILE"),
        (["predict", "-h"], "usage: xtransfer predict --config FILE"),
    ],
)
def test_help_loads_nothing_heavy(words, told):
    script = (
        f"import sys; from xtransfer.cli import main; status = main({words!r})\n"
        f"print('LOADED', sorted({set(HEAVY)!r} & set(sys.modules))); sys.exit(status)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=DATA.parents[1])
    assert done.returncode == 0, done.stderr
    assert told in done.stdout
    assert "LOADED []" in done.stdout


def test_every_setting_in_the_help_exists():
    from lightning.pytorch import Trainer

    from xtransfer.module import TransferModule

    told = re.findall(r"^  ([a-z_]+)(?:\.(\w+))? {2,}", RUN_HELP.split("settings used most")[1], flags=re.MULTILINE)
    assert len(told) > 15
    owners = {"model": TransferModule, "data": datamodules.TaskDataModule, "trainer": Trainer}
    for key, setting in told:
        if setting:
            assert setting in inspect.signature(owners[key].__init__).parameters, f"{key}.{setting}"
        else:
            assert key in ("seed_everything", "data", *STAGE_KEYS)


def test_help_of_every_setting_lists_all_of_them(capsys):
    assert main(["fit", "--help=all"]) == 0
    printed = capsys.readouterr().out
    assert all(name in printed for name in ("--model.layer_decay", "--data.evaluate", "--trainer.val_check_interval"))


def test_tasks_lists_every_task(capsys):
    assert main(["tasks"]) == 0
    rows = [line.split("|") for line in capsys.readouterr().out.splitlines()[2:]]
    listed = {row[1].strip(): [cell.strip() for cell in row[2:-1]] for row in rows}
    assert set(listed) == {name for name in datamodules.__all__ if hasattr(getattr(datamodules, name), "task")}
    assert listed["XNLI"] == ["classification", "MNLI", "15", "accuracy", "facebook/xnli"]
    assert listed["Tatoeba"][1] == "–"
    assert listed["TyDiQA"][1] == "itself"


def test_configs_tells_what_each_does(capsys):
    assert main(["configs"]) == 0
    printed = capsys.readouterr().out
    for name, path in shipped().items():
        first = path.read_text(encoding="utf-8").splitlines()[0].lstrip("# ").rstrip(".")
        assert any(name in line and first in line for line in printed.splitlines())


# ------------------------------------------------------------------ what is refused, and how
@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["fti"], "unknown command 'fti'; did you mean 'fit'?"),
        (["tasks", "XNLI"], "tasks takes no option but --docs and --mix, found 'XNLI'"),
        (["configs", "--all"], "configs takes no options, found '--all'"),
        (["fit"], "name a configuration: xtransfer fit --config FILE; `xtransfer configs` lists those shipped"),
        (["fit", "--config"], "--config needs the name of a file"),
        (["fit", "--confg", "demo.yaml"], "unknown option '--confg'; did you mean '--config'?"),
        (["fit", "--config", "dmo.yaml"], "no configuration file 'dmo.yaml'"),
        (["fit", "--config", "dmo.yaml"], "did you mean 'demo.yaml'?"),
    ],
)
def test_a_wrong_command_is_told_in_one_line(capsys, words, message):
    assert message in refused(capsys, *words)


OVER = [
    (["--forse"], "unknown option '--forse'; did you mean '--force'?"),
    (["--print_confg"], "unknown option '--print_confg'; did you mean '--print_config'?"),
    (["--nmae", "x"], "unknown option '--nmae'; did you mean '--name'?"),
    (["--modle.lr", "1"], "unknown option '--modle'; did you mean '--model'?"),
    (["--trainer.max_epoch", "1"], "stage 'mnli': unknown key 'trainer.max_epoch'; did you mean 'max_epochs'?"),
    (["--model.lrr=1"], "stage 'mnli': unknown key 'model.lrr'; did you mean 'lr'?"),
    (["--data.batchsize", "1"], "stage 'mnli': unknown key 'data.batchsize'; did you mean 'batch_size'?"),
    (["--stages.mnil.model.lr", "1"], "--stages.mnil.model.lr: no stage 'mnil'; did you mean 'mnli'?"),
    (["--stages.qa.data", "XQUAD"], "stage 'qa': data.class_path: no task 'XQUAD'; did you mean 'XQuAD'?"),
    (["--stages.qa.data", "torch.nn.Linear"], "stage 'qa': data: Import path torch.nn.Linear"),
    (["--stages.qa.data.languages", "[enn]"], "stage 'qa': task 'xquad' has no language 'enn'; did you mean 'en'?"),
    (["--stages.qa.data.evaluate", "[TyDIQ]"], "data.evaluate[0].class_path: no task 'TyDIQ'; did you mean 'TyDiQA'?"),
    (
        ["--stages.qa.data.evaluate", "[{class_path: TyDiQA, init_args: {langages: [en]}}]"],
        "unknown key 'data.evaluate[0].langages'; did you mean 'languages'?",
    ),
    (["--model.lr", "fast"], "stage 'mnli': model.lr: Expected a <class 'float'>. Got value: fast"),
    (["--data.languages", "3"], "stage 'mnli': data.languages: Expected a <class 'list'>; found 3"),
    (["--data.batch_size", "0"], "stage 'mnli': task 'mnli': batch_size must be at least 1, found 0"),
    (["--data.limit", "-1"], "stage 'mnli': task 'mnli': limit must be at least 1, found -1"),
    (["--trainer.max_epochs", "three"], "stage 'mnli': trainer.max_epochs: Expected a <class 'int'>"),
    (["--trainer.logger", "foo.Bar"], "trainer.logger: "),
    (["--trainer.logger", "foo.Bar"], "No module named 'foo'"),
    (["--model.heads.mnli", "xtransfer.heads.SpanHed"], "module 'xtransfer.heads' has no attribute 'SpanHed'"),
    (["--model", "3"], "stage 'mnli': model: expected settings, found 3"),
    (["--data.init_args", "[1]"], "stage 'mnli': data.init_args: expected settings, found [1]"),
    (["--trainer.max_epochs", "--model.lr", "1"], "--trainer.max_epochs has no value"),
    (["--model.lr"], "--model.lr has no value"),
    (["demo.yaml"], "'demo.yaml' is no option"),
    (["--stages.qa.init.parts", "encoder"], "stage 'qa': init.parts: expected a list such as [encoder, heads]"),
    (["--stages.qa.init.from", "mnil"], "stage 'qa': init.from names 'mnil'"),
    (["--name", "../x"], "'../x' cannot name a folder"),
    (["--data.data_dir", "nowhere"], "stage 'mnli': mnli (en): no files of the train split; looked for"),
    (["--data.folder", "mnlli"], "there is no such folder; did you mean 'mnli'?"),
    (["--model.encoder", "no/such"], "no/such"),
]


@pytest.mark.parametrize(("words", "message"), OVER, ids=lambda value: " ".join(value) if type(value) is list else "")
def test_a_wrong_setting_is_told_in_one_line(write, tmp_path, capsys, words, message):
    assert message in refused(capsys, "fit", "--config", write(), *words)
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("modle: {lr: 1}", "stage 'mnli': unknown key 'modle'; did you mean 'model'?"),
        ("stage: {}", "stage 'mnli': unknown key 'stage'; did you mean 'stages'?"),
        ("trainer: {max_epoch: 1}", "toy.yaml:19: 'trainer' is written twice"),
        ("stages: {mnli: MNLI}", "toy.yaml:19: 'stages' is written twice"),
        ("select: {best", "not readable as YAML"),
    ],
)
def test_a_wrong_file_is_told_in_one_line(write, capsys, text, message):
    file = write(text)
    message = message.replace(":19:", f":{len(file.read_text().splitlines())}:")
    assert message in refused(capsys, "fit", "--config", file)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("trainer: {max_epoch: 1}", "stage 'mnli': unknown key 'trainer.max_epoch'; did you mean 'max_epochs'?"),
        ("model: {enocder: x}", "stage 'mnli': unknown key 'model.enocder'; did you mean 'encoder'?"),
        ("data: {init_args: {bach_size: 1}}", "unknown key 'data.bach_size'; did you mean 'batch_size'?"),
        ("data: {initargs: {limit: 1}}", "unknown key 'data.initargs'; did you mean 'init_args'?"),
        ("stages: {qa: {modle: {lr: 1}}}", "stage 'qa': unknown key 'modle'; did you mean 'model'?"),
        ("stages: {qa: {name: x}}", "stage 'qa': unknown key 'name'"),
        ("stages: {qa: {data: {class_path: XQuaD2}}}", "no task 'XQuaD2'; did you mean 'XQuAD'?"),
        ("stages: {qa: 3}", "stage 'qa': expected settings, the name of a task or null, found 3"),
        ("stages: {more: {data: MNLI, init: {from: aq}}}", "init.from names 'aq', which is no stage before it"),
        ("model: {lr: fast}", "model.lr: Expected a <class 'float'>. Got value: fast"),
    ],
)
def test_a_wrong_second_file_is_told_in_one_line(write, tmp_path, capsys, text, message):
    (tmp_path / "over.yaml").write_text(text)
    assert message in refused(capsys, "fit", "--config", write(), "--config", tmp_path / "over.yaml")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--trainer.accelerator", "tpuu"], "stage 'mnli': trainer: You selected an invalid accelerator name"),
        (["--trainer.devices", "0"], "stage 'mnli': trainer.devices must be a number of devices, or -1 for all"),
    ],
)
def test_what_the_trainer_refuses_is_told_in_one_line(write, tmp_path, capsys, words, message):
    assert main(["fit", "--config", str(write()), *words]) == 2
    said = capsys.readouterr().err
    assert message in said.splitlines()[-1]
    assert "Traceback" not in said
    assert not list((tmp_path / "runs").rglob("DONE"))


def test_scoring_what_was_not_trained_is_refused(write, capsys):
    assert "stage 'mnli' is not trained: run `xtransfer fit` first" in refused(capsys, "test", "--config", write())


# ------------------------------------------------------------------ what a run prints
def test_the_printed_configuration_runs_as_the_written_one(write, tmp_path, capsys):
    from xtransfer.pipeline import prepare

    file = write("seed_everything: 5\n")
    words = ["--stages.qa.model.lr", "1e-4"]
    assert main(["fit", "--config", str(file), *words, "--print_config"]) == 0
    again = tmp_path / "again.yaml"
    again.write_text(capsys.readouterr().out)
    printed = yaml.safe_load(again.read_text())
    assert printed["name"] == "toy"
    assert printed["stages"]["qa"]["model"]["lr"] == 1e-4
    assert printed["stages"]["qa"]["model"]["layer_decay"] == 1.0  # a default, filled in
    first, second = read([file], [("stages.qa.model.lr", 1e-4)]), read([again])
    assert [stage.start for stage in second.stages] == [None, "mnli"]
    identities = [[step.identity for step in prepare(plan)] for plan in (first, second)]
    assert identities[0] == identities[1]
    assert main(["fit", "--config", str(again), "--check"]) == 0


def test_the_printed_configuration_of_a_shipped_one_is_yaml(tiny_encoder, capsys):
    words = ["--model.encoder", str(tiny_encoder), "--data.data_dir", str(DATA)]
    assert main(["fit", "--config", "zero_shot_xnli.yaml", *words, "--print_config"]) == 0
    said = capsys.readouterr()
    assert yaml.safe_load(said.out)["stages"]["xnli"]["data"]["class_path"].endswith("XNLI")
    assert "using the shipped configuration zero_shot_xnli.yaml" in said.err


def test_check_reads_everything_and_trains_nothing(write, tmp_path, capsys):
    assert main(["fit", "--config", str(write()), "--check"]) == 0
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in capsys.readouterr().out.splitlines()[2:]]
    assert [row[:3] for row in rows] == [
        ["mnli", "mnli/train/en", "3"],
        ["mnli", "mnli/validation/en", "3"],
        ["mnli", "mnli/test/en", "3"],
        ["qa", "xquad/train/en", "3"],
        ["qa", "xquad/validation/en", "3"],
        ["qa", "xquad/test/en", "3"],
        ["qa", "xquad/test/de", "3"],
    ]
    assert {row[4] for row in rows} == {"to do"}
    assert "rows_published 1190" in rows[-1][3]
    assert not (tmp_path / "runs").exists()


def test_fit_prints_scores_skips_what_is_done_and_then_scores_and_predicts(write, tmp_path, capsys):
    words = ["--config", str(write())]
    run, predictions = tmp_path / "runs/toy", tmp_path / "runs/toy/2-qa/predictions/xquad/test-de.json"
    assert main(["fit", *words]) == 0
    first = capsys.readouterr()
    assert "xquad: f1 in percent" in first.out
    assert "| mnli → qa" in first.out
    assert str(run / "results.jsonl") in first.out
    assert "mnli: trained for 1 steps" in first.err
    lines = (run / "results.jsonl").read_text().splitlines()
    weights = (run / "1-mnli/encoder/model.safetensors").stat().st_mtime_ns

    assert main(["fit", *words]) == 0
    second = capsys.readouterr()
    assert second.out == first.out
    assert "[1/2] mnli: done before, nothing to do" in second.err
    assert "[2/2] qa: done before, nothing to do" in second.err
    assert (run / "results.jsonl").read_text().splitlines() == lines
    assert (run / "1-mnli/encoder/model.safetensors").stat().st_mtime_ns == weights
    assert main(["fit", *words, "--check"]) == 0
    assert {line.split("|")[5].strip() for line in capsys.readouterr().out.splitlines()[2:]} == {"done"}

    assert main(["test", *words]) == 0
    tables, _, told = capsys.readouterr().out.partition("\nthese scores are shown, not kept")
    assert first.out.startswith(tables)
    assert str(run / "results.jsonl") in told
    assert main(["validate", *words]) == 0
    rows = [json.loads(line) for line in lines]
    developed = next(r for r in rows if (r["stage"], r["split"], r["metric"]) == ("qa", "validation", "f1"))
    printed = capsys.readouterr().out
    assert "xquad: f1 in percent, validation rows, 3 examples a language" in printed
    cells = next(line for line in printed.split("xquad: f1")[1].splitlines() if "mnli → qa" in line).split("|")
    assert cells[2].strip() == f"{developed['value']:.1f}"
    scored = predictions.read_text()
    predictions.unlink()
    assert main(["predict", *words]) == 0
    assert capsys.readouterr().out == ""
    assert predictions.read_text() == scored

    assert main(["fit", *words, "--force"]) == 0
    assert (run / "1-mnli/encoder/model.safetensors").stat().st_mtime_ns > weights
