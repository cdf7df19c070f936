"""Whole runs on three rows a task and a random encoder: what carries over, what is skipped, what stops a run early."""

from __future__ import annotations

import json
import logging
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from xtransfer.config import expand
from xtransfer.errors import ConfigError, DataError
from xtransfer.module import TransferModule
from xtransfer.pipeline import evaluate, layers, prepare, run
from xtransfer.results import Results
from xtransfer.run_table import table

DATA = Path(__file__).parent / "data"
LINES = {"class_path": "xtransfer.sources.TextLines", "init_args": {"paths": {"train": "train-{language}.txt"}}}
MASKED = {
    "class_path": "CustomTask",
    "init_args": {
        "data_dir": str(DATA / "mlm"),
        "task": {"name": "own", "kind": "mlm", "fields": {"text": "text"}, "metric": "perplexity", "files": [LINES]},
    },
}


@pytest.fixture
def config(tiny_encoder, tmp_path):
    """MNLI, then TyDiQA, and TyDiQA alone."""
    qa = {"data": {"class_path": "TyDiQA", "init_args": {"languages": ["en", "ru"]}}}
    return {
        "name": "toy",
        "out_dir": str(tmp_path / "runs"),
        "seed_everything": 3,
        "model": {"encoder": str(tiny_encoder), "lr": 1e-2},
        "trainer": {
            "accelerator": "cpu",
            "max_steps": 2,
            "enable_progress_bar": False,
            "logger": False,
            "gradient_clip_val": 1.0,
        },
        "data": {"init_args": {"data_dir": str(DATA), "batch_size": 2, "cache_dir": str(tmp_path / "cache")}},
        "stages": {
            "mnli": {"data": {"class_path": "MNLI"}},
            "qa": qa,
            "alone": {**qa, "init": None},
        },
    }


def only(config, *names, **stages):
    return {**config, "stages": {name: config["stages"][name] for name in names} | stages}


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "encoder" / "model.safetensors")


def equal(a, b) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)


def test_the_encoder_is_handed_over_and_the_baseline_starts_afresh(config, tiny_encoder, tmp_path):
    frozen = {"model": {"lr": 0.0}}
    for name in ("qa", "alone"):
        config["stages"][name] = {**config["stages"][name], **frozen}
    run(config)
    runs = tmp_path / "runs" / "toy"
    pretrained = load_file(tiny_encoder / "model.safetensors")
    first, second, alone = (weights(runs / name) for name in ("1-mnli", "2-qa", "3-alone"))
    assert not equal(first, pretrained)  # it was trained
    assert equal(second, first)  # and, not trained further, is what stage two ends with
    assert equal(alone, pretrained)


def test_heads_are_kept_only_when_asked(config, tmp_path):
    again = {"data": {"class_path": "MNLI"}, "model": {"lr": 0.0}}
    kept = {**again, "init": {"from": "mnli", "parts": ["encoder", "heads"]}}
    run(only(config, "mnli", fresh=again, kept=kept))
    runs = tmp_path / "runs" / "toy"
    heads = [load_file(runs / name / "heads" / "mnli" / "head.safetensors") for name in ("1-mnli", "2-fresh", "3-kept")]
    assert equal(heads[2], heads[0])
    assert not equal(heads[1], heads[0])


def test_rows_say_how_a_score_came_about(config, tmp_path, tiny_encoder):
    results = run(only(config, "mnli", "qa"))
    row = results.where(stage="qa", task="tydiqa", metric="f1", language="ru", split="test").rows[0]
    assert (row.run, row.chain, row.head, row.n, row.seed, row.steps) == ("toy", ("mnli", "qa"), "tydiqa", 3, 3, 2)
    assert row.encoder == str(tiny_encoder)
    assert row.layer == 2
    assert row.rows == "test" or row.rows == "validation"
    assert "tydiqa-goldp-v1.1-dev.json" in row.origin
    assert row.counts["rows"] == 3
    assert row.main
    assert "SQuAD" in row.variant or row.variant
    assert set(row.versions) >= {"xtransfer", "torch", "lightning", "transformers", "datasets", "peft", "python"}
    assert Path(row.config_file).is_file()
    assert len(row.config) == 16
    written = Results.load(tmp_path / "runs" / "toy")
    assert [(r.stage, r.metric, r.value) for r in written] == [(r.stage, r.metric, r.value) for r in results]


