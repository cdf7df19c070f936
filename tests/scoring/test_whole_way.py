"""Every task, from its files to a score: rows, features, batches, encoder, head, metric, predictions, evaluator."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Trainer

from xtransfer import datamodules
from xtransfer.benchmarks import BenchmarkTask, Form, find
from xtransfer.datamodules import TaskDataModule
from xtransfer.evaluator import SCORERS, score
from xtransfer.kinds import KINDS
from xtransfer.metrics import exact_match, normalizer_of
from xtransfer.module import TransferModule
from xtransfer.predictions import PredictionWriter
from xtransfer.sources import File, JsonLines, XquadR
from xtransfer.task import Task

FIXTURES = Path(__file__).parents[1] / "data"
ENGLISH = "en"

# Task -> languages of the three rows each written for these tests.
MADE = {
    **dict.fromkeys(["MNLI", "MNLIMismatched", "SNLI", "ANLI", "ANLIR1", "ANLIR2", "ANLIR3", "ANLIPlus"], ENGLISH),
    **dict.fromkeys(["QQP", "PAWS", "SQuAD", "SQuAD2", "SQuADRetrieval", "MewsliPairs", "CCG"], ENGLISH),
    **dict.fromkeys(["HellaSwag", "CosmosQA", "CommonsenseQA", "SIQA", "COPA"], ENGLISH),
    "XNLI": "ar de",
    "PAWSX": "de en",
    "UDPOS": "de en",
    "PANX": "de en",
    "XQuAD": "de zh",
    "MLQA": "de en",
    "TyDiQA": "en ru",
    "XCOPA": "it zh",
    "Tatoeba": "de zh",
    "BUCC2018": "de",
    "LAReQA": "de en",
    "MewsliX": "de en",
    "MLM": "de en",
    "DemoNLI": "de en",
    "DemoQA": "de en",
}

PART = JsonLines(paths={"validation": "mnli_dev_matched.repacked.jsonl"})
DEV = {"test": "validation"}
# Task -> languages of the real rows at hand, and where they differ from what the record expects.
TAKEN: dict[str, tuple[str, dict[str, Any]]] = {
    "MNLI": ("en", {"source": PART}),
    "SNLI": ("en", {"folder": "snli/snli_1.0", "splits": DEV}),
    "ANLI": ("en", {"folder": "anli/anli_v0.1"}),
    "QQP": ("en", {"folder": "qqp/glue"}),
    "PAWS": ("en", {}),
    "SQuAD": ("en", {"splits": {"test": "train"}}),
    "SQuAD2": ("en", {"splits": DEV}),
    "HellaSwag": ("en", {"splits": DEV}),
    "CosmosQA": ("en", {"folder": "cosmosqa/native", "splits": DEV}),
    "CommonsenseQA": ("en", {"splits": DEV}),
    "SIQA": ("en", {"folder": "siqa/socialiqa-train-dev", "splits": DEV}),
    "COPA": ("en", {"splits": DEV}),
    "CCG": ("en", {"folder": "ccg/pmb-4.0.0/en"}),
    "SQuADRetrieval": ("en", {"splits": {"test": "train"}}),
    "XNLI": ("ar de sw", {"folder": "xnli/xtreme", "splits": DEV}),
    "PAWSX": ("de ko", {"folder": "pawsx/xtreme", "splits": DEV}),
    "UDPOS": ("ar fr zh", {}),
    "PANX": ("ar de zh", {"folder": "panx/xtreme", "splits": DEV}),
    "XQuAD": ("ar de zh", {}),
    "MLQA": ("de hi zh", {"splits": DEV}),
    "XCOPA": ("qu ta", {}),
    "Tatoeba": ("de ko", {}),
    "TyDiQA": ("en", {"splits": {"test": "train"}}),
    "BUCC2018": ("zh", {"splits": {"test": "validation[:40%]", "validation": "validation[40%:]"}}),
}


def walk(name: str, languages: list[str], encoder: Path, out: Path, **given: Any) -> dict[str, dict[str, float]]:
    """Test an untrained model, write its predictions and the labels, and score these files; return the module's scores.

    Where the task is one of a benchmark, the evaluator's scores of the files must be the module's.
    """
    cls: type[TaskDataModule] = getattr(datamodules, name)
    data = cls(tokenizer=str(encoder), languages=languages, cache_dir=out / "cache", batch_size=8, **given)
    data.check(splits=["validation"] * data.calibrates + ["test"])
    torch.manual_seed(0)
    model = TransferModule(tasks=data.specs(), encoder=str(encoder))
    writer = PredictionWriter(out / "predictions")
    trainer = Trainer(
        accelerator="cpu", logger=False, callbacks=[writer], enable_progress_bar=False, enable_checkpointing=False
    )
    if data.calibrates:
        trainer.validate(model, datamodule=data, verbose=False)
    trainer.test(model, datamodule=data, verbose=False)
    scores = {key.rpartition("/")[2]: found for key, found in model.scores.items() if f"/{data.record.name}/" in key}
    assert {path.name.split(".")[0] for path in (out / "predictions" / data.record.name).iterdir()} == {
        f"test-{language}" for language in languages
    }
    compare(data, out, scores)
    return scores


def compare(data: TaskDataModule, folder: Path, scores: dict[str, dict[str, float]]) -> None:
    name, kind = data.record.name, KINDS[data.record.kind]
    benchmark = next((b for b in ("xtreme", "xtreme-r") if name in [task.name for task in find(b).tasks]), None)
    if benchmark is None:
        for language, own in scores.items():
            compare_outside(data, folder, language, own)
        return
    for language in scores:
        portion = data.portion("test", language)
        path = folder / "labels" / name / f"test-{language}.{kind.file_type(data.record.spec())}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(kind.gold(portion.examples(), portion.task), encoding="utf-8")
    for seqeval, f1 in (("0.0.12", "f1"), ("1.x", "f1_seqeval1")):
        found = score(folder / "predictions", folder / "labels", benchmark, seqeval).tasks[name].languages
        for language, own in scores.items():
            official = found[language]
            for metric, value in official.scores.items():
                key = f1 if metric == "f1" and f1 in own else metric
                assert own[key] == pytest.approx(value, abs=1e-6), (name, language, metric, seqeval)
            assert official.n > 0


FORMS: dict[str, Form] = {
    "classification": "labels",
    "multiple_choice": "choices",
    "span": "answers",
    "retrieval": "rankings",
}


def compare_outside(data: TaskDataModule, folder: Path, language: str, own: dict[str, float]) -> None:
    """Score a task that is in no benchmark from its file, by the evaluator's reader of the form, or else by hand."""
    record, kind = data.record, KINDS[data.record.kind]
    if record.kind == "mlm":
        return  # nothing is predicted that could be written
    portion = data.portion("test", language)
    every = portion.examples()
    examples = [example for example in every if example["label"] is not None]
    predicted = folder / "predictions" / record.name / f"test-{language}.{kind.file_type(record.spec())}"
    if record.kind == "tagging" or record.options.get("no_answer"):
        assert len(examples) == len(every)
        found = by_hand(record, predicted, examples)
    else:
        form = FORMS[record.kind]
        if form in ("labels", "choices"):  # these name rows by their line: rows without a label are not scored
            lines = zip(predicted.read_text(encoding="utf-8").splitlines(), every, strict=True)
            predicted = folder / f"predicted-{record.name}-{language}"
            predicted.write_text("".join(f"{line}\n" for line, example in lines if example["label"] is not None))
        numbers = {str(number) for example in examples for number in range(len(example.get("choices", ())))}
        labels = tuple(sorted(numbers)) if form == "choices" else record.labels
        task = BenchmarkTask(name=record.name, form=form, languages=(language,), labels=labels)
        gold = folder / f"gold-{record.name}-{language}"
        gold.write_text(kind.gold(examples, portion.task), encoding="utf-8")
        files = File(predicted, str(predicted)), File(gold, str(gold))
        found = dict(SCORERS[form](*files, task, language, "0.0.12").scores)
        if "positive" in record.options:
            found["f1"] = f1_of("1", predicted.read_text().split(), gold.read_text().split())
    assert found
    assert {score: own[score] for score in found} == pytest.approx(found, abs=1e-6), record.name


