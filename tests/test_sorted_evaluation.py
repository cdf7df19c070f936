"""Sorted batches with a budget of tokens predict and score what features do one by one, in the order of the rows."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from lightning.pytorch import Trainer

from xtransfer import datamodules
from xtransfer.datamodules import features
from xtransfer.datamodules.budget import shared_batches
from xtransfer.module import TransferModule
from xtransfer.predictions import PredictionWriter

DATA = Path(__file__).parent / "data"


@pytest.fixture
def predicted(tiny_encoder, tmp_path, monkeypatch):
    """Score a task's test rows with batches made by `batches`; return scores, files of predictions, batches' places."""

    def predicted(name: str, batches, settings) -> tuple[dict, dict, list[list[int]]]:
        made: list[list[int]] = []

        def noted(*given):
            found = batches(*given)
            made.extend(found)
            return found

        monkeypatch.setattr(features, "shared_batches", noted)
        data = getattr(datamodules, name)(tokenizer=str(tiny_encoder), cache_dir=tmp_path / "cache", **settings)
        torch.manual_seed(1)
        module = TransferModule(data.specs(), encoder=str(tiny_encoder))
        writer = PredictionWriter(tmp_path / f"{len(list(tmp_path.iterdir()))}")
        trainer = Trainer(
            accelerator="cpu",
            precision="64-true",  # the vectors of random weights are nearly equal: in single precision ranks would move
            logger=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            enable_checkpointing=False,
            use_distributed_sampler=False,
            callbacks=[writer],
        )
        trainer.test(module, datamodule=data, verbose=False)
        return module.scores, {path.name: path.read_text() for path in writer.files}, made

    return predicted


def one_by_one(found, budget, rank, world_size):
    return [[position] for position in range(len(found))]


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("DemoNLI", {"limit": 30, "languages": ["en", "zh"], "eval_tokens": 90}),
        ("DemoQA", {"limit": 12, "languages": ["de"], "max_length": 48, "options": {"stride": 12}, "eval_tokens": 150}),
        ("PANX", {"data_dir": DATA, "languages": ["de", "en"], "max_length": 12, "eval_tokens": 20}),
        ("CommonsenseQA", {"data_dir": DATA, "splits": {"test": "validation"}, "eval_tokens": 300}),
        ("Tatoeba", {"data_dir": DATA, "languages": ["de", "zh"], "eval_tokens": 60}),
        ("LAReQA", {"data_dir": DATA, "eval_tokens": 60}),
        ("BUCC2018", {"data_dir": DATA, "languages": ["de"], "eval_tokens": 60}),
        ("MLM", {"data_dir": DATA, "train_languages": ["en", "de"], "eval_tokens": 40}),
    ],
)
@pytest.mark.filterwarnings("ignore")
def test_sorted_batches_change_nothing(name, settings, predicted):
    scores, files, batches = predicted(name, shared_batches, settings)
    alone, expected, single = predicted(name, one_by_one, settings)
    assert any(len(batch) > 1 for batch in batches)
    places = [place for batch in batches for place in batch]
    assert sorted(places) == sorted(place for (place,) in single)
    assert places != [place for (place,) in single]  # another order than that of the rows
    assert alone
    assert scores.keys() == alone.keys()
    for key, values in alone.items():
        assert scores[key] == pytest.approx(values, abs=1e-6), key
    assert files
    assert files == expected
