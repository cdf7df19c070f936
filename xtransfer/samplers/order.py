"""What the orders of batches have in common: pure functions of seed and epoch, which can be entered anywhere."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterator
from itertools import islice
from typing import NamedTuple

import torch
from typing_extensions import Self

from xtransfer.errors import ConfigError


class Draw(NamedTuple):
    """One example to show.

    Attributes:
        part: Number of the part of the data it is in.
        index: Its position there.
        round: How many times the whole part was shown before.
    """

    part: int
    index: int  # type: ignore[assignment]  # hides tuple.index, which nobody needs here
    round: int


class EpochBatches(ABC):
    """An order of batches that depends on seed, epoch and number of processes alone; a DataLoader's `batch_sampler`.

    Nothing needs to be saved for a resumed run to see the same batches: tell it the epoch, and how many batches of it
    are done. With worker processes, which fetch ahead, that is the only number that is right.

    Attributes:
        epoch: The epoch whose batches are given next.
    """

    epoch: int = 0
    _entered: tuple[int, int] = (0, 0)

    @abstractmethod
    def batches(self, epoch: int) -> Iterator[list[Draw]]:
        """Yield this process's batches of an epoch."""

    @abstractmethod
    def __len__(self) -> int:
        """Return the number of batches of an epoch, in each process."""

    def __iter__(self) -> Iterator[list[Draw]]:
        """Go through the batches of the present epoch, from where it is entered."""
        epoch, done = self._entered
        return islice(self.batches(self.epoch), done if epoch == self.epoch else 0, None)

    def set_epoch(self, epoch: int) -> None:
        """Go to the start of an epoch, or to where `resume` said this epoch is entered."""
        self.epoch = epoch

    def resume(self, epoch: int, batches: int) -> None:
        """Enter an epoch after so many batches of it; the other epochs are whole."""
        self.epoch, self._entered = epoch, (epoch, batches)

    @property
    def sampler(self) -> Self:
        """This very object: Lightning tells the epoch only to ``batch_sampler.sampler``."""
        return self


class ShuffledBatches(EpochBatches):
    """One pass over a data set an epoch, in batches, the last of which may be short.

    Batch m of the pass goes to process m modulo `world_size`, so that several processes see what one process sees that
    accumulates as many batches. Where a last batch is missing, the first ones are repeated.

    Args:
        size: Number of examples.
        batch_size: Examples in a batch.
        seed: The run's seed.
        rank: Number of this process.
        world_size: How many there are.

    Attributes:
        repeated: How many examples an epoch shows twice, so that all processes have as many batches.

    Raises:
        ConfigError: There is no example, or the batch has no room.
    """

    def __init__(self, size: int, batch_size: int, seed: int = 0, rank: int = 0, world_size: int = 1) -> None:
        if size < 1 or batch_size < 1:
            raise ConfigError(
                f"batches need examples and room for them, found {size} examples, batch size {batch_size}"
            )
        self.size, self.batch_size, self.seed, self.rank, self.world_size = size, batch_size, seed, rank, world_size
        self._batches = -(-size // batch_size)
        extra = range(self._batches, len(self) * world_size)
        self.repeated = sum(len(self._places(number)) for number in extra)

    def __len__(self) -> int:
        """Return the number of batches of an epoch, in each process."""
        return -(-self._batches // self.world_size)

    def batches(self, epoch: int) -> Iterator[list[Draw]]:
        """Yield this process's batches of an epoch."""
        order = permutation(self.size, self.seed, epoch)
        for number in range(self.rank, len(self) * self.world_size, self.world_size):
            yield [Draw(0, index, epoch) for index in order[self._places(number)].tolist()]

    def _places(self, number: int) -> torch.Tensor:
        start = number % self._batches * self.batch_size
        return torch.arange(start, min(start + self.batch_size, self.size))


def permutation(size: int, *key: object) -> torch.Tensor:
    """Return the numbers below `size` in an order that depends on the key alone."""
    return torch.randperm(size, generator=torch.Generator().manual_seed(seed_of(*key)))


def seed_of(*key: object) -> int:
    """Return a seed that depends on the key alone, the same on every machine: numbers and texts, not Python's hash."""
    return int.from_bytes(hashlib.sha256(repr(key).encode()).digest()[:8], "big") >> 1
