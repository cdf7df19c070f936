"""Memory that training takes for weights, gradients and optimiser: counted from the tensors, and the process's peak.

python -m benchmarks.memory ours FOLDER WORDS     # what one process measures of itself, as JSON
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, Trainer

from benchmarks.examples import random_encoder, synthetic_pairs, word_tokenizer
from benchmarks.harness import Goal, Row, Table
from benchmarks.ours import DECAY, LR, Setting, train
from benchmarks.peers import encoded, model_of

WORDS = (11_000, 32_000, 64_000, 120_000)
"""Words that a stage may have; the goal is about the second."""
JUDGED = 32_000
PAIRS = 64
MIB = 2**20


def measure(folder: Path, shape: str = "base", vocabulary: int = 250_002, words: Iterable[int] = WORDS) -> Table:
    """Measure memory, each way in a process of its own.

    Args:
        folder: Where the encoder is kept meanwhile.
        shape: Size of the encoder.
        vocabulary: Its words.
        words: How many of them are trained, in turn.
    """
    encoder = random_encoder(folder / f"{shape}-{vocabulary}", shape, word_tokenizer(vocabulary))
    full = measured("whole", encoder, vocabulary)
    table = Table("Memory of training")
    table.notes = [
        f"{shape} size, {vocabulary:,} words, single precision. Counted: bytes of weights, gradients, optimiser and "
        "buffers after the first step, activations left out. Peak: resident memory of a process that takes steps of 8 "
        "short pairs, loading included. The ratio is ours / the peer's, of the bytes counted.",
    ]
    for number in words:
        own = measured("ours", encoder, number)
        told = {
            "peer, MiB": f"{sum(full['counted'].values()) / MIB:,.0f}",
            "ours, MiB": f"{sum(own['counted'].values()) / MIB:,.0f}",
            "peak of the peer, MiB": f"{full['peak'] / MIB:,.0f}",
            "our peak, MiB": f"{own['peak'] / MIB:,.0f}",
        }
        ratio = sum(own["counted"].values()) / sum(full["counted"].values())
        goal = Goal(0.5, 0.4, less=True) if number == JUDGED else None
        table.rows.append(Row(f"{number:,} words occur", "AdamW on the whole table", [ratio], goal, told))
    return table


def measured(way: str, encoder: Path, words: int) -> dict[str, Any]:
    """Measure one way in a process of its own.

    Raises:
        RuntimeError: The process failed; with what it said.
    """
    command = [sys.executable, "-m", "benchmarks.memory", way, str(encoder), str(words)]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"})
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed:\n{done.stderr[-2000:]}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def count(parameters: Iterable[torch.nn.Parameter], optimizer: Any, others: Iterable[torch.Tensor]) -> dict[str, int]:
    """Return the bytes of weights, gradients, optimiser, and of other tensors kept beside them."""
    weights = list(parameters)
    state = [value for of in optimizer.state.values() for value in of.values() if isinstance(value, torch.Tensor)]
    gradients = [p.grad for p in weights if p.grad is not None]
    parts = {"weights": weights, "gradients": gradients, "optimiser": state, "others": list(others)}
    return {name: sum(t.numel() * t.element_size() for t in tensors) for name, tensors in parts.items()}


class Counting(Callback):
    """Counts after a step, while the gradients are there."""

    def __init__(self) -> None:
        self.counted: Mapping[str, int] = {}

    def on_before_zero_grad(self, trainer: Trainer, pl_module: Any, optimizer: Any) -> None:
        """Count once the optimiser has its state."""
        if optimizer.state:
            self.counted = count(pl_module.parameters(), optimizer, pl_module.buffers())


def of_ours(encoder: Path, words: int, folder: Path) -> Mapping[str, int]:
    """Train with the library, and count."""
    pool = synthetic_pairs(PAIRS, 500, words)
    counting = Counting()
    setting = Setting(encoder, pool, folder, max_length=16, words=words)
    train(setting, [list(range(8)), list(range(8, 16)), list(range(16, 24))], [counting])
    return counting.counted


def of_whole(encoder: Path, vocabulary: int, folder: Path) -> Mapping[str, int]:
    """Train transformers' model with AdamW on everything, and count."""
    setting = Setting(encoder, synthetic_pairs(PAIRS, 500, vocabulary), folder, max_length=16)
    examples, model = encoded(setting), model_of(setting)
    optimizer, counted = torch.optim.AdamW(model.parameters(), lr=LR, weight_decay=DECAY, fused=True), {}
    for first in (0, 8):
        rows = examples[first : first + 8]
        width = max(len(row["input_ids"]) for row in rows)
        ids = torch.tensor([[*row["input_ids"], *[1] * (width - len(row["input_ids"]))] for row in rows])
        labels = torch.tensor([row["labels"] for row in rows])
        optimizer.zero_grad()
        model(input_ids=ids, attention_mask=(ids != 1).long(), labels=labels).loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        counted = count(model.parameters(), optimizer, model.buffers())
    return counted


def main() -> int:
    """Measure this process."""
    way, encoder, words = sys.argv[1:]
    with tempfile.TemporaryDirectory() as folder:
        counted = {"ours": of_ours, "whole": of_whole}[way](Path(encoder), int(words), Path(folder))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(json.dumps({"counted": dict(counted), "peak": peak if sys.platform == "darwin" else peak * 1024}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