def test_predictions_are_what_was_scored(config, tmp_path):
    config["stages"]["mnli"]["data"] = {"class_path": "XNLI", "init_args": {"languages": ["en", "de"]}}
    results = run(only(config, "mnli"))
    predicted = tmp_path / "runs/toy/1-mnli/predictions/xnli"
    gold = {"en": [], "de": []}
    for line in (DATA / "xnli" / "xnli.test.tsv").read_text(encoding="utf-8").splitlines()[1:]:
        language, label = line.split("\t")[:2]
        if language in gold:
            gold[language].append(label)
    for language, labels in gold.items():
        lines = (predicted / f"test-{language}.tsv").read_text().splitlines()
        right = sum(a == b for a, b in zip(lines, labels, strict=True))
        score = results.where(language=language, split="test", metric="accuracy").rows[0].value
        assert score == pytest.approx(100 * right / len(labels))


def test_a_finished_stage_is_skipped_and_a_changed_one_is_not(config, tmp_path):
    two = only(config, "mnli", "qa")
    run(two)
    files = [tmp_path / "runs/toy" / name / "encoder/model.safetensors" for name in ("1-mnli", "2-qa")]
    before = [file.stat().st_mtime_ns for file in files]
    again = run(two)
    assert [file.stat().st_mtime_ns for file in files] == before
    assert {row.stage for row in again} == {"mnli", "qa"}
    run(two, [("stages.qa.model.lr", 1e-3)])
    after = [file.stat().st_mtime_ns for file in files]
    assert after[0] == before[0]
    assert after[1] > before[1]
    run(two, [("stages.mnli.model.lr", 1e-3), ("stages.qa.model.lr", 1e-3)])
    last = [file.stat().st_mtime_ns for file in files]
    assert last[0] > after[0]
    assert last[1] > after[1]  # what stage two starts from has changed


def test_changed_data_train_again(config, tmp_path):
    shutil.copytree(DATA / "mnli", tmp_path / "data" / "mnli")
    config["data"]["init_args"]["data_dir"] = str(tmp_path / "data")
    first, second = (prepare(expand(only(config, "mnli")))[0].identity for _ in range(2))
    assert first == second
    file = tmp_path / "data" / "mnli" / "multinli_1.0_train.jsonl"
    file.write_text(file.read_text(encoding="utf-8").replace("cat", "dog"), encoding="utf-8")
    assert prepare(expand(only(config, "mnli")))[0].identity != first


