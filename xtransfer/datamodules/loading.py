"""How batches are loaded: by which processes, into which memory."""

from __future__ import annotations

import signal
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from lightning.pytorch import Trainer

from xtransfer.hardware import cores

WORKERS = 4
"""Processes that load batches for a GPU, unless a setting says otherwise; never more than it has processor cores."""
BATCHES_EACH = 8
"""Evaluation batches for which it is worth starting a process."""
AHEAD = 4
"""Batches that a process loads ahead."""


class Loading(NamedTuple):
    """How a trainer's batches are loaded.

    Attributes:
        workers: Processes that load them; 0 is the one that trains.
        pinned: Whether they are put where a GPU can fetch them while it computes.
    """

    workers: int = 0
    pinned: bool = False

    def of_batches(self, batches: Sequence[Any]) -> Loading:
        """Return the same with no more processes than so many batches are worth."""
        return self._replace(workers=min(self.workers, len(batches) // BATCHES_EACH))

    def settings(self, persistent: bool = True) -> dict[str, Any]:
        """Return them as settings of a DataLoader.

        Args:
            persistent: Keep the processes from one pass to the next.
        """
        return {
            "num_workers": self.workers,
            "worker_init_fn": heedless,
            "persistent_workers": persistent and self.workers > 0,
            "prefetch_factor": AHEAD if self.workers else None,
            "pin_memory": self.pinned,
        }


def loading_of(trainer: Trainer | None, workers: int | None) -> Loading:
    """Return how batches are loaded.

    A GPU has processes that load its batches, so that it need not wait. On a CPU loading takes a small part of a step,
    and a process for it would take a core from training.

    Args:
        trainer: The trainer, if there is one.
        workers: Processes that load batches; None leaves it to the device.
    """
    gpu = trainer is not None and trainer.strategy.root_device.type == "cuda"
    if workers is None:
        local = 1 if trainer is None else max(1, trainer.num_devices)
        workers = min(WORKERS, cores() // local) if gpu else 0
    return Loading(workers, gpu)


def heedless(worker: int) -> None:
    """Let a worker process leave signals to the one that trains, which stops in good order and its workers with it.

    A scheduler sends its signals to all of them, and so does a terminal.
    """
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1):
        signal.signal(number, signal.SIG_IGN)


class Aside:
    """The text side of a batch, kept out of what a trainer moves and pins, which it would take apart value by value.

    Args:
        values: One for each feature.
    """

    def __init__(self, values: Sequence[Any]) -> None:
        self._values = list(values)

    def __len__(self) -> int:
        """Return the number of features."""
        return len(self._values)

    def __iter__(self) -> Iterator[Any]:
        """Go through them."""
        return iter(self._values)

    def __getitem__(self, place: int) -> Any:
        """Return that of one feature."""
        return self._values[place]
