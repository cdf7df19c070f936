"""A batch without its padding: which tokens are computed, in one row, and where their states go back to."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import NamedTuple

import torch
from torch import Tensor

SHARE = 8
"""What is filled up grows by at most one part in so many."""


class Packing(NamedTuple):
    """Where the real tokens of a padded batch ``(R, T)`` stand once they are put one after the other.

    N is the number of tokens that are computed, S that of the sequences they make. What a GPU would have to be asked
    for is known beforehand.

    Attributes:
        tokens: ``(N,)`` places of the tokens in the flattened batch, sequence by sequence.
        positions: ``(N,)`` place of each token in its sequence, from 0.
        bounds: ``(S + 1,)`` int32, where each sequence begins, and the end.
        lengths: Tokens of each sequence.
        rows: ``(R,)`` the row each row has its states from, where some are equal and computed once; else None.
    """

    tokens: Tensor
    positions: Tensor
    bounds: Tensor
    lengths: tuple[int, ...]
    rows: Tensor | None = None

    @classmethod
    def of(cls, lengths: Sequence[int], width: int, rows: Sequence[int] | None = None) -> Packing:
        """Pack rows whose tokens stand at their beginning.

        Args:
            lengths: Tokens of each of the R rows; a row without any has a first token all the same, whose states are
                finite and meaningless.
            width: T, tokens of a row with its padding.
            rows: For each row the first one that is equal to it; default each is computed itself.
        """
        own = range(len(lengths)) if rows is None else sorted(set(rows))
        sizes = [max(1, lengths[row]) for row in own]
        bounds = torch.tensor([0, *accumulate(sizes)], dtype=torch.int32)
        starts = torch.repeat_interleave(bounds[:-1].long(), torch.tensor(sizes), output_size=int(bounds[-1]))
        positions = torch.arange(int(bounds[-1])) - starts
        first = torch.tensor(list(own), dtype=torch.long) * width
        tokens = torch.repeat_interleave(first, torch.tensor(sizes)) + positions
        repeated = len(own) < len(lengths)
        return cls(tokens, positions, bounds, tuple(sizes), torch.tensor(rows) if repeated else None)

    @classmethod
    def of_mask(cls, attention_mask: Tensor) -> Packing:
        """Pack the tokens attended to, wherever they stand; on a GPU this waits for the device.

        Args:
            attention_mask: ``(R, T)``, 0 at padding.
        """
        mask = attention_mask != 0
        mask[:, 0] |= ~mask.any(-1)
        lengths = tuple(mask.sum(-1).tolist())
        tokens = mask.flatten().nonzero()[:, 0]
        packed = cls.of(lengths, mask.shape[-1])
        device = tokens.device
        return packed._replace(tokens=tokens, positions=packed.positions.to(device), bounds=packed.bounds.to(device))

    def filled(self) -> Packing:
        """Return it with sequences of nobody's tokens behind the real ones, so that there are few numbers of tokens.

        Code that is compiled, or recorded as a CUDA graph, for a number of tokens then serves many batches. No sequence
        that is added is longer than the longest; states and gradients of the real tokens are what they were.
        """
        real, longest = len(self.tokens), max(self.lengths)
        missing = size_for(real) - real
        sizes = [min(longest, missing - start) for start in range(0, missing, longest)]
        places = torch.arange(missing, device=self.tokens.device)
        ends = torch.arange(1, len(sizes) + 1, dtype=torch.int32, device=self.tokens.device) * longest
        return self._replace(
            tokens=torch.cat([self.tokens, torch.zeros_like(places)]),
            positions=torch.cat([self.positions, places % longest]),
            bounds=torch.cat([self.bounds, real + ends.clamp(max=missing)]),
            lengths=(*self.lengths, *sizes),
        )

    def unpack(self, states: Tensor, shape: Sequence[int]) -> Tensor:
        """Put states ``(N, H)`` back into rows ``(R, T, H)``, zeros at padding.

        Args:
            states: Those of the tokens, in their order; what follows them is left out.
            shape: R and T.
        """
        states = states[: len(self.tokens)]
        room, width = shape[0] * shape[1], states.shape[-1]
        padded = states.new_zeros(room, width).index_copy(0, self.tokens, states).view(*shape, width)
        return padded if self.rows is None else padded.index_select(0, self.rows)


def size_for(tokens: int) -> int:
    """Return the number of tokens that so many are filled up to: one of eight between any power of two and the next."""
    step = max(SHARE, (1 << (tokens.bit_length() - 1)) // SHARE)
    return -(-tokens // step) * step


def as_given(states: Tensor, packed: Packing | None, shape: torch.Size) -> Tensor:
    """Bring an encoder's states into the shape of the token ids ``(..., T)`` they belong to."""
    if packed is not None:
        states = packed.unpack(states[0], (shape[:-1].numel(), shape[-1]))
    return states.reshape(*shape, -1)