@pytest.mark.parametrize(
    ("path", "value", "error", "message"),
    [
        ("trainer.max_epoch", 1, ConfigError, "stage 'qa': unknown key 'trainer.max_epoch'; did you mean 'max_epochs'"),
        ("model.lrr", 1, ConfigError, "stage 'qa': unknown key 'model.lrr'; did you mean 'lr'"),
        ("modle", {}, ConfigError, "stage 'qa': unknown key 'modle'; did you mean 'model'"),
        ("data.batchsize", 1, ConfigError, "stage 'qa': unknown key 'data.batchsize'; did you mean 'batch_size'"),
        ("data", "TyDiQUA", ConfigError, "stage 'qa': data.class_path: no task 'TyDiQUA'; did you mean 'TyDiQA'"),
        ("trainer.max_epochs", "three", ConfigError, "stage 'qa': .*max_epochs.*three"),
        ("model.layer", 9, ConfigError, "layer"),
        ("data.languages", ["enn"], ConfigError, "stage 'qa': task 'tydiqa' has no language 'enn'; did you mean 'en'"),
        ("data.splits", {"train": "train[3"}, ConfigError, r"'train\[3' names no rows"),
        ("data.splits", {"trian": "train"}, ConfigError, "unknown split 'trian'; did you mean 'train'"),
        ("data.max_length", 600, ConfigError, "max_length 600 is more than the 512 tokens"),
        ("data.options", {"strid": 3}, ConfigError, "unknown option 'strid'.*did you mean 'stride'"),
        ("data.folder", "nowhere", DataError, "nowhere"),
        ("model.encoder", "no-such-encoder", ConfigError, "no-such-encoder"),
        ("model.heads", {"tydiqq": "xtransfer.heads.SpanHead"}, ConfigError, "did you mean 'tydiqa'"),
        ("data", MASKED, ConfigError, "task 'own': metric: no score 'perplexity'; known: accuracy"),
        ("select", "val/tydiqa/f2/en", ConfigError, "select: no score 'val/tydiqa/f2/en'"),
        ("init", {"parts": ["encodr"]}, ConfigError, "unknown part 'encodr'; did you mean 'encoder'"),
    ],
)
def test_a_fault_in_stage_two_stops_the_run_before_stage_one(config, tmp_path, path, value, error, message):
    with pytest.raises(error, match=message):
        run(only(config, "mnli", "qa"), [(f"stages.qa.{path}", value)])
    assert not (tmp_path / "runs" / "toy" / "1-mnli").exists()


def test_without_gold_there_are_predictions_and_no_score(config, tmp_path):
    folder = tmp_path / "data" / "xnli"
    folder.mkdir(parents=True)
    (folder / "test-de.tsv").write_text("Ein Hund läuft.\tDer Hund ist alt.\nNiemand isst.\tDie Katze isst.\n")
    member = {"class_path": "XNLI", "init_args": {"data_dir": str(tmp_path / "data"), "languages": ["de"]}}
    config["stages"]["mnli"]["data"] = {"class_path": "MNLI", "init_args": {"evaluate": [member]}}
    results = run(only(config, "mnli"))
    assert len(results.where(task="mnli"))
    assert len(results.where(task="xnli")) == 0
    lines = (tmp_path / "runs/toy/1-mnli/predictions/xnli/test-de.tsv").read_text().splitlines()
    assert len(lines) == 2
    assert set(lines) <= {"entailment", "neutral", "contradiction"}


def test_other_data_sets_are_scored_with_the_head_trained_here(config):
    member = {"class_path": "XQuAD", "init_args": {"languages": ["en", "zh"]}}
    config["stages"]["alone"]["data"]["init_args"]["evaluate"] = [member]
    results = run(only(config, "alone"))
    rows = results.where(task="xquad", metric="f1", split="test")
    assert {(row.head, row.language) for row in rows} == {("tydiqa", "en"), ("tydiqa", "zh")}


def test_a_data_set_of_another_kind_is_refused(config):
    config["stages"]["alone"]["data"]["init_args"]["evaluate"] = ["XNLI"]
    with pytest.raises(ConfigError, match="'xnli' .*cannot be scored with the head of 'tydiqa'"):
        run(only(config, "alone"))


def test_retrieval_needs_no_training(config, tmp_path):
    tatoeba = {"data": {"class_path": "Tatoeba", "init_args": {"languages": ["de", "zh"]}}}
    results = run(only(config, "mnli", tatoeba=tatoeba))
    row = results.where(task="tatoeba", language="de").rows[0]
    assert (row.chain, row.steps, row.layer, row.pooling) == (("mnli",), 0, 1, "mean")  # round(14 / 24 * 2)
    lines = (tmp_path / "runs/toy/2-tatoeba/predictions/tatoeba/test-de.tsv").read_text().splitlines()
    assert len(lines) == 3
    assert set(map(int, lines)) <= {0, 1, 2}
    shutil.rmtree(tmp_path / "runs/toy/2-tatoeba/encoder")
    with pytest.raises(ConfigError, match="stage 'tatoeba' is not trained"):  # it goes on from mnli's encoder
        evaluate(only(config, "mnli", tatoeba=tatoeba), "test")


