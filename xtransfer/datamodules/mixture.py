"""The training rows of one task or of many as one data set, its batches of one task and language each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil
from typing import Any, NamedTuple

from lightning.pytorch import Trainer
from torch.utils.data import DataLoader, Dataset

from xtransfer.datamodules.features import batch_of
from xtransfer.datamodules.flat import FeatureSet
from xtransfer.datamodules.loading import Loading
from xtransfer.kinds import KINDS, Feature, Vocabulary
from xtransfer.samplers import Draw, EpochBatches, Mix, MultiTaskSampler, ShuffledBatches, seed_of
from xtransfer.task import Task


class Place(NamedTuple):
    """Where in a run a loader is built.

    Attributes:
        seed: The run's seed.
        rank: Number of this process.
        world_size: How many there are.
        accumulate: Batches of an optimisation step.
        epochs: Epochs of the run.
        epoch: The epoch that is entered; more than 0 when a run is resumed.
        done: Batches of that epoch that were done before.
    """

    seed: int = 0
    rank: int = 0
    world_size: int = 1
    accumulate: int = 1
    epochs: int = 1
    epoch: int = 0
    done: int = 0


def progress_of(trainer: Trainer | None) -> dict[str, int]:
    """Return how far a run has come: its epoch, and the batches of it that are done."""
    if trainer is None:
        return {"epoch": 0, "batches": 0}
    epochs: Any = trainer.fit_loop.epoch_progress.current
    batches: Any = trainer.fit_loop.epoch_loop.batch_progress.current
    over = epochs.processed == epochs.started  # the last batch of the epoch before is still counted
    return {"epoch": epochs.processed, "batches": 0 if over else batches.processed}


def place_of(trainer: Trainer | None, seed: int, entered: Mapping[str, int]) -> Place:
    """Return where a run is entered: at its start, or where a resumed run goes on.

    Args:
        trainer: The trainer, if there is one.
        seed: The run's seed.
        entered: What `progress_of` said when the run was saved.
    """
    if trainer is None:
        return Place(seed)
    return Place(
        seed,
        trainer.global_rank,
        trainer.world_size,
        trainer.accumulate_grad_batches,
        max(1, trainer.max_epochs or 1),
        entered["epoch"],
        entered["batches"],
    )


@dataclass(frozen=True)
class Part:
    """The training rows of one task in one language.

    Args:
        task: The record.
        language: Two-letter code.
        features: The tokenised rows.
        batch_size: Features in a batch.
        kept: Positions of the features that are trained on; default all.
    """

    task: Task
    language: str
    features: FeatureSet
    batch_size: int
    kept: Sequence[int] | None = field(default=None, repr=False)

    @property
    def name(self) -> str:
        """Its name, e.g. ``mnli/en``."""
        return f"{self.task.name}/{self.language}"

    @property
    def place(self) -> tuple[str, str]:
        """Its task's name and its language."""
        return self.task.name, self.language

    def __len__(self) -> int:
        """Return the number of features that are trained on."""
        return len(self.features if self.kept is None else self.kept)

    def __getitem__(self, index: int) -> Feature:
        """Return a feature."""
        return self.features[index if self.kept is None else self.kept[index]]

    def steps(self, place: Place, epochs: float = 1) -> int:
        """Return the optimisation steps of so many passes, the last step of a pass counted whole."""
        return ceil(epochs * ceil(len(self) / (self.batch_size * place.accumulate * place.world_size)))


class Mixture(Dataset[tuple[Part, Feature]]):
    """Parts as one data set; an example is asked for by a `Draw`.

    What is drawn anew each time an example is shown, such as its masks, depends on the seed, its part, its position and
    how often it was shown before: not on the process, the worker or where the run was resumed.

    Args:
        parts: The parts, in the order of `Draw.part`.
        vocabulary: The tokenizer's.
        seed: The run's seed.
    """

    def __init__(self, parts: Sequence[Part], vocabulary: Vocabulary, seed: int) -> None:
        self.parts, self.vocabulary, self.seed = list(parts), vocabulary, seed

    def __len__(self) -> int:
        """Return the number of features."""
        return sum(map(len, self.parts))

    def __getitem__(self, draw: Draw) -> tuple[Part, Feature]:
        """Return a feature, as it is shown this time, with the part it is of."""
        part = self.parts[draw.part]
        seed = seed_of(self.seed, "shown", part.name, draw.index, draw.round)
        return part, KINDS[part.task.kind].shown(part[draw.index], part.task, self.vocabulary, seed)

    def collate(self, drawn: Sequence[tuple[Part, Feature]]) -> dict[str, Any]:
        """Pad features of one part to a batch."""
        part = drawn[0][0]
        labels_per, features = KINDS[part.task.kind].labels_per, [feature for _, feature in drawn]
        return batch_of(features, self.vocabulary.pad, labels_per, part.task.name, part.language)


def order_of(parts: Sequence[Part], mix: Mix, place: Place, steps: int | None = None) -> EpochBatches:
    """Return the order of training batches: a shuffled pass over one part, or several parts mixed.

    Args:
        parts: The parts.
        mix: How often each part is drawn, by its name.
        place: Where in the run.
        steps: Optimisation steps of an epoch; default one pass over all parts.
    """
    if len(parts) == 1 and steps is None:
        only: EpochBatches = ShuffledBatches(
            len(parts[0]), parts[0].batch_size, place.seed, place.rank, place.world_size
        )
        return only
    return MultiTaskSampler(
        {part.name: len(part) for part in parts},
        {part.name: part.batch_size for part in parts},
        steps or sum(part.steps(place) for part in parts),
        mix,
        place.accumulate,
        place.seed,
        place.rank,
        place.world_size,
        place.epochs,
    )


def training_loader(
    parts: Sequence[Part], order: EpochBatches, place: Place, vocabulary: Vocabulary, loading: Loading
) -> DataLoader[tuple[Part, Feature]]:
    """Return the training batches, from where the run is entered."""
    order.resume(place.epoch, place.done)
    data = Mixture(parts, vocabulary, place.seed)
    return DataLoader(
        data,
        batch_sampler=order,  # asks for Draws
        collate_fn=data.collate,
        **loading.settings(),
    )


def described(order: EpochBatches, parts: Sequence[Part], place: Place) -> dict[str, dict[str, float]]:
    """Return what each part gets over a run: examples there are, share of the steps, steps, passes of its own."""
    if not isinstance(order, MultiTaskSampler):
        steps = ceil(len(order) / place.accumulate) * place.epochs
        return {parts[0].name: {"examples": len(parts[0]), "share": 1.0, "steps": steps, "epochs": place.epochs}}
    counts, total = order.counts(), order.steps * order.epochs
    return {
        part.name: {
            "examples": len(part),
            "share": round(counts[part.name] / total, 4),
            "steps": counts[part.name],
            "epochs": round(counts[part.name] * order.examples_a_step(part.name) / len(part), 3),
        }
        for part in parts
    }
