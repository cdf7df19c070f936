"""The head that makes one vector of a sentence."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from xtransfer.errors import ConfigError
from xtransfer.heads.base import Head, HeadOutput
from xtransfer.heads.functional import Pooling, check_pooling, mean_cross_entropy, pool


class RetrievalHead(Head):
    """A sentence as a vector of length 1: pooling (-> dense -> tanh) -> L2 normalisation; a dot product is a cosine.

    With labels it learns from pairs: each query must find its candidate among all candidates of the batch (softmax
    over cosine x scale, in one direction, as in LAReQA). Without `dense` and `learn_scale` it
    has no parameters.

    Args:
        hidden_size: Width H of the hidden states, which is that of the vectors.
        num_labels: Always 0.
        dropout: Probability of zeroing a unit of the pooled vector in training; none by default.
        pooling: ``mean`` over the tokens attended to, or ``first``.
        scale: Factor on the cosines before the softmax (the inverse of a temperature).
        learn_scale: Train the factor too, starting from `scale` (LAReQA starts from 100).
        dense: Put a dense layer and tanh after the pooling, as BERT's own pooled output has them; needs training.

    Raises:
        ConfigError: `num_labels` is not 0, or the pooling is unknown.
    """

    def __init__(
        self,
        hidden_size: int,
        num_labels: int = 0,
        dropout: float = 0.0,
        pooling: Pooling = "mean",
        scale: float = 20.0,
        learn_scale: bool = False,
        dense: bool = False,
    ) -> None:
        if num_labels != 0:
            raise ConfigError(f"RetrievalHead: num_labels must be 0, it has no classes; found {num_labels}")
        super().__init__(hidden_size, num_labels, dropout)
        check_pooling(pooling)
        self.pooling, self.initial_scale, self.learn_scale = pooling, scale, learn_scale
        self.scale: Tensor | float = nn.Parameter(torch.tensor(float(scale))) if learn_scale else scale
        self.dense = nn.Linear(hidden_size, hidden_size) if dense else None

    def config(self) -> dict[str, Any]:
        """Return the arguments of the constructor; a learned scale itself is among the weights."""
        own: dict[str, Any] = {"pooling": self.pooling, "scale": self.initial_scale, "learn_scale": self.learn_scale}
        own["dense"] = self.dense is not None
        return super().config() | own

    def forward(self, hidden_states: Tensor, attention_mask: Tensor, labels: Tensor | None = None) -> HeadOutput:
        """Embed sentences, or pairs of a query and a candidate.

        Args:
            hidden_states: ``(B, T, H)``, or pairs ``(B, 2, T, H)``.
            attention_mask: ``(B, T)`` or ``(B, 2, T)``, 0 at padding.
            labels: Pairs only: ``(B,)`` row of the query's candidate in this batch; -100 is ignored.

        Returns:
            In-batch softmax cross-entropy, and vectors ``(B, H)`` or ``(B, 2, H)`` in single precision.

        Raises:
            ConfigError: Labels without pairs.
        """
        pooled = pool(hidden_states, attention_mask, self.pooling)
        if self.dense is not None:
            pooled = torch.tanh(self.dense(pooled))
        pooled = self.dropout(pooled)
        # Single precision: in half precision the norm's guard against 0 would itself be 0.
        vectors = F.normalize(pooled.float(), dim=-1)
        if labels is None:
            return HeadOutput(None, vectors)
        if vectors.dim() != 3 or vectors.shape[1] != 2:
            shape = tuple(hidden_states.shape)
            raise ConfigError(f"RetrievalHead: a loss needs pairs of hidden states (B, 2, T, H), found {shape}")
        with torch.autocast(vectors.device.type, enabled=False):  # bfloat16 cosines, times 20, would be 0.1 apart
            similarity = vectors[:, 0] @ vectors[:, 1].T
            return HeadOutput(mean_cross_entropy(similarity * self.scale, labels), vectors)
