"""A training step asks a GPU for nothing: no number is read and no shape depends on a value."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch.profiler import ProfilerActivity, profile

from xtransfer import attention
from xtransfer.datamodules import UDPOS, XCOPA, XNLI, TyDiQA
from xtransfer.module import TransferModule

DATA = Path(__file__).parent / "data"
WAITS = {"aten::item", "aten::_local_scalar_dense", "aten::is_nonzero", "aten::nonzero", "aten::masked_select"}


class Surroundings:
    """What a step needs of a trainer."""

    precision, world_size, estimated_stepping_batches = "32-true", 1, 10


@pytest.mark.parametrize("backend", ["one_by_one", "padded"])
@pytest.mark.parametrize("cls", [XNLI, TyDiQA, UDPOS, XCOPA])
def test_a_step_reads_nothing_back(
    cls: Any, backend: str, tiny_encoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attention, "choose", lambda query, settings: getattr(attention, backend))
    data = cls(data_dir=DATA, tokenizer=str(tiny_encoder), batch_size=3, cache_dir=tmp_path)
    data.setup("fit")
    module = TransferModule(data.specs(), encoder=str(tiny_encoder))
    module.trainer = Surroundings()  # type: ignore[assignment]
    monkeypatch.setattr(module, "log", lambda *args, **kwargs: None)
    optimizer = module.configure_optimizers()["optimizer"]  # type: ignore[index,call-overload]
    batch = next(iter(data.train_dataloader()))
    for number in range(2):
        with profile(activities=[ProfilerActivity.CPU]) as seen:
            loss = module.training_step(batch, number)
            loss.backward()
            module.on_before_optimizer_step(optimizer)
            torch.nn.utils.clip_grad_norm_(module.parameters(), 1.0)
        optimizer.step()  # of its kernels the one for CPUs reads the number of the step, the one for GPUs does not
        optimizer.zero_grad()
    assert {event.key for event in seen.key_averages()} & WAITS == set()
    assert optimizer.defaults["fused"]
