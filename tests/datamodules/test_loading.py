"""How batches are loaded: on a GPU by processes of their own, and without taking their texts apart."""

from __future__ import annotations

import signal
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from lightning.fabric.utilities import move_data_to_device

from xtransfer.datamodules import MNLI, XNLI, loading
from xtransfer.datamodules.loading import Loading, heedless, loading_of

DATA = Path(__file__).parents[1] / "data"


def trainer(device: str, processes: int = 1) -> SimpleNamespace:
    return SimpleNamespace(strategy=SimpleNamespace(root_device=torch.device(device)), num_devices=processes)


@pytest.mark.parametrize(
    ("device", "processes", "asked", "expected"),
    [
        ("cpu", 1, None, Loading(0, False)),
        ("cpu", 1, 3, Loading(3, False)),
        ("cuda", 1, None, Loading(4, True)),
        ("cuda", 8, None, Loading(2, True)),  # 16 cores for 8 GPUs
        ("cuda", 32, None, Loading(0, True)),
        ("cuda", 1, 0, Loading(0, True)),
        ("cuda", 1, 9, Loading(9, True)),
    ],
)
def test_workers_follow_the_device_unless_they_are_given(device, processes, asked, expected, monkeypatch):
    monkeypatch.setattr(loading, "cores", lambda: 16)
    assert loading_of(trainer(device, processes), asked) == expected
    assert loading_of(None, asked) == Loading(asked or 0)


def test_a_few_batches_start_no_process():
    assert Loading(4).of_batches([None] * 7) == Loading(0)
    assert Loading(4, True).of_batches([None] * 17) == Loading(2, True)
    assert Loading(4).of_batches([None] * 999) == Loading(4)


@pytest.fixture
def data(tiny_encoder, tmp_path):
    settings = {"data_dir": DATA, "tokenizer": str(tiny_encoder), "cache_dir": tmp_path, "num_workers": 2}

    def made(cls, **given):
        found = cls(**settings, **given)
        found.setup()
        return found

    return made


def test_workers_leave_signals_alone_and_do_not_pile_up(data, monkeypatch):
    monkeypatch.setattr(loading, "BATCHES_EACH", 1)
    found = data(MNLI, eval_batch_size=1)
    loaders = [found.train_dataloader(), *found.val_dataloader().values(), *found.test_dataloader().values()]
    assert len(loaders) == 3
    for loader in loaders:
        assert (loader.num_workers, loader.worker_init_fn, loader.pin_memory) == (2, heedless, False)
        assert loader.persistent_workers
    several = data(XNLI, languages=["de", "en"], eval_batch_size=1).test_dataloader().values()
    assert [loader.persistent_workers for loader in several] == [False, False]


def test_workers_do_not_hear_signals():
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)}
    try:
        heedless(0)
        assert {signal.getsignal(number) for number in before} == {signal.SIG_IGN}
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def test_the_text_side_of_a_batch_is_not_moved(data):
    (loader,) = data(MNLI).test_dataloader().values()
    batch = next(iter(loader))
    moved = move_data_to_device(batch, torch.device("cpu"))
    assert moved["meta"] is batch["meta"]
    assert len(batch["meta"]) == len(batch["index"]) == 3
    assert list(batch["meta"]) == [batch["meta"][place] for place in range(3)]
    assert sorted(meta["gold"] for meta in batch["meta"]) == sorted(batch["labels"].tolist())