def by_hand(record: Task, predicted: Path, examples: list[dict[str, Any]]) -> dict[str, float]:
    """Return the share of words with the right tag; or exact match of answers, of which some questions have none."""
    text = predicted.read_text(encoding="utf-8")
    if record.kind == "tagging":
        sentences = [block.split("\n") for block in text.rstrip("\n").split("\n\n")]
        assert len(sentences) == len(examples)
        pairs = [
            pair for tags, e in zip(sentences, examples, strict=True) for pair in zip(tags, e["label"], strict=True)
        ]
        assert pairs
        return {"accuracy": 100 * sum(record.labels.index(tag) == right for tag, right in pairs) / len(pairs)}
    answers = json.loads(text)
    normalize = normalizer_of("squad", "en")
    right = [
        exact_match(answers[e["id"]], [answer for answer, _ in e["label"]], normalize)
        if e["label"]
        else answers[e["id"]] == ""
        for e in examples
    ]
    return {"em": 100 * sum(right) / len(right)}


def f1_of(label: str, predicted: list[str], gold: list[str]) -> float:
    both = sum(p == g == label for p, g in zip(predicted, gold, strict=True))
    return 100 * 2 * both / max(1, predicted.count(label) + gold.count(label))


@pytest.mark.parametrize("name", [name for name in datamodules.__all__ if hasattr(getattr(datamodules, name), "task")])
def test_three_rows_of_our_own(name: str, tiny_encoder: Path, tmp_path: Path) -> None:
    languages = MADE[name].split()
    embedded = name.startswith("Demo")
    given = {"limit": 3} if embedded else {"data_dir": FIXTURES}
    scores = walk(name, languages, tiny_encoder, tmp_path, max_length=64, **given)
    assert set(scores) <= set(languages)


@pytest.mark.parametrize("name", TAKEN)
def test_real_rows(name: str, tiny_encoder: Path, tmp_path: Path, real_data: Path) -> None:
    languages, given = TAKEN[name]
    limit = {} if name == "BUCC2018" else {"limit": 40}
    scores = walk(name, languages.split(), tiny_encoder, tmp_path, data_dir=real_data, max_length=128, **limit, **given)
    assert set(scores) == set(languages.split())


def test_real_rows_of_lareqa_in_a_smaller_pool(
    tiny_encoder: Path, tmp_path: Path, monkeypatch: Any, real_data: Path
) -> None:
    """Its files of all 11 languages are not at hand: German and English sentences are the pool."""
    few = ("de", "en")
    source = XquadR(paths=dict.fromkeys(("test", "pool"), "xquad-r/{language}.json"), languages=few)
    record = replace(datamodules.LAReQA.task, languages=few, pool=few, files=(source,))
    monkeypatch.setattr(datamodules.LAReQA, "task", record)
    scores = walk("LAReQA", list(few), tiny_encoder, tmp_path, data_dir=real_data, max_length=32, limit=40)
    assert set(scores) == set(few)
