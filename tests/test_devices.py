"""What a GPU would refuse: tensors of two devices in one operation. The device `meta`, shapes alone, stands for it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from lightning.fabric.utilities.apply_func import move_data_to_device
from lightning.pytorch.strategies import SingleDeviceStrategy

from xtransfer import attention
from xtransfer.active import Activation
from xtransfer.attention import Settings
from xtransfer.datamodules import UDPOS, XCOPA, XNLI, CustomTask, TyDiQA
from xtransfer.datamodules.features import words_of
from xtransfer.errors import ConfigError
from xtransfer.module import TransferModule
from xtransfer.pipeline import run
from xtransfer.task import Task

DATA = Path(__file__).parent / "data"
ELSEWHERE = torch.device("meta")
PAIRS = Task(
    name="pairs",
    kind="retrieval",
    fields={"text": "sentence1", "candidate": "sentence2"},
    files=XNLI.task.files,
)


class Surroundings:
    """What a step needs of a trainer; several processes, so that all parameters take part."""

    precision, world_size, estimated_stepping_batches = "32-true", 2, 10


def data_of(cls: Any, encoder: Path, folder: Path) -> Any:
    return cls(data_dir=DATA, tokenizer=str(encoder), batch_size=2, cache_dir=folder)


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("cls", [XNLI, TyDiQA, UDPOS, XCOPA])  # not MLM: it picks hidden words by their number
def test_a_step_and_an_evaluation_are_on_one_device(
    cls: Any, compiled: bool, tiny_encoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.nn.Module, "compile", lambda self, **given: None)  # batches are filled up all the same
    data = data_of(cls, tiny_encoder, tmp_path / "cache")
    data.setup("fit")
    module = TransferModule(data.specs(), encoder=str(tiny_encoder), layer=1, compiled=compiled)
    module.encoder.activate(Activation(lambda: words_of(data.sets), tmp_path / "words.safetensors"))
    assert module.encoder.active
    module.to(ELSEWHERE)
    module.trainer = Surroundings()  # type: ignore[assignment]
    monkeypatch.setattr(module, "log", lambda *args, **kwargs: None)
    optimizer = module.configure_optimizers()["optimizer"]  # type: ignore[index,call-overload]
    batch = move_data_to_device(next(iter(data.train_dataloader())), ELSEWHERE)
    module.training_step(batch, 0).backward()
    assert all(p.grad is not None for p in module.parameters() if p.requires_grad)  # as DDP wants it
    module.on_before_optimizer_step(optimizer)
    assert all(p.grad is None for p in module.encoder.above(1))
    torch.nn.utils.clip_grad_norm_(module.parameters(), 1.0)
    optimizer.step()
    module.eval()
    with torch.inference_mode():
        assert module(batch).logits.device == ELSEWHERE


def test_a_stage_is_made_ready_while_tensors_are_made_on_a_gpu(
    tiny_encoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lightning calls `configure_model` with the GPU as the device of new tensors."""

    @contextmanager
    def elsewhere(self: Any, empty_init: bool | None = None) -> Iterator[None]:
        with ELSEWHERE:
            yield

    monkeypatch.setattr(SingleDeviceStrategy, "tensor_init_context", elsewhere)
    results = run(
        {
            "name": "toy",
            "trainer": {"accelerator": "cpu", "enable_progress_bar": False, "logger": False, "max_steps": 1},
            "model": {"encoder": str(tiny_encoder)},
            "data": {"init_args": {"data_dir": str(DATA), "cache_dir": str(tmp_path / "cache")}},
            "stages": {"mnli": {"data": {"class_path": "MNLI"}}},
        },
        out_dir=tmp_path,
    )
    assert results.rows[0].steps == 1


@pytest.mark.parametrize(
    ("capability", "dtype", "installed", "name"),
    [
        ((7, 5), torch.float16, True, "padded"),  # its kernels need Ampere
        ((8, 0), torch.bfloat16, True, "flash"),
        ((8, 0), torch.float16, False, "varlen"),
        ((9, 0), torch.float32, True, "padded"),
    ],
)
def test_which_kernel_a_gpu_gets(
    capability: tuple[int, int], dtype: torch.dtype, installed: bool, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    monkeypatch.setattr(attention, "flash_available", lambda: installed)
    query: Any = SimpleNamespace(device=torch.device("cuda"), dtype=dtype, shape=(9, 2, 64))
    assert attention.choose(query, Settings()) is getattr(attention, name)


@pytest.mark.parametrize("strategy", ["ddp_spawn", "ddp_fork"])
def test_processes_that_could_not_hand_weights_on_are_refused(
    strategy: str, tiny_encoder: Path, tmp_path: Path
) -> None:
    config = {
        "name": "toy",
        "trainer": {"accelerator": "cpu", "devices": 2, "strategy": strategy, "logger": False},
        "model": {"encoder": str(tiny_encoder)},
        "data": {"init_args": {"data_dir": str(DATA), "cache_dir": str(tmp_path / "cache")}},
        "stages": {"mnli": {"data": {"class_path": "MNLI"}}},
    }
    with pytest.raises(ConfigError, match="stage 'mnli': trainer: processes that are forked or spawned"):
        run(config, out_dir=tmp_path)


def test_retrieval_reads_an_inner_layer_in_training(tiny_encoder: Path, tmp_path: Path) -> None:
    data = CustomTask(task=PAIRS, data_dir=DATA / "xnli", tokenizer=str(tiny_encoder), cache_dir=tmp_path)
    module = TransferModule(data.specs(), encoder=str(tiny_encoder))
    layer = module.layer_of(data.specs()[0])
    assert layer < module.encoder.depth
    above = {id(parameter) for parameter in module.encoder.above(layer)}
    named = [name for name, p in module.encoder.model.named_parameters() if id(p) in above]
    assert {name.split(".")[2] for name in named} == {str(i) for i in range(layer, module.encoder.depth)}
    assert module.encoder.above(module.encoder.depth) == []
