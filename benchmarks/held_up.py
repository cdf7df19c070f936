"""How long a snapshot holds training up: written in the background, and before the next step begins.

    python benchmarks/held_up.py
    python benchmarks/held_up.py --encoder xlm-roberta-base --steps 120 --every 40 --times 5

An encoder is trained on the demonstration's inference rows with all its words, so that a snapshot holds three times its
size. Three runs of the same steps take turns: without snapshots, with snapshots in the background, with snapshots
written first. Told are the seconds in which training waits for a snapshot, the first, for which memory has to be found,
apart from later ones; and what it adds to the whole run, for a thread that writes shares processors and memory with the
steps beside it. Medians, with the least and the greatest.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any
from unittest import mock

from lightning.pytorch import Trainer

from xtransfer.pipeline import run
from xtransfer.snapshots import Snapshots


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
    begun: dict[str, list[float]] = {way: [] for way in ways}
    whole: dict[str, list[float]] = {way: [] for way in ways}
    for _ in range(options.times):
        for way, checkpoint in ways.items():
            with tempfile.TemporaryDirectory(prefix="held-up-", dir=Path.cwd()) as folder:
                seconds, waits = measured(configuration(options, checkpoint, folder))
            whole[way].append(seconds)
            begun[way] += waits[:1]
            held[way] += waits[1:]
    snapshots = (options.steps - 1) // options.every
    for way in ("background", "first"):
        print(f"{way}: training waited {told(begun[way])} s for the first snapshot, {told(held[way])} s for later ones")
        added = (statistics.median(whole[way]) - statistics.median(whole["none"])) / snapshots
        print(
            f"{way}: a run took {told(whole[way])} s, without snapshots {told(whole['none'])} s: {added:.2f} s for one"
        )
    ratios = [statistics.median(waits["first"]) / statistics.median(waits["background"]) for waits in (begun, held)]
    print("written first, training waits {:.1f} times as long for the first, {:.1f} for later ones".format(*ratios))
    return 0


def configuration(options: argparse.Namespace, checkpoint: dict[str, Any], folder: str) -> dict[str, Any]:
    """Return a run of so many steps."""
    return {
        "name": "held-up",
        "out_dir": folder,
        "select": "last",
        "checkpoint": checkpoint,
        "model": {"encoder": options.encoder, "lr": 1e-5, "active_vocabulary": False},
        "trainer": {"max_steps": options.steps, "limit_val_batches": 0, "enable_progress_bar": False},
        "data": {"class_path": "DemoNLI", "init_args": {"batch_size": 8, "languages": ["en"], "limit": 80}},
    }


def measured(config: dict[str, Any]) -> tuple[float, list[float]]:
    """Run it; return the seconds from its third batch to the end of training, and those each snapshot held it up."""
    begun: list[float] = []
    held: list[float] = []
    saved: list[Path] = []
    ended: list[float] = []
    hook, save, fit = Snapshots.on_train_batch_start, Trainer.save_checkpoint, Trainer.fit

    def at_batch(self: Snapshots, *args: Any) -> None:
        before = len(saved)
        begun.append(time.perf_counter())
        hook(self, *args)
        held.extend([time.perf_counter() - begun[-1]] * (len(saved) - before))

    def saves(self: Trainer, path: Path, *args: Any, **kwargs: Any) -> None:
        save(self, path, *args, **kwargs)
        saved.append(path)

    def fitted(self: Trainer, *args: Any, **kwargs: Any) -> None:
        fit(self, *args, **kwargs)
        ended.append(time.perf_counter())

    with (
        mock.patch.object(Snapshots, "on_train_batch_start", at_batch),
        mock.patch.object(Trainer, "save_checkpoint", saves),
        mock.patch.object(Trainer, "fit", fitted),
    ):
        run(config)
    return ended[0] - begun[2], held


def told(values: list[float]) -> str:
    """Return a median with its range."""
    return f"{statistics.median(values):.2f} ({min(values):.2f} to {max(values):.2f})"


if __name__ == "__main__":
    sys.exit(main())
