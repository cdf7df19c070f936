"""Every shipped configuration: it says what it does, it parses, and it runs from end to end on three rows a task."""

from __future__ import annotations

from pathlib import Path

import pytest

from xtransfer import datamodules
from xtransfer.config import Plan, parse_overrides, read
from xtransfer.config_files import composed, shipped
from xtransfer.datamodules import COPA, SIQA, XCOPA
from xtransfer.pipeline import run
from xtransfer.stage_cli import parse
from xtransfer.sweeps.cells import looks_alike
from xtransfer.sweeps.sweeping import plan

DATA = Path(__file__).parent / "data"

OWN_ROWS = "{train: train, validation: validation, test: validation}"
"""In place of slices that begin after row three."""

TESTED = "{test: validation}"
LINES = "{class_path: MLM, init_args: {train_languages: [de, en], languages: [de, en], splits: {test: validation}}}"
"""Plain text in the languages there are."""

QA_ROWS = '{train: "train[:2]", validation: "train[2:]"}'

TARGETS = {
    "xnli": (
        [
            ("data.splits", OWN_ROWS),
            ("data.evaluate", "[{class_path: XNLI, init_args: {languages: [ar, de], splits: {test: validation}}}]"),
        ],
        {"mnli": "en", "xnli": "ar de"},
    ),
    "udpos": ([("data.languages", "[de]"), ("data.splits", "{train: train}")], {"udpos": "de"}),
    "xquad": (
        [
            ("data.splits", QA_ROWS),
            ("data.evaluate", "[{class_path: XQuAD, init_args: {languages: [de, zh]}}]"),
        ],
        {"tydiqa": "en", "xquad": "de zh"},
    ),
    "tatoeba": ([("data.languages", "[de, zh]"), ("model.layer", "2")], {"tatoeba": "de zh"}),
}
MIXED = (
    *("anli_plus", "snli", "anli_r1", "anli_r2", "anli_r3", "mnli", "qqp", "squad_v1", "squad_v2"),
    *("hellaswag", "cosmosqa", "commonsenseqa", "ccg"),
)

