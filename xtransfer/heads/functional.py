"""The arithmetic that several heads share: pooling a sentence and a loss that survives an empty batch."""

from __future__ import annotations

from typing import Literal, get_args

import torch.nn.functional as F
from torch import Tensor

from xtransfer.errors import ConfigError, nearest

Pooling = Literal["first", "mean"]
"""How one vector is made of a sentence: its first token, or the mean over the tokens attended to."""

IGNORED = -100
"""Label of a position that is neither learned nor scored."""


def check_pooling(pooling: str) -> None:
    """Refuse a pooling that does not exist, at the time a head is built.

    Raises:
        ConfigError: It is neither ``first`` nor ``mean``.
    """
    if pooling not in get_args(Pooling):
        raise ConfigError(f"unknown pooling '{pooling}'{nearest(pooling, get_args(Pooling))}")


def pool(hidden_states: Tensor, attention_mask: Tensor, pooling: Pooling) -> Tensor:
    """Make one vector of a sentence, ``(..., T, H) -> (..., H)``; padding is expected on the right.

    Args:
        hidden_states: ``(..., T, H)``.
        attention_mask: ``(..., T)``, 0 at padding. The mean of a row without tokens is the zero vector.
        pooling: ``first`` or ``mean``; the mean counts the special tokens too, as XTREME's retrieval script does.
    """
    if pooling == "first":
        return hidden_states[..., 0, :]
    # Filled, not multiplied by the mask: 0 * inf in the padding would be NaN.
    total = hidden_states.masked_fill((attention_mask == 0).unsqueeze(-1), 0.0).sum(dim=-2)
    return total / (attention_mask != 0).sum(dim=-1, keepdim=True).clamp(min=1)


def mean_cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the mean cross-entropy over the labels that are not `IGNORED`, in single precision.

    Where all are ignored it is exactly 0 and still has a gradient (of zeros); PyTorch's own mean is NaN there.

    Args:
        logits: ``(N, L)``.
        labels: ``(N,)`` with values from 0 to L - 1, or `IGNORED`.
    """
    total = F.cross_entropy(logits.float(), labels, ignore_index=IGNORED, reduction="sum")
    return total / (labels != IGNORED).sum().clamp(min=1)
