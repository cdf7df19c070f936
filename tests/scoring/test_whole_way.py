"""Every task, from its files to a score: rows, features, batches, encoder, head, metric, predictions, evaluator."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Trainer

from xtransfer import datamodules
from xtransfer.benchmarks import find
from xtransfer.datamodules import TaskDataModule
from xtransfer.evaluator import score
from xtransfer.kinds import KINDS
from xtransfer.module import TransferModule
from xtransfer.predictions import PredictionWriter
from xtransfer.sources import JsonLines

FIXTURES = Path(__file__).parents[1] / "data"
REAL = Path(__file__).parents[3] / "shared" / "data"
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


@pytest.mark.parametrize("name", [name for name in datamodules.__all__ if hasattr(getattr(datamodules, name), "task")])
def test_three_rows_of_our_own(name: str, tiny_encoder: Path, tmp_path: Path) -> None:
    languages = MADE[name].split()
    embedded = name.startswith("Demo")
    given = {"limit": 3} if embedded else {"data_dir": FIXTURES}
    scores = walk(name, languages, tiny_encoder, tmp_path, max_length=64, **given)
    assert set(scores) <= set(languages)


@pytest.mark.parametrize("name", TAKEN)
def test_real_rows(name: str, tiny_encoder: Path, tmp_path: Path) -> None:
    if not REAL.is_dir():
        pytest.skip(f"no real data at {REAL}")
    languages, given = TAKEN[name]
    limit = {} if name == "BUCC2018" else {"limit": 40}
    scores = walk(name, languages.split(), tiny_encoder, tmp_path, data_dir=REAL, max_length=128, **limit, **given)
    assert set(scores) == set(languages.split())
