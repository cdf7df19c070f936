"""Many tasks in one run: every optimisation step is of one task, drawn at random."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping

import torch

from xtransfer.errors import ConfigError
from xtransfer.samplers.order import Draw, EpochBatches, permutation, seed_of
from xtransfer.samplers.sampling import Mix, Sampling


class MultiTaskSampler(EpochBatches):
    """Batches of one task each, for a DataLoader over several tasks' examples.

    Every optimisation step, with all its accumulated batches in all processes, is of one task. The examples of a task
    are a stream: the whole task in one random order, then in another, and so on from epoch to epoch, so that each is
    seen once before any is seen again, and none is left out. A step takes the next ``batch_size * accumulate *
    world_size`` of them, cut so that W processes see what one sees that accumulates W times as many batches.

    Which task a step is of, and which examples, is a pure function of seed, epoch and `world_size`: nothing needs to be
    saved, all processes agree without asking, and `resume` enters anywhere. ::

        sampler = MultiTaskSampler({"nli": 900, "qa": 100}, 8, steps=50, sampling=Sampling(temperature=2))
        loader = DataLoader(my_data, batch_sampler=sampler)  # my_data[Draw(part, index, round)] -> an example

    Args:
        sizes: Task -> number of its examples; the order is that of `Draw.part`.
        batch_sizes: Examples of a batch, for all tasks or by task.
        steps: Optimisation steps of an epoch.
        sampling: How often each task is drawn.
        accumulate: Batches of an optimisation step.
        seed: The run's seed.
        rank: Number of this process.
        world_size: How many there are.
        epochs: Epochs of the run, over which a schedule is laid.

    Raises:
        ConfigError: A task has no example, a batch no room, or the weights are wrong.
    """

    def __init__(
        self,
        sizes: Mapping[str, int],
        batch_sizes: int | Mapping[str, int],
        steps: int,
        sampling: Mix | None = None,
        accumulate: int = 1,
        seed: int = 0,
        rank: int = 0,
        world_size: int = 1,
        epochs: int = 1,
    ) -> None:
        self.names = list(sizes)
        self.sizes = dict(sizes)
        self.batch_sizes = batch_sizes if isinstance(batch_sizes, Mapping) else dict.fromkeys(sizes, batch_sizes)
        self.sampling = sampling or Sampling()
        self.steps, self.accumulate, self.seed, self.epochs = steps, accumulate, seed, epochs
        self.rank, self.world_size = rank, world_size
        for name, size in sizes.items():
            if size < 1:
                raise ConfigError(f"task '{name}' has no training data: give it some, or leave it out of the mix")
            if self.batch_sizes[name] < 1:
                raise ConfigError(f"task '{name}': batch size must be at least 1, found {self.batch_sizes[name]}")
        if steps < 1 or accumulate < 1 or epochs < 1:
            raise ConfigError(
                f"steps, accumulate and epochs must be at least 1, found {steps}, {accumulate} and {epochs}"
            )
        self.sampling.shares(self.sizes)
        self._sequences: dict[int, list[int]] = {}
        self._orders: dict[int, tuple[int, torch.Tensor]] = {}

    def __len__(self) -> int:
        """Return the number of batches of an epoch, in each process."""
        return self.steps * self.accumulate

    def tasks(self, epoch: int = 0) -> list[str]:
        """Return the task of each optimisation step of an epoch."""
        return [self.names[number] for number in self._sequence(epoch)]

    def counts(self, epochs: int | None = None) -> dict[str, int]:
        """Return task -> its optimisation steps in the first `epochs` epochs; default all of the run."""
        found: Counter[int] = Counter()
        for epoch in range(self.epochs if epochs is None else epochs):
            found.update(self._sequence(epoch))
        return {name: found[number] for number, name in enumerate(self.names)}

    def examples_a_step(self, task: str) -> int:
        """Return how many examples an optimisation step of a task takes, in all processes together."""
        return self.batch_sizes[task] * self.accumulate * self.world_size

    def batches(self, epoch: int) -> Iterator[list[Draw]]:
        """Yield this process's batches of an epoch."""
        before = self.counts(epoch)
        taken = [before[name] * self.examples_a_step(name) for name in self.names]
        for part in self._sequence(epoch):
            room = self.batch_sizes[self.names[part]]
            for batch in range(self.accumulate):
                start = taken[part] + (batch * self.world_size + self.rank) * room
                yield [self._draw(part, place) for place in range(start, start + room)]
            taken[part] += self.examples_a_step(self.names[part])

    def _draw(self, part: int, place: int) -> Draw:
        """Return what stands at a place of a task's endless stream."""
        turn, index = divmod(place, self.sizes[self.names[part]])
        if self._orders.get(part, (-1, None))[0] != turn:
            name = self.names[part]
            self._orders[part] = (turn, permutation(self.sizes[name], self.seed, name, turn))
        return Draw(part, int(self._orders[part][1][index]), turn)

    def _sequence(self, epoch: int) -> list[int]:
        """Return the number of each step's task; drawn once, by a generator of its own."""
        if epoch not in self._sequences:
            generator = torch.Generator().manual_seed(seed_of(self.seed, "tasks", epoch))
            points = torch.rand(self.steps, generator=generator, dtype=torch.float64)
            self._sequences[epoch] = torch.searchsorted(self._bounds(epoch), points[:, None], right=True)[:, 0].tolist()
        return self._sequences[epoch]

    def _bounds(self, epoch: int) -> torch.Tensor:
        """Return where one task's stretch of 0 to 1 ends and the next one's begins, ``(steps, tasks - 1)``."""
        last = max(1, self.steps * self.epochs - 1)
        times = [min(1.0, (epoch * self.steps + step) / last) for step in range(self.steps)]
        shares = [self.sampling.shares(self.sizes, t) for t in (times if self.sampling.changes else [0.0])]
        table = torch.tensor([[found[name] for name in self.names] for found in shares], dtype=torch.float64)
        return table.cumsum(1)[:, :-1].expand(self.steps, -1).contiguous()
