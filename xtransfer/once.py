"""Vectors of texts, each made once in an evaluation, in however many languages' rows a text stands."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

Batch = Mapping[str, Any]


class Once:
    """Remembers the vectors of an evaluation: Tatoeba's English sentences are candidates in many languages.

    What is remembered is what the scores keep anyway.
    """

    def __init__(self) -> None:
        self._known: dict[tuple[str, bytes], Tensor] = {}

    def forget(self) -> None:
        """Forget all: the weights may be others next time."""
        self._known.clear()

    def vectors(self, batch: Batch, encode: Callable[[Batch], Tensor]) -> Tensor:
        """Return the vectors of a batch ``(B, H)``, on the CPU; those of known texts are not made again.

        Args:
            batch: A batch of single texts, whose token ids are also in ``texts``, as bytes.
            encode: Makes vectors of a batch.
        """
        keys = [(batch["task"], text) for text in batch["texts"]]
        places: dict[tuple[str, bytes], int] = {}
        for place, key in enumerate(keys):
            if key not in self._known:
                places.setdefault(key, place)
        if places:
            chosen = batch if len(places) == len(keys) else _rows(batch, list(places.values()))
            self._known.update(zip(places, encode(chosen).float().cpu(), strict=True))
        return torch.stack([self._known[key] for key in keys])


def _rows(batch: Batch, places: list[int]) -> Batch:
    """Return some rows of a batch, to be packed anew."""
    rows = torch.tensor(places, device=batch["input_ids"].device)
    names = [name for name in ("input_ids", "attention_mask", "token_type_ids") if name in batch]
    return {**batch, **{name: batch[name].index_select(0, rows) for name in names}, "packing": None}
