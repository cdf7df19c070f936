"""What training and scoring cost, in tokens that a model really reads: padding is not counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from math import ceil, inf
from pathlib import Path
from typing import Any

from transformers import PreTrainedTokenizerFast

from xtransfer.datamodules.features import features_of
from xtransfer.datamodules.flat import FeatureSet
from xtransfer.datamodules.mixture import Part, Place, described
from xtransfer.datamodules.portion import Portion
from xtransfer.kinds import KINDS, Example, Feature, Layout
from xtransfer.samplers import EpochBatches

SAMPLE = 512
"""Rows that are looked at where looking at all of them would take long."""


@dataclass(frozen=True)
class Counted:
    """How large a portion is; stands in for its features where only their number counts.

    Attributes:
        size: Features.
        tokens: Tokens of all of them.
        sampled: Whether that was told from some of its rows.
    """

    size: int
    tokens: float
    sampled: bool = False

    def __len__(self) -> int:
        """Return the number of features."""
        return self.size


class _NotCached(Exception):
    """The features would have to be made first."""


class _OnlyCached(Portion):
    """A portion whose features are taken from the cache or not at all."""

    def examples(self) -> list[Example]:
        """Refuse to be read."""
        raise _NotCached


def counted(portion: Portion, tokenizer: PreTrainedTokenizerFast, max_length: int, cache: Path) -> Counted:
    """Count a portion's tokens: of its features where they are in the cache, or else of `SAMPLE` of its rows.

    Args:
        portion: The rows.
        tokenizer: A fast tokenizer.
        max_length: Tokens of one input.
        cache: Folder of the cache; nothing is written there.

    Raises:
        DataError: A row is broken.
    """
    known = {each.name: getattr(portion, each.name) for each in fields(portion)}
    try:
        features = features_of(_OnlyCached(**known), tokenizer, max_length, cache)
    except _NotCached:
        examples = portion.examples()
    else:
        return Counted(len(features), real_tokens(features))
    every = max(1, -(-len(examples) // SAMPLE))
    chosen, kind = examples[::every], KINDS[portion.task.kind]
    made = list(
        kind.encode(chosen, portion.task, Layout(tokenizer), max_length, portion.split == "train", Counter[str]())
    )
    share = len(examples) / len(chosen)
    return Counted(round(len(made) * share), sum(map(_tokens, made)) * share, every > 1)


def real_tokens(features: FeatureSet | Counted) -> float:
    """Return the tokens of all features."""
    return features.tokens if isinstance(features, Counted) else float(features.tokens.sum())


def tokens_a_step(order: EpochBatches, parts: Sequence[Part], place: Place) -> float:
    """Return the tokens of an optimisation step, in all processes together, on average over a run.

    Args:
        order: The order of the training batches.
        parts: The training rows.
        place: Where in the run; its epochs, processes and accumulation count.
    """
    found = described(order, parts, place)
    tokens = sum(found[part.name]["epochs"] * _of(part) for part in parts)
    return tokens / max(1.0, sum(own["steps"] for own in found.values()))


def tokens_trained(loader: Any, place: Place) -> float:
    """Return the tokens of an optimisation step of a run that has its training batches from this loader."""
    return tokens_a_step(loader.batch_sampler, loader.dataset.parts, place)


def batches_and_looks(trainer: Mapping[str, Any], an_epoch: int) -> tuple[int, int]:
    """Return how many batches a process trains on, and how often the development rows are scored meanwhile.

    Args:
        trainer: The trainer's settings.
        an_epoch: Batches of an epoch in a process.
    """
    limit, limit_val = trainer.get("limit_train_batches"), trainer.get("limit_val_batches")
    if limit is not None:
        an_epoch = min(an_epoch, limit) if isinstance(limit, int) else int(an_epoch * limit)
    epochs = trainer.get("max_epochs")
    steps = trainer.get("max_steps", -1)
    most = steps * trainer.get("accumulate_grad_batches", 1) if steps is not None and steps >= 0 else inf
    total = int(min(most, inf if epochs in (None, -1) else an_epoch * epochs)) if an_epoch else 0
    interval, every = trainer.get("val_check_interval"), trainer.get("check_val_every_n_epoch", 1)
    interval = 1.0 if interval is None else interval
    if limit_val == 0 or not total:
        return total, 0
    if every is None:
        return total, int(total // interval)
    between = interval if isinstance(interval, int) else max(1, int(an_epoch * interval))
    whole, rest = divmod(total, an_epoch)
    return total, (whole // every) * (an_epoch // between) + (rest // between if (whole + 1) % every == 0 else 0)


def steps_of(batches: int, an_epoch: int, accumulate: int) -> int:
    """Return the optimisation steps of so many batches; the last one of an epoch may be short."""
    whole, rest = divmod(batches, an_epoch)
    return whole * ceil(an_epoch / accumulate) + ceil(rest / accumulate)


def _tokens(feature: Feature) -> int:
    ids = feature["input_ids"]
    return sum(map(len, ids)) if isinstance(ids[0], list) else len(ids)


def _of(part: Part) -> float:
    if part.kept is None:
        return real_tokens(part.features)
    return float(part.features.tokens[list(part.kept)].sum())
