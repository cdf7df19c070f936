"""The library as its users run it, on batches that are given, with a stopwatch."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, Trainer

from benchmarks.examples import PAIRS, Chosen, Pool
from benchmarks.harness import SILENT, MeasurementError, Run, Stopwatch
from benchmarks.orders import Batches
from xtransfer.active import Activation, Words
from xtransfer.datamodules import CustomTask
from xtransfer.datamodules.base import TaskDataModule
from xtransfer.datamodules.features import words_of
from xtransfer.datamodules.mixture import Part, Place
from xtransfer.module import TransferModule
from xtransfer.packing import size_for
from xtransfer.pretrained import CompileMode
from xtransfer.samplers import Draw, EpochBatches

LR, DECAY, WARMUP, CLIP = 2e-5, 0.01, 0.1, 1.0
"""Of all variants, ours and others'."""


@dataclass(frozen=True)
class Setting:
    """What a training is measured with.

    Attributes:
        encoder: Folder of the encoder and its tokenizer.
        pool: The pairs that batches are made of.
        cache: Where tokenised rows are kept.
        max_length: Tokens of a pair.
        words: Words that training is said to touch; more are added to those of the pool, at random.
        device: ``cpu`` or ``cuda``.
        bf16: Compute in bfloat16.
        packing: Leave out padding (ours).
        active: Train the words that occur only (ours).
        compiled: Compile the layers; in a mode (ours).
        warm: Batches that are not timed: in the first step the optimiser makes its state.
    """

    encoder: Path
    pool: Pool
    cache: Path
    max_length: int = 128
    words: int = 0
    device: str = "cpu"
    bf16: bool = False
    packing: bool = True
    active: bool = True
    compiled: bool | CompileMode = False
    warm: int = 1

    def but(self, **changes: Any) -> Setting:
        """Return the same with some changes."""
        return replace(self, **changes)


class GivenBatches(EpochBatches):
    """Batches in an order that is given."""

    def __init__(self, given: Batches) -> None:
        self.given = given

    def batches(self, epoch: int) -> Iterator[list[Draw]]:
        """Yield them."""
        for batch in self.given:
            yield [Draw(0, place, epoch) for place in batch]

    def __len__(self) -> int:
        """Return their number."""
        return len(self.given)


class GivenTask(CustomTask):
    """Pairs that are shown in given batches."""

    given: Batches

    def order(self, parts: list[Part], place: Place) -> EpochBatches:  # type: ignore[override]
        """Return the given order."""
        return GivenBatches(self.given)

    def facts(self, order: EpochBatches, parts: Any, place: Place) -> dict[str, Any]:
        """Tell nothing: there are no results."""
        return {}


def pairs(setting: Setting, batches: Batches) -> GivenTask:
    """Return the DataModule of a pool."""
    source = Chosen("train", {"en": setting.pool.rows})
    data = GivenTask(
        task=PAIRS,
        source=source,
        tokenizer=str(setting.encoder),
        batch_size=len(batches[0]) if batches else 1,
        max_length=setting.max_length,
        cache_dir=setting.cache,
        seed=1,
    )
    data.given = batches
    return data


def lengths_of(setting: Setting) -> list[int]:
    """Return the number of tokens of each pair of a pool."""
    data = pairs(setting, [])
    data.setup("fit")
    (features,) = data.sets.values()
    return [int(length) for length in features.lengths]


class Timing(Callback):
    """Starts a stopwatch after the first steps, stops it after the last, and counts what is computed between.

    Args:
        watch: The stopwatch.
        warm: Steps that are not timed.
        compiled: Whether batches are filled up to one of few sizes.
    """

    def __init__(self, watch: Stopwatch, warm: int, compiled: bool) -> None:
        self.watch, self.warm, self.compiled, self.steps = watch, warm, compiled, 0

    def on_train_batch_start(self, trainer: Trainer, pl_module: Any, batch: Any, batch_idx: int) -> None:
        """Count a batch."""
        if batch_idx >= self.warm:
            packed = pl_module.encoder.packs
            real = len(batch["packing"].tokens)
            filled = size_for(real) if self.compiled else real
            computed = filled if packed else batch["input_ids"].numel()
            self.watch.count(sum(batch["packing"].lengths), computed)

    def on_train_batch_end(self, trainer: Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Start after the first."""
        self.steps += 1
        if self.steps == self.warm:
            self.watch.begin()

    def on_before_optimizer_step(self, trainer: Trainer, pl_module: Any, optimizer: Any) -> None:
        """Refuse to time an optimiser that has nothing to do."""
        check_gradients(pl_module, self.steps)

    def on_train_end(self, trainer: Trainer, pl_module: Any) -> None:
        """Stop."""
        self.watch.end()


def check_gradients(model: torch.nn.Module, steps: int) -> None:
    """Check before the first step that each parameter has a gradient: without, a step costs nothing.

    Raises:
        MeasurementError: One has none.
    """
    lacking = [] if steps else [name for name, p in model.named_parameters() if p.requires_grad and p.grad is None]
    if lacking:
        raise MeasurementError(f"{len(lacking)} parameters have no gradient, first {lacking[0]}")


def words(data: TaskDataModule, number: int, vocabulary: int) -> Words:
    """Return the words of a task's rows, and so many others at random that there are `number` of them."""
    trained = words_of(data.sets).trained
    missing = min(number, vocabulary) - len(trained)
    if missing > 0:
        others = torch.randperm(vocabulary, generator=torch.Generator().manual_seed(1))
        others = others[~torch.isin(others, trained)][:missing]
        trained = torch.cat([trained, others]).sort().values
    return Words(trained, torch.zeros(0, dtype=torch.long))


def trainer_of(setting: Setting, callbacks: list[Callback], folder: Path) -> Trainer:
    """Return a trainer that writes nothing."""
    return Trainer(
        accelerator="gpu" if setting.device == "cuda" else "cpu",
        devices=1,
        precision="bf16-mixed" if setting.bf16 else "32-true",
        max_epochs=1,
        gradient_clip_val=CLIP,
        limit_val_batches=0,
        default_root_dir=folder,
        callbacks=callbacks,
        **SILENT,
    )


def module_of(setting: Setting, data: TaskDataModule) -> TransferModule:
    """Return the module of a setting."""
    return TransferModule(
        tasks=data.specs(),
        encoder=str(setting.encoder),
        packing=setting.packing,
        compiled=setting.compiled,
        active_vocabulary=setting.active,
        lr=LR,
        weight_decay=DECAY,
        warmup=WARMUP,
    )


def train(setting: Setting, batches: Batches, extra: list[Callback] | None = None) -> tuple[Run, TransferModule]:
    """Train on given batches, the first of which are not timed.

    Args:
        setting: With what.
        batches: Numbers of pairs of the pool.
        extra: More callbacks.

    Returns:
        What was measured, and the module, its words as they were trained.
    """
    watch, data = Stopwatch(), pairs(setting, batches)
    torch.manual_seed(1)
    module = module_of(setting, data)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "words.safetensors"
        module.activation = Activation(lambda: words(data, setting.words, module.encoder.vocab_size), file)
        trainer_of(setting, [Timing(watch, setting.warm, bool(setting.compiled)), *(extra or [])], Path(folder)).fit(
            module, datamodule=data
        )
    return watch.run(), module