def test_layers_are_never_chosen_on_test_rows(config):
    with pytest.raises(ConfigError, match="no stage has a retrieval task with development rows"):
        layers(only(config, tatoeba={"data": {"class_path": "Tatoeba", "init_args": {"languages": ["de"]}}}))


@pytest.mark.parametrize("native", [True, False])
def test_rows_of_a_layer_are_those_of_an_evaluation_at_it(config, monkeypatch, native):
    """In the same precision, with the same threshold and where it is from."""
    monkeypatch.setattr("xtransfer.task_metrics.native_bf16", lambda device: native)
    mining = only(config, bucc={"data": {"class_path": "BUCC2018", "init_args": {"languages": ["de"]}}})
    run(mining)
    (row,) = (row for row in evaluate(mining, "validate") if row.metric == "f1")
    same = [other for other in layers(mining) if (other.layer, other.metric) == (row.layer, "f1")]
    assert [replace(other, time=row.time) for other in same] == [row]
    assert row.precision == ("bf16" if native else "32-true")
    assert row.threshold.endswith(", best on these rows")


def test_the_kept_model_is_the_best_and_no_checkpoint_stays(config, tmp_path):
    results = run(only(config, "mnli"), [("trainer.max_steps", 4)])
    folder = tmp_path / "runs/toy/1-mnli"
    row = results.rows[0]
    assert row.selected.startswith("best val/mnli/accuracy/en")
    assert not list((folder / "checkpoints").iterdir())  # encoder and heads are files of their own
    best = max(row.value for row in results.where(split="validation", metric="accuracy", language="en"))
    assert f"{best:.2f}" in row.selected


def test_select_last_keeps_the_last(config):
    results = run({**only(config, "mnli"), "select": "last"})
    assert results.rows[0].selected == "last"


def test_a_head_of_ones_own_by_class_path(config, tmp_path):
    heads = {"mnli": {"class_path": "xtransfer.heads.ClassificationHead", "init_args": {"pooling": "mean"}}}
    results = run(only(config, "mnli"), [("stages.mnli.model.heads", heads)])
    assert results.rows[0].pooling == "mean"
    saved = json.loads((tmp_path / "runs/toy/1-mnli/heads/mnli/head.json").read_text())
    assert "mean" in json.dumps(saved)
    assert "entailment" in json.dumps(saved)


def test_a_custom_task_needs_no_python(config, tmp_path):
    folder = tmp_path / "data" / "toy"
    folder.mkdir(parents=True)
    for name in ("train-en", "dev-en", "test-en", "test-de"):
        (folder / f"{name}.tsv").write_text("text\tlabel\ngood dog\tplus\nbad cat\tminus\n")
    task = {
        "name": "toy",
        "kind": "classification",
        "labels": ["plus", "minus"],
        "languages": ["en", "de"],
        "fields": {"text": "text", "label": "label"},
        "files": [
            {
                "class_path": "xtransfer.sources.Tsv",
                "init_args": {
                    "paths": {
                        s: f"{n}-{{language}}.tsv"
                        for s, n in (("train", "train"), ("validation", "dev"), ("test", "test"))
                    }
                },
            }
        ],
    }
    custom = {"data": {"class_path": "CustomTask", "init_args": {"task": task, "data_dir": str(tmp_path / "data")}}}
    results = run(only(config, toy=custom))
    assert {row.language for row in results.where(split="test", task="toy")} == {"en", "de"}


def test_custom_task_without_a_record_says_so(config):
    with pytest.raises(ConfigError, match="CustomTask has no task record"):
        run(only(config, toy={"data": {"class_path": "CustomTask"}}))


