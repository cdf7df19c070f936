"""What training and scoring cost, in tokens that a model really reads: padding is not counted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from xtransfer.datamodules.cache import FeatureSet
from xtransfer.datamodules.mixture import Part, Place, described
from xtransfer.samplers import EpochBatches

LOOKS = 512
"""Nested features, such as the options of a choice, are counted on so many of them."""


def real_tokens(features: FeatureSet) -> float:
    """Return the tokens of all features; those of several texts each, on at most `LOOKS` of them."""
    total = float(sum(features.lengths))
    if not len(features) or not isinstance(features[0]["input_ids"][0], list):
        return total
    places = range(0, len(features), max(1, len(features) // LOOKS))
    looked_at = [features[place]["input_ids"] for place in places]
    longest = sum(max(map(len, texts)) for texts in looked_at)
    return total * sum(len(text) for texts in looked_at for text in texts) / longest


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


def _of(part: Part) -> float:
    tokens = real_tokens(part.features)
    if part.kept is None:
        return tokens
    lengths = part.features.lengths
    return tokens * sum(lengths[place] for place in part.kept) / max(1, sum(lengths))
