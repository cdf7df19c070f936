"""Masked language modelling from text files to perplexity by language, alone and beside another task."""

from __future__ import annotations

import math
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModel

from xtransfer.config import expand
from xtransfer.datamodules import MLM
from xtransfer.errors import ConfigError, DataError
from xtransfer.heads import MaskedLMHead
from xtransfer.module import TransferModule
from xtransfer.pipeline import prepare, run

DATA = Path(__file__).parents[1] / "data"


@pytest.fixture
def settings(tiny_encoder, tmp_path):
    return {"data_dir": DATA, "tokenizer": str(tiny_encoder), "cache_dir": tmp_path / "cache", "seed": 1}


def config(tiny_encoder, tmp_path, task, data, **stage):
    return {
        "name": "toy",
        "out_dir": str(tmp_path / "runs"),
        "model": {"encoder": str(tiny_encoder), "lr": 1e-3},
        "trainer": {"accelerator": "cpu", "max_epochs": 2, "enable_progress_bar": False, "logger": False},
        "data": {
            "class_path": task,
            "init_args": {"data_dir": str(DATA), "cache_dir": str(tmp_path / "cache"), **data},
        },
        "stages": {"one": stage},
    }


# ------------------------------------------------------------------ a run
@pytest.fixture(scope="module")
def finished(tiny_encoder, tmp_path_factory):
    folder = tmp_path_factory.mktemp("mlm")
    data = {"train_languages": ["en", "de"], "batch_size": 2}
    return run(expand(config(tiny_encoder, folder, "MLM", data))), folder / "runs" / "toy" / "1-one"


def test_perplexity_by_language(finished):
    results, folder = finished
    for split in ("validation", "test"):
        for language in ("en", "de"):
            rows = {row.metric: row for row in results.where(split=split, language=language)}
            assert set(rows) == {"accuracy", "loss", "perplexity"}
            assert rows["perplexity"].value == pytest.approx(math.exp(rows["loss"].value))
            assert [row.metric for row in rows.values() if row.main] == ["accuracy"]
            assert {row.n for row in rows.values()} == {3}
    assert results.languages() == ["en", "de"]
    assert results.rows[0].selected.startswith("best val/mlm/accuracy/en")
    assert results.rows[0].training["languages"] == ["en", "de"]
    lines = [line.split("\t") for line in (folder / "predictions/mlm/test-de.tsv").read_text().splitlines()]
    nats, hidden, hits = (sum(float(line[column]) for line in lines) for column in range(3))
    scores = {row.metric: row.value for row in results.where(split="test", language="de")}
    assert len(lines) == 3
    assert (nats / hidden, 100 * hits / hidden) == pytest.approx((scores["loss"], scores["accuracy"]), abs=1e-5)


def test_what_is_kept_is_encoder_and_head_apart(finished, tiny_encoder):
    _, folder = finished
    before, after = (load_file(path / "model.safetensors") for path in (tiny_encoder, folder / "encoder"))
    assert before.keys() == after.keys()
    words = "embeddings.word_embeddings.weight"
    assert not torch.equal(before[words], after[words]), "the head's gradient reaches the table"
    weights = load_file(folder / "heads/mlm/head.safetensors")
    assert set(weights) == {"dense.weight", "dense.bias", "norm.weight", "norm.bias", "bias"}


def test_encoder_and_head_work_elsewhere_and_go_on(finished, tiny_encoder):
    _, folder = finished
    spec = MLM.task.spec() | {"dev_languages": ["en"], "languages": ["en"]}
    module = TransferModule([spec], encoder=str(tiny_encoder))
    module.load_parts(folder, ("encoder", "heads"))
    encoder, head = (
        AutoModel.from_pretrained(folder / "encoder").eval(),
        MaskedLMHead.from_pretrained(folder / "heads/mlm"),
    )
    head.tie(encoder.get_input_embeddings())
    ids = torch.tensor([[0, 5, 9, 2]])
    batch = {"input_ids": ids, "attention_mask": torch.ones_like(ids), "task": "mlm"}
    with torch.no_grad():
        expected = head(encoder(ids).last_hidden_state, torch.ones_like(ids)).logits
        assert expected.shape == (1, 4, encoder.config.vocab_size)
        torch.testing.assert_close(module.eval()(batch).logits, expected)


def test_a_step_of_the_module_moves_the_table_that_encoder_and_head_share(tiny_encoder):
    spec = MLM.task.spec() | {"dev_languages": ["en"], "languages": ["en"]}
    module = TransferModule([spec], encoder=str(tiny_encoder), lr=0.1, warmup=0)
    words = module.encoder.model.get_input_embeddings().weight
    names = [name for name, parameter in module.named_parameters() if parameter is words]
    assert names == ["encoder.model.embeddings.word_embeddings.weight"]
    ids = torch.tensor([[0, 5, 9, 2]])
    batch = {
        "input_ids": ids,
        "attention_mask": torch.ones_like(ids),
        "labels": torch.tensor([[-100, 7, -100, -100]]),
        "task": "mlm",
    }
    module(batch).loss.backward()
    assert words.grad[7].any(), "a word that is only to be guessed"
    before = words.detach().clone()
    torch.optim.SGD(module.parameters(), lr=1.0).step()
    assert not torch.equal(words[7], before[7])
    head = module.head("mlm")
    with torch.no_grad():
        words.zero_()
        assert torch.equal(module(batch).logits[0], head.bias), "the head reads the encoder's table"