def test_finished_models_are_scored_again_and_predict(config, tmp_path):
    trained = run(only(config, "mnli", "alone"))
    scored = evaluate(only(config, "mnli", "alone"), "test")
    assert [(row.task, row.metric, row.value) for row in scored] == [
        (row.task, row.metric, row.value) for row in trained.where(split="test")
    ]
    developed = evaluate(only(config, "mnli", "alone"), "validate")
    assert {row.split for row in developed} == {"validation"}
    file = tmp_path / "runs/toy/2-alone/predictions/tydiqa/test-ru.json"
    before = file.read_text()
    file.unlink()
    assert len(evaluate(only(config, "mnli", "alone"), "predict")) == 0
    assert file.read_text() == before


def test_scoring_again_leaves_the_learning_curves_as_they_are(config, tmp_path):
    del config["trainer"]["logger"]
    config["trainer"]["log_every_n_steps"] = 1
    run(only(config, "alone"))
    log = tmp_path / "runs/toy/1-alone/csv/metrics.csv"
    before = log.read_text()
    assert "train/tydiqa/loss" in before
    for command in ("validate", "test"):
        evaluate(only(config, "alone"), command)
        assert log.read_text() == before


def test_scoring_before_training_says_what_to_do(config):
    with pytest.raises(ConfigError, match="stage 'mnli' is not trained: run `xtransfer fit` first"):
        evaluate(only(config, "mnli"), "test")


def test_equal_seeds_give_equal_weights(config, tmp_path):
    for name in ("one", "two"):
        run({**only(config, "mnli"), "name": name})
    assert equal(weights(tmp_path / "runs/one/1-mnli"), weights(tmp_path / "runs/two/1-mnli"))
    run({**only(config, "mnli"), "name": "three"}, [("seed_everything", 4)])
    assert not equal(weights(tmp_path / "runs/one/1-mnli"), weights(tmp_path / "runs/three/1-mnli"))


def test_the_table_compares_with_the_baseline(config):
    text = table(run(config))
    assert "mnli → qa" in text
    assert "difference" in text
    assert "tydiqa: em in percent" in text


def test_rows_are_scored_in_bfloat16_where_it_is_native(config, monkeypatch):
    """Rows say in which precision they were scored; what is trained stays in single precision."""
    dtypes = []
    original = TransferModule.forward

    def watch(self, batch):
        output = original(self, batch)
        dtypes.append((self.trainer.state.fn.value, output.logits.dtype))
        return output

    monkeypatch.setattr(TransferModule, "forward", watch)
    monkeypatch.setattr("xtransfer.task_metrics.native_bf16", lambda device: True)
    results = run(only(config, "mnli"))
    assert {row.precision for row in results} == {"bf16"}
    assert {dtype for state, dtype in dtypes if state == "test"} == {torch.bfloat16}
    dtypes.clear()
    results = run({**only(config, "mnli"), "name": "full"}, [("model.eval_bf16", False)])
    assert {row.precision for row in results} == {"32-true"}
    assert {dtype for _, dtype in dtypes} == {torch.float32}
    dtypes.clear()
    results = run({**only(config, "mnli"), "name": "mixed"}, [("trainer.precision", "bf16-mixed")])
    assert {row.precision for row in results} == {"bf16-mixed"}
    assert {dtype for _, dtype in dtypes} == {torch.bfloat16}


