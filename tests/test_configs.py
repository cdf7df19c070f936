"""Every shipped configuration: it says what it does, it parses, and it runs from end to end on three rows a task."""

from __future__ import annotations

from pathlib import Path

import pytest

from xtransfer.config import load, parse_overrides, read, shipped
from xtransfer.datamodules import COPA, SIQA, XCOPA
from xtransfer.pipeline import run
from xtransfer.stage_cli import parse

DATA = Path(__file__).parent / "data"

OWN_ROWS = "{train: train, validation: validation, test: validation}"
"""In place of slices that begin after row three."""

QA_ROWS = '{train: "train[:2]", validation: "train[2:]"}'

# What differs on three rows a task and an encoder of two layers, and what is scored then: stage -> task -> languages.
RUNS = {
    "demo.yaml": (
        ["--model.freeze_layers", "1", "--data.limit", "3", "--data.max_length", "64"],
        {
            "nli": {"demo_nli": "ar de en es ru zh"},
            "qa": {"demo_qa": "ar de en es ru zh"},
            "qa_alone": {"demo_qa": "ar de en es ru zh"},
        },
    ),
    "mnli_then_tydiqa.yaml": (
        ["--stages.tydiqa.data.languages", "[en, ru]"],
        {"mnli": {"mnli": "en"}, "tydiqa": {"tydiqa": "en ru"}},
    ),
    "squad_then_xquad.yaml": (
        [
            "--data.languages",
            "[de, en, zh]",
            "--data.evaluate",
            "[{class_path: TyDiQA, init_args: {languages: [en, ru]}}]",
        ],
        {"xquad": {"xquad": "de en zh", "tydiqa": "en ru"}},
    ),
    "zero_shot_xnli.yaml": (["--data.languages", "[ar, de, en]"], {"xnli": {"xnli": "ar de en"}}),
    "small/mnli_then_tydiqa.yaml": (
        [
            *("--stages.mnli.data.splits", OWN_ROWS),
            *(
                word
                for stage in ("tydiqa", "tydiqa_alone")
                for word in (
                    f"--stages.{stage}.data.splits",
                    QA_ROWS,
                    f"--stages.{stage}.data.languages",
                    "[en, ru]",
                    f"--stages.{stage}.data.evaluate",
                    "[{class_path: XQuAD, init_args: {languages: [de, zh]}}]",
                )
            ),
        ],
        {
            "mnli": {"mnli": "en"},
            "tydiqa": {"tydiqa": "en ru", "xquad": "de zh"},
            "tydiqa_alone": {"tydiqa": "en ru", "xquad": "de zh"},
        },
    ),
    "small/siqa_then_xcopa.yaml": (
        ["--stages.xcopa.data.languages", "[it, zh]"],
        {"siqa": {"siqa": "en"}, "xcopa": {"xcopa": "it zh"}},
    ),
    "small/tatoeba.yaml": (
        [*("--data.languages", "[de, zh]"), *("--stages.layer7.model.layer", "1", "--stages.last.model.layer", "2")],
        {"layer7": {"tatoeba": "de zh"}, "last": {"tatoeba": "de zh"}},
    ),
    "small/udpos.yaml": (["--data.languages", "[de]"], {"udpos": {"udpos": "de"}}),
    "small/zero_shot_xnli.yaml": (
        [
            *("--data.splits", OWN_ROWS),
            "--data.evaluate",
            "[{class_path: XNLI, init_args: {languages: [ar, de], splits: {test: validation}}}]",
        ],
        {"mnli": {"mnli": "en", "xnli": "ar de"}},
    ),
}
COMPLETE = [name for name in shipped() if not name.startswith("trainer/")]


def test_every_configuration_has_a_run_here():
    assert set(RUNS) == set(COMPLETE)


@pytest.mark.parametrize("name", shipped())
def test_its_first_line_says_what_it_is(name):
    first, *rest = shipped()[name].read_text(encoding="utf-8").splitlines()
    assert first.startswith("# ")
    assert first.endswith(".")
    assert rest


@pytest.mark.parametrize("name", [name for name in shipped() if name not in COMPLETE])
def test_trainer_settings_are_laid_under_another_configuration(name, tmp_path):
    alone, laid = load(shipped()[name]), read([name, "zero_shot_xnli.yaml"])
    assert set(alone) == {"trainer"}
    assert laid.name == "zero_shot_xnli"
    (stage,) = laid.stages
    assert stage.config["trainer"] == alone["trainer"] | load(shipped()["zero_shot_xnli.yaml"])["trainer"]
    parsed = parse(stage, tmp_path).config.trainer
    assert {key: parsed[key] for key in alone["trainer"]} == alone["trainer"]


@pytest.mark.parametrize("name", COMPLETE)
def test_it_parses_as_it_is_shipped(name, tmp_path):
    plan = read([name])
    assert list(RUNS[name][1]) == [stage.name for stage in plan.stages]
    for stage in plan.stages:
        config = parse(stage, tmp_path).config
        assert config.model.encoder == stage.config["model"]["encoder"]
        assert config.trainer.max_epochs is not None


def test_xcopa_goes_on_with_the_head_of_social_iqa():
    siqa, xcopa = read(["small/siqa_then_xcopa.yaml"]).stages
    assert (xcopa.start, xcopa.parts) == (siqa.name, ("encoder", "heads"))
    assert {SIQA.task.head or SIQA.task.name, XCOPA.task.head} == {"siqa"}
    assert XCOPA.trains_on is COPA


@pytest.mark.parametrize("name", COMPLETE)
def test_it_runs_to_the_end(name, tiny_encoder, tmp_path):
    words, wanted = RUNS[name]
    everywhere = {
        "out_dir": tmp_path / "runs",
        "model.encoder": tiny_encoder,
        "trainer.accelerator": "cpu",
        "trainer.max_steps": 1,
        "trainer.logger": False,
        "trainer.enable_progress_bar": False,
        "data.batch_size": 2,
        "data.cache_dir": tmp_path / "cache",
        **({} if name == "demo.yaml" else {"data.data_dir": DATA}),
    }
    settings = [(key, str(value) if isinstance(value, Path) else value) for key, value in everywhere.items()]
    results = run(read([name], [*settings, *parse_overrides(words)]))
    tested = results.where(split="test")
    scored = {
        stage: {
            task: " ".join(sorted(tested.where(stage=stage, task=task).languages()))
            for task in dict.fromkeys(row.task for row in tested.where(stage=stage))
        }
        for stage in dict.fromkeys(row.stage for row in tested)
    }
    assert scored == wanted
    assert all(0 <= row.value <= 100 and 0 < row.n <= 3 for row in results)
    assert {row.steps for row in results} == ({0} if name == "small/tatoeba.yaml" else {1})
    plan = read([name])
    for stage, parsed in zip(dict.fromkeys(row.stage for row in tested), plan.stages, strict=True):
        assert len(tested.where(stage=stage).rows[0].chain) == (
            0 if name == "small/tatoeba.yaml" else 1 if parsed.start is None else 2
        )
