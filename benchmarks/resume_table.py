"""Interrupts a run once or twice, in every setting that matters to the order of its batches, and compares all it did.

    python benchmarks/resume_table.py

A random encoder is trained on the demonstration's inference rows, alone and in a mix with its questions. Compared with
the undisturbed run are all batches, their losses, and the weights at the end, to the bit. The table is in Markdown.
"""

from __future__ import annotations

import hashlib
import itertools
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch

from xtransfer.module import TransferModule
from xtransfer.pipeline import run
from xtransfer.results import markdown

sys.path.insert(0, str(Path(__file__).parent))
from kill_test import random_encoder

Step = tuple[str, tuple[int, ...], float]
FEW = {"limit": 24, "batch_size": 4, "max_length": 48}
DATA: dict[str, dict[str, Any]] = {
    "one task": {"class_path": "DemoNLI", "init_args": FEW | {"languages": ["en"]}},
    "a mix": {
        "class_path": "MultiTask",
        "init_args": FEW
        | {"steps": 12, "sampling": "uniform", "splits": {"test": "validation"}}
        | {"tasks": [{"class_path": name, "init_args": {"languages": ["en"]}} for name in ("DemoNLI", "DemoQA")]},
    },
}


class Interrupted(BaseException):
    """Stands for a kill: nothing is written after it."""


def main() -> int:
    """Print the table; return 0 if every row is exact."""
    rows, exact = [], True
    with tempfile.TemporaryDirectory(prefix="resume-table-") as name:
        folder = Path(name)
        random_encoder(folder / "encoder")
        os.environ["XTRANSFER_CACHE"] = str(folder / "cache")
        settings = itertools.product(DATA, (0, 2), (0.0, 0.1), (1, 2), ("epoch end", "mid-epoch", "mid-epoch, twice"))
        for number, (data, workers, dropout, accumulate, where) in enumerate(settings):
            config = configuration(folder, data, workers, dropout, accumulate)
            alone, again = folder / f"{number}-alone", folder / f"{number}-again"
            expected = recorded(config, alone, [])
            found = recorded(config, again, places(where, len(expected)))
            same = [a[:2] == b[:2] for a, b in zip(expected, found, strict=True)]
            losses = [a == b for a, b in zip(expected, found, strict=True)]
            weights = digest(alone) == digest(again)
            exact = exact and all(losses) and weights
            told = [f"{sum(same)}/{len(same)}", f"{sum(losses)}/{len(losses)}", "equal" if weights else "DIFFERENT"]
            rows.append([data, str(workers), str(dropout), str(accumulate), where, *told])
    header = [
        "training data",
        "workers",
        "dropout",
        "accumulated",
        "interrupted",
        "same batches",
        "same losses",
        "weights",
    ]
    print(markdown(header, rows, left=(0, 4, 7)))
    return 0 if exact else 1


def configuration(folder: Path, data: str, workers: int, dropout: float, accumulate: int) -> dict[str, Any]:
    """Return a run of two epochs."""
    block = {**DATA[data], "init_args": {**DATA[data]["init_args"], "num_workers": workers}}
    return {
        "seed_everything": 5,
        "checkpoint": {"every_steps": 2},
        "model": {"encoder": str(folder / "encoder"), "lr": 1e-3, "dropout": dropout},
        "trainer": {
            "accelerator": "cpu",
            "max_epochs": 2,
            "accumulate_grad_batches": accumulate,
            "enable_progress_bar": False,
            "logger": False,
        },
        "data": block,
    }


def places(where: str, batches: int) -> list[int]:
    """Return the batches, counted from 1, in which a run is interrupted; after a resume they are counted anew."""
    half = batches // 2
    return {"epoch end": [half + 1], "mid-epoch": [half - 1], "mid-epoch, twice": [half - 1, 3]}[where]


def recorded(config: dict[str, Any], folder: Path, interruptions: list[int]) -> list[Step]:
    """Run to the end, interrupted or not; return what every batch of the run was, each told by its last showing."""
    steps: dict[int, Step] = {}
    for interruption in [*interruptions, 0]:
        with watched(steps, interruption):
            try:
                run(config, out_dir=folder)
            except Interrupted:
                continue
    return [steps[number] for number in sorted(steps)]


@contextmanager
def watched(steps: dict[int, Step], interruption: int) -> Iterator[None]:
    """Note every training batch and its loss, and interrupt the run in one of them."""
    original: Callable[..., torch.Tensor] = TransferModule.training_step
    calls = itertools.count(1)

    def step(self: TransferModule, batch: Any, batch_idx: int) -> torch.Tensor:
        if next(calls) == interruption:
            raise Interrupted
        loss = original(self, batch, batch_idx)
        number = self.current_epoch * int(self.trainer.num_training_batches) + batch_idx
        steps[number] = (batch["task"], tuple(batch["index"]), loss.item())
        return loss

    TransferModule.training_step = step  # type: ignore[method-assign, assignment]
    try:
        yield
    finally:
        TransferModule.training_step = original  # type: ignore[method-assign]


def digest(folder: Path) -> list[str]:
    """Return the digests of all weights of a run."""
    return [hashlib.sha256(file.read_bytes()).hexdigest() for file in sorted(folder.rglob("*.safetensors"))]


if __name__ == "__main__":
    sys.exit(main())