@pytest.mark.parametrize("precision", ["bf16-mixed", "32-true"])
def test_gradients_are_clipped_in_every_precision(config, precision, monkeypatch):
    """Lightning refuses to clip for a fused optimiser in mixed precision, unless told that it undoes no scaling."""
    norms = []
    original = torch.optim.AdamW.step

    def watch(self, *args, **kwargs):
        found = [p.grad for group in self.param_groups for p in group["params"] if p.grad is not None]
        norms.append(float(torch.nn.utils.get_total_norm(found)))
        assert self.defaults["fused"]
        return original(self, *args, **kwargs)

    monkeypatch.setattr(torch.optim.AdamW, "step", watch)
    run(only(config, "mnli"), [("trainer.precision", precision), ("trainer.gradient_clip_val", 0.01)])
    assert norms
    assert max(norms) <= 0.0101


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("model.lr", -1.0, "model.lr must be at least 0, found -1"),
        ("model.lr", float("nan"), "model.lr must be at least 0, found nan"),
        ("model.warmup", -1, "model.warmup must be at least 0"),
        ("model.weight_decay", -0.1, "model.weight_decay must be at least 0"),
        ("model.layer_decay", 0, "stage 'qa': layer_decay is 0"),
        ("data.shots", -1, "shots must be at least 1, found -1"),
        ("data.num_workers", -1, "num_workers must not be negative"),
        ("trainer.gradient_clip_val", -1, "trainer.gradient_clip_val must be at least 0"),
        ("trainer.accumulate_grad_batches", 0, "trainer.accumulate_grad_batches must be at least 1"),
        ("trainer.limit_train_batches", 0, "trainer.limit_train_batches must be above 0"),
        ("trainer.val_check_interval", 1.5, "stage 'qa': trainer: .*val_check_interval"),
        ("trainer.max_steps", -2, "stage 'qa': trainer: .*max_steps"),
        ("trainer.devices", 0, "stage 'qa': trainer.devices must be a number of devices"),
        ("init", {"parts": []}, "stage 'qa': init.parts is empty"),
        ("init", {"parts": ["heads"]}, "stage 'qa': init.parts: stage 'mnli' has no head 'tydiqa'; it has mnli"),
    ],
)
def test_numbers_and_heads_of_stage_two_are_looked_at_before_stage_one(config, tmp_path, path, value, message):
    with pytest.raises(ConfigError, match=message):
        run(only(config, "mnli", "qa"), [(f"stages.qa.{path}", value)])
    assert not (tmp_path / "runs" / "toy" / "1-mnli").exists()


@pytest.mark.parametrize(
    "settings",
    [
        {"strategy": {"class_path": "lightning.pytorch.strategies.DDPStrategy"}},
        {"logger": {"class_path": "lightning.pytorch.loggers.CSVLogger", "init_args": {"save_dir": "logs"}}},
        {"callbacks": {"class_path": "lightning.pytorch.callbacks.LearningRateMonitor"}},
        {"profiler": {"class_path": "lightning.pytorch.profilers.SimpleProfiler"}},
        {"accelerator": "gpu", "devices": 4, "num_nodes": 2, "precision": "bf16-mixed"},  # planned on another machine
        {"devices": "auto", "limit_train_batches": 1.0, "val_check_interval": None, "max_epochs": -1},
        {"max_time": "00:01:00:00", "gradient_clip_val": 0, "deterministic": True, "benchmark": True},
    ],
)
def test_what_a_trainer_takes_passes_the_check_and_changes_nothing(config, settings, monkeypatch):
    monkeypatch.setenv("SLURM_NTASKS", "2")  # of a job of another make
    config["stages"] = {"qa": {**config["stages"]["qa"], "trainer": settings}}
    before = torch.are_deterministic_algorithms_enabled(), torch.backends.cudnn.benchmark
    assert [step.stage.name for step in prepare(expand(config))] == ["qa"]
    assert (torch.are_deterministic_algorithms_enabled(), torch.backends.cudnn.benchmark) == before