# ------------------------------------------------------------------ batches
def shown(data, epochs=(0, 1)):
    """Epoch and first two ids of a line -> the line as it is shown and what is to be guessed."""
    loader, found = data.train_dataloader(), {}
    for epoch in epochs:
        loader.batch_sampler.set_epoch(epoch)
        for batch in loader:
            for index, ids, labels in zip(batch["index"], batch["input_ids"], batch["labels"], strict=True):
                width = int((ids != 1).sum())
                found[epoch, batch["language"], index] = (ids[:width].tolist(), labels[:width].tolist())
    return found


def test_masks_are_new_in_every_epoch_and_the_same_in_every_run(settings):
    def made(**more):
        data = MLM(**{**settings, "train_languages": ["en"], "batch_size": 2, **more})
        data.setup("fit")
        return shown(data)

    first = made()
    assert len(first) == 6
    assert all(any(label != -100 for label in labels) for _, labels in first.values())
    assert any(first[0, "en", i] != first[1, "en", i] for i in range(3))
    assert made(num_workers=1, batch_size=1) == first, "not a matter of batches or workers"
    assert made(seed=2) != first


def test_development_masks_are_the_same_for_every_seed(settings):
    def made(seed):
        data = MLM(**{**settings, "train_languages": ["en"], "seed": seed})
        data.setup("validate")
        return [batch["labels"].tolist() for batch in data.val_dataloader()["mlm/en"]]

    assert made(1) == made(2)


# ------------------------------------------------------------------ languages and files
def test_it_is_tested_where_it_is_trained(settings):
    data = MLM(**settings, train_languages=["de", "en"])
    assert (data.languages, data.dev_languages) == (["de", "en"], ["de", "en"])
    assert MLM(**settings, languages=["sw"]).languages == ["sw"]
    assert data.sampling.temperature == pytest.approx(1 / 0.3)


def test_blank_lines_are_counted(settings):
    report = MLM(**settings, train_languages=["en", "de"]).check()
    assert {name: (counts["rows"], counts["lines_blank"]) for name, counts in report.items() if "/train/" in name} == {
        "mlm/train/en": (3, 1),
        "mlm/train/de": (3, 1),
    }


def test_a_language_without_a_file_is_named(settings):
    data = MLM(**settings, train_languages=["en", "sw"], languages=["en"], dev_languages=["en"])
    with pytest.raises(DataError, match=r"mlm \(sw\): no files of the train split; looked for 'train-sw.txt' or"):
        data.check()
    with pytest.raises(DataError, match=r"no files for sw .*looked for 'test-sw.txt'"):
        MLM(**settings, train_languages=["en", "sw"]).check()
    with pytest.raises(ConfigError, match="task 'mlm' has no language 'xx'"):
        MLM(**settings, train_languages=["en", "xx"])


def test_a_file_without_a_usable_line_is_named(settings, tmp_path):
    shutil.copytree(DATA / "mlm", tmp_path / "data/mlm")
    (tmp_path / "data/mlm/dev-en.txt").write_text("\n \n")
    with pytest.raises(DataError, match=r"mlm/dev-en\.txt: expected a text in at least one line, found 2 blank lines"):
        MLM(**(settings | {"data_dir": tmp_path / "data"})).check()


def test_no_model_is_chosen_by_a_score_of_which_less_is_better(tiny_encoder, tmp_path):
    plan = expand(config(tiny_encoder, tmp_path, "MLM", {}, select="val/mlm/perplexity/en"))
    with pytest.raises(ConfigError, match="select: no score 'val/mlm/perplexity/en'"):
        prepare(plan)


# ------------------------------------------------------------------ beside another task
def test_beside_another_task_it_takes_every_other_step_and_chooses_no_model(tiny_encoder, tmp_path):
    text = {"class_path": "MLM", "init_args": {"train_languages": ["en", "de"]}}
    mixed = {"tasks": ["MNLI", text], "steps": 12, "splits": {"test": "validation"}, "batch_size": 2}
    results = run(expand(config(tiny_encoder, tmp_path, "MultiTask", mixed, trainer={"max_epochs": 1})))
    parts = results.rows[0].training["parts"]
    assert set(parts) == {"mnli/en", "mlm/en", "mlm/de"}
    assert sum(part["steps"] for part in parts.values()) == 12
    assert 2 <= parts["mnli/en"]["steps"] <= 10
    assert results.rows[0].selected.startswith("best val/mnli/accuracy/en")
    assert results.where(task="mlm", metric="perplexity", split="test").languages() == ["en", "de"]
