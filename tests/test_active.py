"""The active vocabulary: training only the words that occur ends where training all of them ends."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor
from transformers import XLMRobertaConfig, XLMRobertaModel

from tests.families import SIZES
from xtransfer.active import Activation, Words, keep_apart
from xtransfer.datamodules.features import words_of
from xtransfer.encoder import Encoder
from xtransfer.errors import ConfigError
from xtransfer.pipeline import run

DATA = Path(__file__).parent / "data"
ROWS = 3000


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An encoder with many more words than its batches hold."""
    folder = tmp_path_factory.mktemp("large")
    with torch.random.fork_rng():
        torch.manual_seed(5)
        config = XLMRobertaConfig(vocab_size=ROWS, **SIZES, max_position_embeddings=34, type_vocab_size=1)
        XLMRobertaModel(config, add_pooling_layer=False).save_pretrained(folder)
    return folder


def activation(trained: list[int], scored: list[int], folder: Path) -> Activation:
    words = Words(torch.tensor(trained, dtype=torch.long), torch.tensor(scored, dtype=torch.long))
    return Activation(lambda: words, folder / "words.safetensors")


def batches(words: Tensor) -> list[tuple[Tensor, Tensor]]:
    generator = torch.Generator().manual_seed(6)
    found = []
    for length in (7, 12, 9, 5, 12, 10):
        ids = words[torch.randint(len(words), (4, length), generator=generator)]
        mask = torch.arange(length) < torch.tensor([length, 3, 4, 5])[:, None]
        found.append((ids.where(mask, 1), mask.long()))
    return found


def trained(encoder: Encoder, words: Tensor, decay: float, clip: float | None) -> list[float]:
    """Train some passes with warm-up and decay of the rate; return the losses."""
    optimizer = torch.optim.AdamW(encoder.parameter_groups(1e-2, decay))
    if encoder.active is not None:
        encoder.active.follow(optimizer)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: min(1.0, step / 5) * (1 - step / 40))
    losses = []
    for step, (ids, mask) in enumerate(batches(words) * 5):
        torch.manual_seed(step)  # dropout
        loss = encoder(ids, mask)[mask.bool()].tanh().square().mean()
        optimizer.zero_grad()
        loss.backward()
        if clip:
            torch.nn.utils.clip_grad_norm_(encoder.parameters(), clip)
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
    return losses


@pytest.mark.parametrize(("decay", "clip"), [(0.0, None), (0.01, None), (0.1, 0.05)])
def test_active_training_is_dense_training(large: Path, tmp_path: Path, decay: float, clip: float | None) -> None:
    words = torch.arange(5, ROWS, 17)
    dense, active = Encoder(str(large)), Encoder(str(large))
    before = dense.model.get_input_embeddings().weight.detach().clone()
    active.activate(activation(words.tolist(), [6, 7], tmp_path))
    assert len(active.model.get_input_embeddings().weight) == len(words) + 1  # the padding is among them
    losses = [trained(encoder, words, decay, clip) for encoder in (dense, active)]
    assert losses[0] == losses[1]
    active.settle()
    found, expected = active.model.state_dict(), dense.model.state_dict()
    assert found.keys() == expected.keys()
    table, reference = (state.pop("embeddings.word_embeddings.weight") for state in (found, expected))
    assert all(torch.equal(found[name], expected[name]) for name in expected)
    assert torch.equal(table[words], reference[words])
    others = torch.ones(ROWS, dtype=torch.bool)
    others[words] = False
    if decay:
        assert not torch.equal(before[others], reference[others])
        torch.testing.assert_close(table[others], reference[others], rtol=1e-6, atol=1e-6)
    else:
        assert torch.equal(table[others], reference[others])
    assert not (tmp_path / "words.safetensors").exists()
    assert type(active.model.get_input_embeddings()) is torch.nn.Embedding


def test_words_that_are_only_scored_are_looked_up_decayed(large: Path, tmp_path: Path) -> None:
    words, scored = torch.arange(5, 100), torch.arange(200, 260)
    dense, active = Encoder(str(large)), Encoder(str(large))
    active.activate(activation(words.tolist(), scored.tolist(), tmp_path))
    for encoder in (dense, active):
        trained(encoder, words, 0.1, None)
        encoder.eval()
    ids = torch.stack([words[:9], scored[:9], torch.cat([words[3:7], scored[40:45]])])
    torch.testing.assert_close(
        active(ids, torch.ones_like(ids)), dense(ids, torch.ones_like(ids)), rtol=1e-5, atol=1e-5
    )


def test_a_checkpoint_taken_on_the_way_goes_on_the_same(large: Path, tmp_path: Path) -> None:
    words = torch.arange(5, 100)
    encoders = [Encoder(str(large)) for _ in range(2)]
    for number, encoder in enumerate(encoders):  # other development languages may be scored when it goes on
        encoder.activate(activation(words.tolist(), [300, 301, 302][number:], tmp_path / str(number)))
    trained(encoders[0], words, 0.1, None)
    encoders[1].load_state_dict(encoders[0].state_dict())
    for encoder in encoders:
        encoder.settle()
    assert all(torch.equal(a, b) for a, b in zip(*(e.state_dict().values() for e in encoders), strict=True))


def test_an_unknown_word_is_an_error_and_not_another_word(large: Path, tmp_path: Path) -> None:
    encoder = Encoder(str(large))
    encoder.activate(activation([5, 6, 7], [8], tmp_path))
    for training in (True, False):
        encoder.train(training)
        with pytest.raises(IndexError):
            encoder(torch.tensor([[5, 999]]), torch.ones(1, 2))