def test_gold_is_wanted_of_the_language_that_chooses(config, tmp_path):
    rows = {"en": ["", ""], "de": ["neutral", "entailment"]}
    for code, labels in rows.items():
        for split in ("train", "dev"):
            told = [
                {"a": "the dog", "b": "a cat", "label": gold or ("neutral" if split == "train" else "")}
                for gold in labels
            ]
            (tmp_path / f"{split}-{code}.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in told))
    paths = {"train": "train-{language}.jsonl", "validation": "dev-{language}.jsonl"}
    task = {
        "name": "own",
        "kind": "classification",
        "fields": {"text": "a", "pair": "b", "label": "label"},
        "labels": ["neutral", "entailment"],
        "unlabelled": [""],
        "languages": ["en", "de"],
        "files": [{"class_path": "xtransfer.sources.JsonLines", "init_args": {"paths": paths}}],
    }
    given = {
        "data_dir": str(tmp_path),
        "folder": ".",
        "task": task,
        "dev_languages": ["en", "de"],
        "splits": {"test": "validation"},
    }
    config["stages"] = {"own": {"data": {"class_path": "CustomTask", "init_args": given}}}
    (step,) = prepare(expand(config))
    assert not step.chooses  # English is what models are chosen by
    assert prepare(expand({**config, "select": "val/own/accuracy/mean"}))[0].chooses
    with pytest.raises(ConfigError, match=r"no development row has a gold label \(own/validation/en\)"):
        prepare(expand({**config, "select": "val/own/accuracy/en"}))


def test_without_gold_on_development_rows_the_last_model_is_kept(config, tmp_path, caplog):
    shutil.copytree(DATA, tmp_path / "data")
    for file in (tmp_path / "data/mnli").rglob("*dev_matched*"):
        lines = [{**json.loads(line), "gold_label": "-"} for line in file.read_text(encoding="utf-8").splitlines()]
        file.write_text("".join(f"{json.dumps(line)}\n" for line in lines), encoding="utf-8")
    told = only(config, "mnli")
    told["data"] = {"init_args": {**told["data"]["init_args"], "data_dir": str(tmp_path / "data")}}
    with pytest.raises(ConfigError, match="stage 'mnli': select: no development row has a gold label"):
        run({**told, "select": "val/mnli/accuracy/en"})
    with caplog.at_level(logging.WARNING):
        run(told)
    assert "no development row has a gold label (mnli/validation/en): the last model will be kept" in caplog.text
    assert (tmp_path / "runs/toy/1-mnli/DONE").is_file()


def test_a_run_without_a_seed_says_so(config):
    assert {row.seed for row in run({**only(config, "mnli"), "seed_everything": False})} == {None}


def test_a_finished_stage_is_scored_as_it_was_trained(config, tmp_path, caplog):
    config = only(config, "mnli")
    run(config)
    files = [p for p in (tmp_path / "runs/toy/1-mnli/predictions").rglob("*") if p.is_file()]
    predictions = {file: file.read_bytes() for file in files}
    for name, value in (("data.limit", 1), ("model.layer", 1), ("data.max_length", 8)):
        key = name.partition(".")[2]
        with pytest.raises(ConfigError, match=rf"trained with other settings \(then -> now\): .*{key}"):
            evaluate(config, "test", [(name, value)])
    assert evaluate(config, "test", [("data.eval_batch_size", 1)]).rows
    assert {p: p.read_bytes() for p in predictions} == predictions
    with caplog.at_level(logging.WARNING):
        run(config, [("model.lr", 3e-3)])
    assert "trained before, and trained again now" in caplog.text
    assert "model.lr" in caplog.text
    caplog.clear()
    run(config, [("model.lr", 4e-3), ("trainer.log_every_n_steps", 7), ("data.num_workers", 0)])
    assert "model.lr" in caplog.text
    assert "log_every_n_steps" not in caplog.text


def test_a_finished_mix_is_scored_in_other_languages(config):
    tasks = [{"class_path": "MNLI"}, {"class_path": "XNLI", "init_args": {"languages": ["en", "de"]}}]
    mixed = {"data": {"class_path": "MultiTask", "init_args": {"tasks": tasks, "steps": 2}}}
    config["stages"] = {"mixed": mixed}
    run(config)
    tasks[1]["init_args"] |= {"languages": ["en"], "eval_batch_size": 1}
    assert {row.language for row in evaluate(config, "test").where(task="xnli")} == {"en"}


def test_looking_less_often_than_there_are_batches_is_refused_in_one_line(config):
    with pytest.raises(ConfigError, match="stage 'mnli': trainer: .*val_check_interval"):
        run(only(config, "mnli"), [("trainer.val_check_interval", 2000), ("trainer.max_steps", -1)])
