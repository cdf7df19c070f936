"""Evaluation batches by tokens: as many features as fit into a budget, longest first, equal texts side by side."""

from __future__ import annotations

from typing import NamedTuple

from xtransfer.datamodules.flat import FeatureSet

TOKENS = 4096
"""Tokens of an evaluation batch, unless a setting says otherwise."""
WIDE = 4
"""How much larger than the budget a batch may be with its padding and its repeated texts, which heads see."""
ID = 4
"""Bytes of a token id."""


class Budget(NamedTuple):
    """How large an evaluation batch may be; one feature always fits.

    Attributes:
        tokens: Most tokens that are computed: those of its different sequences, without padding.
        examples: Most features; None is as many as fit.
    """

    tokens: int = TOKENS
    examples: int | None = None


def shared_batches(features: FeatureSet, budget: Budget, rank: int = 0, world_size: int = 1) -> list[list[int]]:
    """Return a process's batches, as positions of features.

    Features come by falling length, so that there is hardly any padding and memory runs out at once or never. All
    processes have as many batches, for which some are repeated, and where there are few they are smaller. Metrics and
    files of predictions go by the index of an example, not by its place, and count each once.

    Args:
        features: The features.
        budget: How large a batch may be.
        rank: Number of this process.
        world_size: How many there are.
    """
    share = -(-int(features.tokens.sum()) // world_size)
    batches = _batches(features, budget._replace(tokens=max(1, min(budget.tokens, share))))
    missing = -len(batches) % world_size
    batches += (batches * missing)[:missing]
    return batches[rank::world_size]


def _batches(features: FeatureSet, budget: Budget) -> list[list[int]]:
    rows = [features.sequences(position) for position in range(len(features))]
    order = sorted(range(len(features)), key=lambda position: (-features.lengths[position], rows[position], position))
    batches: list[list[int]] = []
    seen: set[bytes] = set()
    tokens = places = width = 0
    for position in order:
        own = set(rows[position])
        new = sum(len(row) // ID for row in own - seen)
        room = len(rows[position]) * (width or int(features.lengths[position]))
        full = tokens + new > budget.tokens or places + room > WIDE * budget.tokens
        if not batches or full or len(batches[-1]) == budget.examples:
            width = int(features.lengths[position])
            batches.append([])
            seen, tokens, places = set(), 0, 0
            new, room = sum(len(row) // ID for row in own), len(rows[position]) * width
        batches[-1].append(position)
        seen |= own
        tokens, places = tokens + new, places + room
    return batches
