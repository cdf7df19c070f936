"""The shipped recipes have the published numbers, go with one another, and stop and choose as their authors did."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

from xtransfer.config import Stage, read
from xtransfer.config_files import shipped
from xtransfer.datamodules import TaskDataModule
from xtransfer.kinds import KINDS
from xtransfer.pipeline import run
from xtransfer.stage_cli import StageCLI, data_of, parse
from xtransfer.sweeps.sweeping import plan

DATA = Path(__file__).parent / "data"
STUDY = Path(__file__).resolve().parents[1] / "docs" / "study.md"
LAYERS = 24
"""Depth of XLM-R large."""


class Recipe(NamedTuple):
    """A published recipe: micro-batch x accumulation, and optimisation steps between two looks at development rows."""

    data: str
    lr: float
    batch: tuple[int, int]
    epochs: int
    length: int
    warmup: float
    decay: float
    seed: int
    check: int | None = None


# XTREME and XTREME-R: the scripts of google-research/xtreme, for XLM-R large. `check` None: the last model is taken.
OFFICIAL = {
    "xnli": {"xnli": Recipe("XNLI", 3e-5, (2, 16), 5, 128, 0, 0.0, 42, 100)},
    "pawsx": {"pawsx": Recipe("PAWSX", 2e-5, (2, 16), 5, 128, 0, 0.0, 42, 200)},
    "udpos": {"udpos": Recipe("UDPOS", 2e-5, (2, 16), 10, 128, 0, 0.0, 1, 500)},
    "panx": {"panx": Recipe("PANX", 2e-5, (2, 16), 10, 128, 0, 0.0, 1, 1000)},
    "xquad": {"xquad": Recipe("XQuAD", 3e-5, (4, 8), 3, 384, 500, 1e-4, 42)},
    "mlqa": {"mlqa": Recipe("MLQA", 3e-5, (4, 8), 3, 384, 500, 1e-4, 42)},
    "tydiqa": {"tydiqa": Recipe("TyDiQA", 3e-5, (4, 8), 3, 384, 500, 1e-4, 42)},
    "tatoeba_r": {"squad": Recipe("SQuAD", 3e-5, (2, 16), 2, 384, 500, 1e-4, 42)},
    "xcopa": {
        "siqa": Recipe("SIQA", 3e-5, (2, 16), 5, 128, 0, 0.0, 42),
        "xcopa": Recipe("XCOPA", 3e-5, (2, 16), 5, 128, 0, 0.0, 42),
    },
    "lareqa": {"lareqa": Recipe("LAReQA", 2e-5, (4, 4), 3, 256, 0, 0.0, 42, 1000)},
    "mewslix": {"mewslix": Recipe("MewsliX", 1e-5, (8, 4), 2, 64, 0, 0.0, 42)},
}
AGAIN = ("udpos", "panx", "xquad", "xnli", "mlqa", "tydiqa")
"""Tasks that XTREME-R has from XTREME."""
OFFICIAL |= {f"{task}_r": OFFICIAL[task] for task in AGAIN}
XTREME_R = ("tatoeba_r", "xcopa", "lareqa", "mewslix", *(f"{task}_r" for task in AGAIN))


def jiant(data: str, batch: tuple[int, int], epochs: int, length: int) -> Recipe:
    """Phang et al. 2020: what all tasks share."""
    return Recipe(data, 1e-5, batch, epochs, length, 0.1, 0.01, 1, 1000)


TARGETS = {
    "xnli": jiant("MNLI", (4, 8), 2, 256),
    "pawsx": jiant("PAWSX", (4, 8), 5, 256),
    "udpos": jiant("UDPOS", (4, 8), 10, 256),
    "panx": jiant("PANX", (4, 8), 10, 256),
    "xquad": jiant("XQuAD", (4, 4), 2, 384),
    "mlqa": jiant("SQuAD", (4, 4), 2, 384),
    "tydiqa": jiant("TyDiQA", (4, 4), 2, 384),
}
# Effective batches 24, 8 and 4, as recalled from the paper's appendix.
INTERMEDIATES = {
    "mnli": jiant("MNLI", (4, 6), 2, 256),
    "anliplus": jiant("ANLIPlus", (4, 6), 2, 256),
    "qqp": jiant("QQP", (4, 6), 3, 256),
    "squad_v1": jiant("SQuAD", (4, 2), 3, 384),
    "squad_v2": jiant("SQuAD2", (4, 2), 3, 384),
    "hellaswag": jiant("HellaSwag", (4, 6), 7, 256),
    "cosmosqa": jiant("CosmosQA", (4, 1), 15, 256),
    "commonsenseqa": jiant("CommonsenseQA", (4, 1), 10, 256),
    "ccg": jiant("CCG", (4, 6), 15, 256),
}

TRAINED = {
    **{(f"protocols/xtreme/{file}.yaml", stage): row for file, rows in OFFICIAL.items() for stage, row in rows.items()},
    **{(f"protocols/phang2020/{name}.yaml", name): row for name, row in TARGETS.items()},
    **{(f"paper/intermediate/{name}.yaml", name): row for name, row in INTERMEDIATES.items()},
}
FREE = {
    "protocols/xtreme/tatoeba.yaml": "Tatoeba",
    "protocols/xtreme/bucc2018.yaml": "BUCC2018",
    "protocols/xtreme/tatoeba_r.yaml": "Tatoeba",
    "protocols/phang2020/tatoeba.yaml": "Tatoeba",
    "protocols/phang2020/bucc2018.yaml": "BUCC2018",
}
"""Nothing is trained for these."""

RECIPES = [name for name in shipped() if name.startswith(("protocols/", "paper/"))]

# The official evaluator's languages, those that XTREME-R adds after the stroke.
LANGUAGES = {
    "xnli": "ar bg de el en es fr hi ru sw th tr ur vi zh",
    "pawsx": "de en es fr ja ko zh",
    "udpos": "af ar bg de el en es et eu fa fi fr he hi hu id it ja kk ko mr nl pt ru ta te th tl tr ur vi yo zh",
    "panx": "af ar bg bn de el en es et eu fa fi fr he hi hu id it ja jv ka kk ko ml mr ms my nl pt ru sw ta te th tl "
    "tr ur vi yo zh",
    "xquad": "ar de el en es hi ru th tr vi zh",
    "mlqa": "ar de en es hi vi zh",
    "tydiqa": "ar bn en fi id ko ru sw te",
    "bucc2018": "de fr ru zh",
    "tatoeba": "af ar bg bn de el es et eu fa fi fr he hi hu id it ja jv ka kk ko ml mr nl pt ru sw ta te th tl tr ur "
    "vi zh",
    "tatoeba_r": "af ar az bg bn de el es et eu fa fi fr he hi hu id it ja jv ka kk ko lt ml mr nl pl pt ro ru sw ta "
    "te th tl tr uk ur vi zh",
    "udpos_r": "af ar bg de el en es et eu fa fi fr he hi hu id it ja kk ko lt mr nl pl pt ro ru ta te th tl tr uk ur "
    "vi wo yo zh",
    "panx_r": "af ar az bg bn de el en es et eu fa fi fr gu he hi hu id it ja jv ka kk ko lt ml mr ms my nl pa pl pt "
    "qu ro ru sw ta te th tl tr uk ur vi yo zh",
    "xquad_r": "ar de el en es hi ro ru th tr vi zh",
    "xnli_r": "ar bg de el en es fr hi ru sw th tr ur vi zh",
    "mlqa_r": "ar de en es hi vi zh",
    "tydiqa_r": "ar bn en fi id ko ru sw te",
    "xcopa": "et ht id it qu sw ta th tr vi zh",
    "lareqa": "ar de el en es hi ru th tr vi zh",
    "mewslix": "ar de en es fa ja pl ro ta tr uk",
}


class Parsed(NamedTuple):
    """A stage, its effective settings and its data."""

    stage: Stage
    cli: StageCLI
    data: TaskDataModule


@cache
def parsed(name: str) -> dict[str, Parsed]:
    """Stage name -> what it comes to."""
    stages = read([name]).stages
    clis = [parse(stage, Path("runs")) for stage in stages]
    return {stage.name: Parsed(stage, cli, data_of(cli)) for stage, cli in zip(stages, clis, strict=True)}


def test_every_recipe_is_in_the_table():
    assert set(RECIPES) == {name for name, _ in TRAINED} | set(FREE)


@pytest.mark.parametrize(("name", "stage_name"), TRAINED)
def test_a_recipe_has_the_published_numbers(name, stage_name):
    stage, cli, rows = parsed(name)[stage_name]
    config, recipe = cli.config, TRAINED[name, stage_name]
    data, model, trainer = config.data, config.model, config.trainer
    assert data.class_path.rsplit(".", 1)[-1] == recipe.data
    assert model.encoder == "xlm-roberta-large"
    assert (model.lr, model.head_lr, model.layer_decay) == (recipe.lr, None, 1.0)
    assert (model.warmup, model.weight_decay) == (recipe.warmup, recipe.decay)
    assert (model.adam_epsilon, model.schedule) == (1e-8, "linear")
    assert (model.layer, model.dropout, model.freeze_embeddings, model.freeze_layers) == (None, None, False, 0)
    assert (data.init_args.batch_size, trainer.accumulate_grad_batches) == recipe.batch
    assert (trainer.max_epochs, trainer.max_steps, trainer.limit_train_batches) == (recipe.epochs, -1, None)
    assert (trainer.gradient_clip_val, trainer.gradient_clip_algorithm) == (1.0, None)  # None is by norm
    assert trainer.precision == "32-true"
    assert config.seed_everything == recipe.seed
    assert {member.length for member in rows.members} == {recipe.length}
    if recipe.check is None:
        assert stage.select == "last"
    else:
        # Lightning counts batches; None makes it count on from epoch to epoch.
        assert (stage.select, trainer.check_val_every_n_epoch) == ("best", None)
        assert trainer.val_check_interval == recipe.check * recipe.batch[1]


@pytest.mark.parametrize("name", RECIPES)
def test_rows_made_by_a_recipe_say_so(name):
    protocol = "xtreme" if "/xtreme/" in name else "phang2020"
    protocol += "-r" if Path(name).stem in XTREME_R else ""
    assert {stage.protocol for stage in read([name]).stages} == {protocol}


COMPOSED = ["multitask.yaml", "multitask_mlm.yaml", "multitask_then_udpos.yaml"]


@pytest.mark.parametrize("name", [*RECIPES, *COMPOSED])
def test_recipes_are_scored_in_the_precision_they_are_trained_in(name):
    assert {stage.config["model"]["eval_bf16"] for stage in read([name]).stages} == {False}


@pytest.mark.parametrize(("name", "stage_name"), [key for key in TRAINED if "/xtreme/" not in key[0]])
def test_the_paper_stops_early_on_the_first_500_development_rows(name, stage_name):
    _, cli, data = parsed(name)[stage_name]
    (stopping,) = cli.config.trainer.callbacks
    assert stopping.class_path == "lightning.pytorch.callbacks.EarlyStopping"
    assert (stopping.init_args.patience, stopping.init_args.mode) == (30, "max")
    spec = data.record.spec()
    kind = KINDS[spec["kind"]]
    assert stopping.init_args.monitor == f"val/{spec['name']}/{kind.main_score(spec)}/en"
    assert data.splits == {"validation": "validation[:500]"}
    assert data.dev_languages == ["en"]


@pytest.mark.parametrize("name", [name for name, _ in TRAINED if "/xtreme/" in name])
def test_the_official_scripts_do_not_stop_early(name):
    assert all(cli.config.trainer.callbacks is None for _, cli, _ in parsed(name).values())


@pytest.mark.parametrize("name", [name for name in RECIPES if "protocols" in name])
def test_a_target_is_scored_in_the_languages_of_its_benchmark(name):
    target = Path(name).stem
    stage = read([name], [("data.data_dir", "own files")]).stages[-1]  # the hub's copies lack some of XTREME-R's
    data = data_of(parse(stage, Path("runs")))
    scored = {spec["name"]: " ".join(sorted(spec["languages"])) for spec in data.specs()}
    assert scored[target.removesuffix("_r")] == LANGUAGES[target]


@pytest.mark.parametrize("task", AGAIN)
def test_xtreme_r_s_recipe_differs_from_xtreme_s_in_its_name_and_languages_alone(task):
    (mine,), (other,) = (read([f"protocols/xtreme/{name}.yaml"]).stages for name in (f"{task}_r", task))
    for stage in (mine, other):
        stage.config["data"]["init_args"].pop("languages", None)
    assert replace(mine, protocol="xtreme") == other
    assert read([f"protocols/xtreme/{task}_r.yaml"]).name == f"xtreme-r-{task}"


@pytest.mark.parametrize(
    ("name", "stage_name"), [key for key, row in TRAINED.items() if row.data in ("SQuAD", "SQuAD2", "XQuAD", "MLQA")]
)
def test_passages_are_cut_as_published(name, stage_name):
    for member in parsed(name)[stage_name].data.members:
        settings = KINDS["span"].settings(member.record.options)
        assert (settings["stride"], settings["question_length"]) == (128, 64)


@pytest.mark.parametrize("name", FREE)
def test_sentences_are_embedded_at_layer_14_and_nothing_is_trained(name):
    _, cli, data = list(parsed(name).values())[-1]
    spec, kind = data.specs()[0], KINDS["retrieval"]
    assert cli.config.data.class_path.rsplit(".", 1)[-1] == FREE[name]
    assert cli.config.model.layer is None
    assert kind.layer(LAYERS, spec) == 14
    head = kind.new_head(spec, 8).config()
    assert (head["pooling"], head["dense"]) == ("mean", False)
    assert (data.length, data.trains) == (512, False)


@pytest.mark.parametrize("name", ["lareqa", "mewslix"])
def test_dual_encoders_are_the_official_ones(name):
    """First token, dense layer and tanh of the last layer; cosines times a learned 100."""
    data = parsed(f"protocols/xtreme/{name}.yaml")[name].data
    spec, kind = data.specs()[0], KINDS["retrieval"]
    head = kind.new_head(spec, 8).config()
    assert (head["pooling"], head["dense"], head["scale"], head["learn_scale"]) == ("first", True, 100, True)
    assert kind.layer(LAYERS, spec) in (None, LAYERS)
    assert kind.settings(data.record.options)["query_length"] == (96 if name == "lareqa" else None)


# ------------------------------------------------------------------ one file over another
@pytest.mark.parametrize("target", [name for name in RECIPES if "protocols" in name])
def test_a_target_follows_an_intermediate_task(target):
    alone = read([target]).stages
    first, *others = read(["paper/intermediate/mnli.yaml", target]).stages
    assert [stage.name for stage in (first, *others)] == ["mnli", *(stage.name for stage in alone)]
    assert (others[0].start, alone[0].start) == ("mnli", None)
    assert first.config == read(["paper/intermediate/mnli.yaml"]).stages[0].config
    for composed, single in zip(others, alone, strict=True):
        assert (composed.config, composed.select, composed.protocol, composed.parts) == (
            single.config,
            single.select,
            single.protocol,
            single.parts,
        )


@pytest.mark.parametrize("name", [f"paper/intermediate/{name}.yaml" for name in INTERMEDIATES])
def test_targets_share_the_run_of_their_intermediate_task(name):
    """So the intermediate task is trained once, and skipped for the next target."""
    runs = [read([name, f"protocols/phang2020/{target}.yaml"]) for target in (*TARGETS, "tatoeba", "bucc2018")]
    assert {plan.name for plan in runs} == {Path(name).stem}
    assert len({repr(plan.stages[0]) for plan in runs}) == 1


def test_xcopa_cuts_texts_at_their_end_as_the_official_script_does():
    for stage in parsed("protocols/xtreme/xcopa.yaml").values():
        for split in ("train", "validation", "test"):
            for portion in stage.data.portions(split):
                assert KINDS["multiple_choice"].settings(portion.task.options)["truncation_side"] == "right"


def test_xcopa_keeps_the_head_of_social_iqa():
    first, second = read(["protocols/xtreme/xcopa.yaml"]).stages
    assert (second.start, second.parts) == ("siqa", ("encoder", "heads"))
    assert first.start is None


def test_tatoeba_after_squad_is_not_called_tatoeba_as_pretrained():
    before, after = (read([f"protocols/xtreme/{name}.yaml"]) for name in ("tatoeba", "tatoeba_r"))
    assert [stage.start for stage in before.stages] == [None]
    assert [stage.start for stage in after.stages] == [None, "squad"]
    assert (before.name, after.name) == ("xtreme-tatoeba", "xtreme-r-tatoeba")


@pytest.mark.parametrize("files", [("{}", "trainer/gpu.yaml"), ("trainer/gpu.yaml", "{}")])
@pytest.mark.parametrize("name", ["protocols/xtreme/xnli.yaml", "protocols/phang2020/xnli.yaml"])
def test_a_recipe_goes_with_settings_of_a_machine_in_either_order(name, files):
    plan = read([file.format(name) for file in files])
    trainer = plan.stages[0].config["trainer"]
    assert (trainer["accelerator"], trainer["devices"], trainer["precision"]) == ("gpu", 1, "32-true")
    assert plan.name == read([name]).name
    (stage,) = read([name], [("trainer.precision", "bf16-mixed")]).stages
    assert stage.config["trainer"]["precision"] == "bf16-mixed"


def test_the_sweep_of_the_study_has_every_pair_once_with_its_recipes(tmp_path):
    cells = {cell.name: cell.plan.stages for cell in plan("phang2020.yaml", out_dir=tmp_path).cells}
    targets = (*TARGETS, "bucc2018", "tatoeba")
    assert len(cells) == 90
    assert cells.keys() == {f"{task}-{target}" for task in ("none", *INTERMEDIATES) for target in targets}
    for name, stages in cells.items():
        task, target = name.split("-")
        (recipe,) = read([f"protocols/phang2020/{target}.yaml"]).stages
        assert (stages[-1].config, stages[-1].select) == (recipe.config, recipe.select)
        assert len(stages) == (1 if task == "none" else 2)
        if task != "none":
            (before,) = read([f"paper/intermediate/{task}.yaml"]).stages
            assert (stages[0].config, stages[0].select) == (before.config, before.select)


# ------------------------------------------------------------------ stopping and choosing
def test_early_stopping_stops_and_the_best_model_is_kept(tiny_encoder, tmp_path):
    """At a rate of 0 nothing ever improves: the first look sets the mark, two more end it."""
    settings = {
        "out_dir": str(tmp_path),
        "model.encoder": str(tiny_encoder),
        "model.lr": 0.0,
        "data.data_dir": str(DATA),
        "data.cache_dir": str(tmp_path / "cache"),
        "data.batch_size": 3,
        "data.languages": ["en"],
        "trainer.max_epochs": 50,
        "trainer.accumulate_grad_batches": 1,
        "trainer.val_check_interval": 1,
        "trainer.accelerator": "cpu",
        "trainer.logger": False,
        "trainer.enable_progress_bar": False,
    }
    plan = read(["protocols/phang2020/tydiqa.yaml"], list(settings.items()))
    plan.stages[0].config["trainer"]["callbacks"][0]["init_args"]["patience"] = 2
    results = run(plan)
    row = results.where(split="test").rows[0]
    assert (row.protocol, row.steps) == ("phang2020", 3)
    assert row.selected.startswith("best val/tydiqa/f1/en")
    assert row.selected.endswith("at step 1")
    assert (tmp_path / "tydiqa/1-tydiqa/predictions/tydiqa/test-en.json").is_file()