ALONE = ("anli_plus", "mnli", "squad_v1", "squad_v2", "cosmosqa", "commonsenseqa", "ccg")

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
            *("--stages.mnli.data.splits", OWN_ROWS, "--stages.mnli.model.freeze_layers", "1"),
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
    "small/lora_mnli_then_tydiqa.yaml": (
        [
            *("--stages.mnli.data.splits", OWN_ROWS),
            *(
                word
                for stage in ("merged", "kept", "alone")
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
        {"mnli": {"mnli": "en"}}
        | {stage: {"tydiqa": "en ru", "xquad": "de zh"} for stage in ("merged", "kept", "alone")},
    ),
    "small/siqa_then_xcopa.yaml": (
        ["--stages.xcopa.data.languages", "[it, zh]"],
        {"siqa": {"siqa": "en"}, "xcopa": {"xcopa": "it zh"}},
    ),
    "small/bucc.yaml": (
        [
            *("--data.languages", "[de]", "--model.layer", "2"),
            *("--data.splits", "{validation: validation, test: test}"),
        ],
        {"bucc2018": {"bucc2018": "de"}},
    ),
    "small/forgetting.yaml": (
        [
            *("--model.freeze_layers", "1"),
            *(word for stage in ("mlm", "without", "with") for word in (f"--stages.{stage}.data.steps", "1")),
            *("--stages.mlm.data.tasks", f"[{LINES}]"),
            *(
                word
                for stage in ("without", "with")
                for word in (
                    f"--stages.{stage}.data.tasks",
                    f"[MNLI, {LINES}]",
                    f"--stages.{stage}.data.splits",
                    TESTED,
                )
            ),
        ],
        {"mlm": {"mlm": "de en"}, "without": {"mnli": "en", "mlm": "de en"}, "with": {"mnli": "en", "mlm": "de en"}},
    ),
    "small/multitask.yaml": (
        [
            *("--model.freeze_layers", "1", "--stages.mixed.data.splits", "{test: validation}"),
            *("--stages.mixed.data.steps", "1"),
            *(
                word
                for before in ("", "_alone")
                for target, (settings, _) in TARGETS.items()
                for key, value in settings
                for word in (f"--stages.{target.replace('xquad', 'tydiqa')}{before}.{key}", value)
            ),
        ],
        {"mixed": dict.fromkeys(MIXED, "en")}
        | {
            f"{target.replace('xquad', 'tydiqa')}{before}": scored_in
            for before in ("", "_alone")
            for target, (_, scored_in) in TARGETS.items()
        },
    ),
    "small/multitask_alone.yaml": (
        ["--model.freeze_layers", "1", "--data.splits", "{test: validation}"],
        {
            **{task: {task: "en"} for task in MIXED if task in ALONE},
            "anli_plus": dict.fromkeys((*MIXED[:5], "mnli"), "en"),
        },
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
RECIPES = [name for name in shipped() if name.startswith(("protocols/", "paper/"))]
MIXES = [name for name in shipped() if name.startswith("multitask")]
"""The mix of all intermediate tasks, alone and with each target after it."""
SWEEPS = [name for name, path in shipped().items() if "axes" in composed(path)]
COMPLETE = [name for name in shipped() if not name.startswith("trainer/") and name not in (*RECIPES, *MIXES, *SWEEPS)]

# The published recipes run alone, or a target of Phang et al. 2020 laid over an intermediate task.
RECIPE_RUNS = [
    *([name] for name in RECIPES if name.startswith("protocols/xtreme/")),
    *(
        [f"paper/intermediate/{intermediate}.yaml", f"protocols/phang2020/{target}.yaml"]
        for intermediate, target in (
            ("mnli", "xnli"),
            ("anliplus", "pawsx"),
            ("qqp", "udpos"),
            ("squad_v1", "panx"),
            ("squad_v2", "xquad"),
            ("hellaswag", "mlqa"),
            ("cosmosqa", "tydiqa"),
            ("commonsenseqa", "tatoeba"),
            ("ccg", "bucc2018"),
        )
    ),
    ["multitask_then_tydiqa.yaml"],
]

# Languages that the rows of the tests are in, where they are not English alone.
THERE = {
    "BUCC2018": ["de"],
    "LAReQA": ["de", "en"],
    "MLQA": ["de", "en"],
    "MewsliX": ["de", "en"],
    "PANX": ["de", "en"],
    "PAWSX": ["de", "en"],
    "Tatoeba": ["de", "zh"],
    "TyDiQA": ["en", "ru"],
    "UDPOS": ["de"],
    "XCOPA": ["it", "zh"],
    "XNLI": ["ar", "de", "en"],
    "XQuAD": ["de", "zh"],
}


def test_every_configuration_has_a_run_here():
    assert set(RUNS) == set(COMPLETE)
    assert {name for names in RECIPE_RUNS for name in names} - set(MIXES) == set(RECIPES)


@pytest.mark.parametrize("name", [name for name in MIXES if "_then_" in name])
def test_a_target_after_the_mix_is_the_mix_and_the_targets_recipe(name, tmp_path):
    target = name.removeprefix("multitask_then_").removesuffix(".yaml")
    plan, apart = read([name]), read(["multitask.yaml", f"protocols/phang2020/{target}.yaml"])
    assert plan.stages == apart.stages
    assert [stage.start for stage in plan.stages] == [None, "multitask"]
    assert plan.name == "multitask"  # all targets find its first stage there
    for stage in plan.stages:
        parse(stage, tmp_path)


def test_masked_words_stand_beside_the_mix_at_half_the_rate():
    (mix,), (stage,) = read(["multitask.yaml"]).stages, read(["multitask_mlm.yaml"]).stages
    data = stage.config["data"]["init_args"]
    assert data["tasks"][:-1] == mix.config["data"]["init_args"]["tasks"]
    assert data["tasks"][-1]["class_path"] == "MLM"
    assert len(data["tasks"][-1]["init_args"]["train_languages"]) == 40
    assert stage.config["model"]["lr"] == mix.config["model"]["lr"] / 2 == 5e-6


def test_the_mix_holds_the_papers_nine_tasks_with_their_batches():
    (stage,) = read(["multitask.yaml"]).stages
    data, trainer = stage.config["data"]["init_args"], stage.config["trainer"]
    effective = {
        task["class_path"]: task["init_args"]["batch_size"] * trainer["accumulate_grad_batches"]
        for task in data["tasks"]
    }
    assert effective == {
        **dict.fromkeys(("ANLIPlus", "MNLI", "QQP", "HellaSwag", "CCG"), 24),
        **dict.fromkeys(("SQuAD", "SQuAD2"), 8),
        **dict.fromkeys(("CosmosQA", "CommonsenseQA"), 4),
    }
    assert (data["epochs"], data["sampling"], stage.config["model"]["lr"]) == (3, "proportional", 1e-5)
    assert data["splits"]["validation"] == "validation[:500]"


@pytest.mark.parametrize("name", shipped())
def test_its_first_line_says_what_it_is(name):
    first, *rest = shipped()[name].read_text(encoding="utf-8").splitlines()
    assert first.startswith("# ")
    assert first.endswith(".")
    assert rest


@pytest.mark.parametrize("name", [name for name in shipped() if name.startswith("trainer/")])
def test_trainer_settings_are_laid_under_another_configuration(name, tmp_path):
    alone, laid = composed(shipped()[name]), read([name, "zero_shot_xnli.yaml"])
    assert set(alone) == {"trainer"}
    assert laid.name == "zero_shot_xnli"
    (stage,) = laid.stages
    assert stage.config["trainer"] == alone["trainer"] | composed(shipped()["zero_shot_xnli.yaml"])["trainer"]
    parsed = parse(stage, tmp_path).config.trainer
    assert {key: parsed[key] for key in alone["trainer"]} == alone["trainer"]


@pytest.mark.parametrize(
    ("name", "first", "number"), [("phang2020.yaml", "none-xnli", 90), ("small/sweep.yaml", "none-XNLI-seed1", 40)]
)
def test_every_stage_of_a_sweep_parses(name, first, number, tmp_path):
    cells = plan(name, out_dir=tmp_path).cells
    assert (cells[0].name, len(cells)) == (first, number)
    for stage in {looks_alike(stage): stage for cell in cells for stage in cell.plan.stages}.values():
        assert parse(stage, tmp_path).config.model.encoder in ("xlm-roberta-large", "offline-small")
    assert set(SWEEPS) == {"phang2020.yaml", "small/sweep.yaml"}


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


def small(tiny_encoder, tmp_path, data_dir: Path | None = DATA) -> list[tuple[str, object]]:
    """Settings that make a run one step on three rows a task."""
    settings = {
        "out_dir": tmp_path / "runs",
        "model.encoder": tiny_encoder,
        "trainer.accelerator": "cpu",
        "trainer.max_steps": 1,
        "trainer.logger": False,
        "trainer.enable_progress_bar": False,
        "data.batch_size": 2,
        "data.cache_dir": tmp_path / "cache",
        **({"data.data_dir": data_dir} if data_dir else {}),
    }
    return [(key, str(value) if isinstance(value, Path) else value) for key, value in settings.items()]


def scored(results) -> dict[str, dict[str, str]]:
    """Stage -> task -> languages of the test scores."""
    tested = results.where(split="test")
    return {
        stage: {
            task: " ".join(sorted(tested.where(stage=stage, task=task).languages()))
            for task in dict.fromkeys(row.task for row in tested.where(stage=stage))
        }
        for stage in dict.fromkeys(row.stage for row in tested)
    }


@pytest.mark.parametrize("name", COMPLETE)
def test_it_runs_to_the_end(name, tiny_encoder, tmp_path):
    words, wanted = RUNS[name]
    settings = small(tiny_encoder, tmp_path, None if name == "demo.yaml" else DATA)
    results = run(read([name], [*settings, *parse_overrides(words)]))
    assert scored(results) == wanted
    scores = [row for row in results if row.metric not in ("loss", "perplexity")]
    assert all(0 <= row.value <= 100 and 0 < row.n <= (14 if row.task == "anli_plus" else 3) for row in scores)
    untrained = {"tatoeba", "bucc2018"}
    assert all(row.steps == (row.task not in untrained) for row in results)
    tested = results.where(split="test")
    for stage, parsed in zip(wanted, read([name]).stages, strict=True):
        row = tested.where(stage=stage).rows[0]
        assert len(row.chain) == (row.task not in untrained) + (parsed.start is not None)


def members(plan: Plan) -> dict[str, list[str]]:
    """Stage -> its task, and the further ones that are scored with its head."""
    blocks = {stage.name: stage.config["data"] for stage in plan.stages}
    return {name: [data["class_path"], *data["init_args"].get("evaluate", [])] for name, data in blocks.items()}


@pytest.mark.parametrize("names", RECIPE_RUNS, ids=" ".join)
def test_a_recipe_runs_to_the_end(names, tiny_encoder, tmp_path):
    stages = members(read(names))
    settings = [*small(tiny_encoder, tmp_path), ("trainer.val_check_interval", 1)]
    for stage, (task, *others) in stages.items():
        settings += [(f"stages.{stage}.data.languages", THERE[task])] if task in THERE else []
        blocks = [{"class_path": other, "init_args": {"languages": THERE[other]}} for other in others]
        settings += [(f"stages.{stage}.data.evaluate", blocks)] if blocks else []
    plan = read(names, settings)
    results = run(plan)
    last, tasks = list(stages.items())[-1]
    assert scored(results)[last] == {
        getattr(datamodules, task).task.name: " ".join(THERE.get(task, ["en"])) for task in tasks
    }
    free = {stage for stage, tasks in stages.items() if tasks[0] in ("Tatoeba", "BUCC2018")}
    assert {row.stage: row.steps for row in results} == {stage: 0 if stage in free else 1 for stage in stages}
    assert {row.stage: row.protocol for row in results} == {stage.name: stage.protocol for stage in plan.stages}
    assert {tuple(row.chain) for row in results.where(stage=last)} == {
        tuple(stage for stage in stages if stage not in free)
    }
