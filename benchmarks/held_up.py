"""How long a snapshot holds training up: written in the background, and before the next step begins.

    python benchmarks/held_up.py
    python benchmarks/held_up.py --encoder xlm-roberta-base --steps 120 --every 40 --times 5

An encoder is trained on the demonstration's inference rows with all its words, so that a snapshot holds three times its
size. Three runs of the same steps take turns: without snapshots, with snapshots in the background, with snapshots
written first. Told are the seconds in which training waits for one snapshot, and what it adds to the whole run, for
a thread that writes shares processors and memory with the steps beside it.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from lightning.pytorch import Trainer

from xtransfer.module import TransferModule
from xtransfer.pipeline import run


def main() -> int:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--encoder", default="offline-small")
    parser.add_argument("--steps", type=int, default=90, help="optimisation steps of a run")
    parser.add_argument("--every", type=int, default=30, help="steps between two snapshots")
    parser.add_argument("--times", type=int, default=3, help="runs of each way, in turn")
    options = parser.parse_args()
    ways: dict[str, dict[str, Any]] = {
        "none": {"every_steps": 10**9},
        "background": {"every_steps": options.every},
        "first": {"every_steps": options.every, "background": False},
    }
    held: dict[str, list[float]] = {way: [] for way in ways}
    whole: dict[str, list[float]] = {way: [] for way in ways}
    for _ in range(options.times):
        for way, checkpoint in ways.items():
            with tempfile.TemporaryDirectory(prefix="held-up-", dir=Path.cwd()) as folder:
                seconds, waits = measured(configuration(options, checkpoint, folder))
            whole[way].append(seconds)
            held[way] += waits
    snapshots = (options.steps - 1) // options.every
    for way in ("background", "first"):
        print(f"{way}: {snapshots} snapshots a run; training waited {told(held[way])} s for one")
        added = (statistics.median(whole[way]) - statistics.median(whole["none"])) / snapshots
        print(
            f"{way}: a run took {told(whole[way])} s, without snapshots {told(whole['none'])} s: {added:.2f} s for one"
        )
    ratio = statistics.median(held["first"]) / statistics.median(held["background"])
    print(f"held up {ratio:.1f} times as long when written first")
    return 0


def configuration(options: argparse.Namespace, checkpoint: dict[str, Any], folder: str) -> dict[str, Any]:
    """Return a run of so many steps."""
    return {
        "name": "held-up",
        "out_dir": folder,
        "select": "last",
        "checkpoint": checkpoint,
        "model": {"encoder": options.encoder, "lr": 1e-5, "active_vocabulary": False},
        "trainer": {"max_steps": options.steps, "enable_progress_bar": False, "logger": False},
        "data": {"class_path": "DemoNLI", "init_args": {"batch_size": 8, "languages": ["en"], "limit": 200}},
    }


def measured(config: dict[str, Any]) -> tuple[float, list[float]]:
    """Run it; return the seconds from the end of its second step to that of its training, and those of its waits."""
    begun: list[float] = []
    waits: list[float] = []
    ended: list[float] = []
    step, save, fit = TransferModule.training_step, Trainer.save_checkpoint, Trainer.fit

    def stepped(self: TransferModule, batch: Any, number: int) -> Any:
        begun.append(time.perf_counter())
        return step(self, batch, number)

    def saved(self: Trainer, *args: Any, **kwargs: Any) -> None:
        began = time.perf_counter()
        save(self, *args, **kwargs)
        waits.append(time.perf_counter() - began)

    def fitted(self: Trainer, *args: Any, **kwargs: Any) -> None:
        fit(self, *args, **kwargs)
        ended.append(time.perf_counter())

    TransferModule.training_step, Trainer.save_checkpoint, Trainer.fit = stepped, saved, fitted  # type: ignore[method-assign]
    try:
        run(config)
    finally:
        TransferModule.training_step, Trainer.save_checkpoint, Trainer.fit = step, save, fit  # type: ignore[method-assign]
    return ended[0] - begun[2], waits


def told(values: list[float]) -> str:
    """Return a median with its range."""
    return f"{statistics.median(values):.2f} ({min(values):.2f} to {max(values):.2f})"


if __name__ == "__main__":
    sys.exit(main())