def test_part_of_the_words_cannot_be_saved(large: Path, tmp_path: Path) -> None:
    encoder = Encoder(str(large))
    encoder.activate(activation([5, 6, 7], [], tmp_path))
    with pytest.raises(ConfigError, match="has but the words of its stage"):
        encoder.save(tmp_path / "saved")


@pytest.mark.parametrize(("frozen", "kept"), [({"freeze_embeddings": True}, []), ({}, list(range(5, ROWS)))])
def test_where_there_is_nothing_to_gain_the_table_stays(
    large: Path, tmp_path: Path, frozen: dict[str, Any], kept: list[int]
) -> None:
    encoder = Encoder(str(large), **frozen)
    encoder.activate(activation(kept or [5, 6], [], tmp_path))
    assert encoder.active is None
    assert type(encoder.model.get_input_embeddings()) is torch.nn.Embedding


# ------------------------------------------------------------------ whole runs
def config(encoder: Path, tmp_path: Path, **model: Any) -> dict[str, Any]:
    name = "-".join(f"{key}-{value}" for key, value in model.items()) or "plain"
    return {
        "name": name,
        "out_dir": str(tmp_path / "runs"),
        "model": {"encoder": str(encoder), "lr": 1e-2, "weight_decay": 0.1, **model},
        "trainer": {
            "accelerator": "cpu",
            "max_epochs": 3,
            "enable_progress_bar": False,
            "logger": False,
            "gradient_clip_val": 1.0,
        },
        "data": {"init_args": {"data_dir": str(DATA), "batch_size": 2, "cache_dir": str(tmp_path / "cache")}},
        "stages": {
            "mnli": {"data": {"class_path": "MNLI"}},
            "xnli": {"data": {"class_path": "XNLI", "init_args": {"languages": ["en", "de"]}}},
        },
    }


@pytest.fixture
def roomy(tiny_encoder: Path, tmp_path: Path) -> Path:
    """The tiny encoder, and many words more than its tokenizer has."""
    from xtransfer.encoder import load_tokenizer

    settings = XLMRobertaConfig(vocab_size=ROWS, **SIZES, max_position_embeddings=514, type_vocab_size=1)
    with torch.random.fork_rng():
        torch.manual_seed(5)
        XLMRobertaModel(settings, add_pooling_layer=False).save_pretrained(tmp_path / "roomy")
    load_tokenizer(str(tiny_encoder)).save_pretrained(tmp_path / "roomy")
    return tmp_path / "roomy"


def test_runs_end_alike_with_and_without(roomy: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    rows, tables = {}, {}
    for chosen in (True, False):
        with caplog.at_level(logging.INFO, "xtransfer"):
            caplog.clear()
            found = run(config(roomy, tmp_path, active_vocabulary=chosen))
        told = [message for message in caplog.messages if "words are trained" in message]
        assert len(told) == (2 if chosen else 0)
        rows[chosen] = [(row.stage, row.task, row.language, row.split, row.metric, row.value) for row in found]
        folder = tmp_path / "runs" / f"active_vocabulary-{chosen}"
        tables[chosen] = [load_file(folder / stage / "encoder" / "model.safetensors") for stage in ("1-mnli", "2-xnli")]
        assert not list(folder.rglob("words-*"))
    assert rows[True] == rows[False]
    for found, expected in zip(tables[True], tables[False], strict=True):
        assert found.keys() == expected.keys()
        for name in expected:
            torch.testing.assert_close(found[name], expected[name], rtol=1e-6, atol=1e-6, msg=name)


def test_guessing_words_trains_all_of_them(roomy: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    settings = config(roomy, tmp_path)
    members = [{"class_path": name} for name in ("MNLI", "MLM")]
    data = {"class_path": "MultiTask", "init_args": settings["data"]["init_args"] | {"tasks": members, "steps": 2}}
    settings |= {"stages": {"mixed": {"data": data}}, "trainer": settings["trainer"] | {"max_epochs": 1}}
    with caplog.at_level(logging.INFO, "xtransfer"):
        run(settings)
    assert "all words are trained, for task 'mlm' guesses among all of them" in caplog.messages


@pytest.mark.parametrize("left", ["words-0.safetensors"])
def test_what_a_killed_training_left_is_removed(roomy: Path, tmp_path: Path, left: str) -> None:
    settings = config(roomy, tmp_path)
    folder = tmp_path / "runs" / "plain" / "1-mnli" / "checkpoints"
    folder.mkdir(parents=True)
    (folder / left).write_bytes(b"half a table")
    run(settings | {"stages": {"mnli": settings["stages"]["mnli"]}})
    assert not list(folder.glob("words-*"))


def test_processes_send_each_other_only_what_is_trained(large: Path, tmp_path: Path) -> None:
    """DistributedDataParallel sends all buffers in every step, unless it is told which to leave."""
    root = torch.nn.Module()
    root.encoder = Encoder(str(large))
    root.encoder.activate(activation([5, 6, 7], [8], tmp_path))
    keep_apart(root, root.encoder.active)
    left = {name.rpartition(".")[2] for name in root._ddp_params_and_buffers_to_ignore}
    assert left == {"rest", "place"}
    assert all(name in dict(root.named_buffers()) for name in root._ddp_params_and_buffers_to_ignore)


def test_the_token_of_padding_is_among_the_words() -> None:
    """Batches are padded with the tokenizer's, which may be another than the table's own, as in Multilingual MiniLM."""
    assert words_of({}, padding=1).trained.tolist() == [1]
    assert words_of({}).trained.tolist() == []
