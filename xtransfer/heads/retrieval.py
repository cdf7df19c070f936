"""The head that makes one vector of a sentence, and the exact search for its nearest neighbours."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from xtransfer.errors import ConfigError, DataError
from xtransfer.heads.base import Head, HeadOutput
from xtransfer.heads.functional import Pooling, check_pooling, mean_cross_entropy, pool


class RetrievalHead(Head):
    """A sentence as a vector of length 1: pooling -> L2 normalisation, so that a dot product is a cosine.

    With labels it learns from pairs: each query must find its candidate among all candidates of the batch (softmax
    over cosine x scale, in one direction, as in LAReQA). Without `learn_scale` it has no parameters.

    Args:
        hidden_size: Width H of the hidden states, which is that of the vectors.
        num_labels: Always 0.
        dropout: Probability of zeroing a unit of the pooled vector in training; none by default.
        pooling: ``mean`` over the tokens attended to, or ``first``.
        scale: Factor on the cosines before the softmax (the inverse of a temperature).
        learn_scale: Train the factor too, starting from `scale` (LAReQA starts from 100).

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
    ) -> None:
        if num_labels != 0:
            raise ConfigError(f"RetrievalHead: num_labels must be 0, it has no classes; found {num_labels}")
        super().__init__(hidden_size, num_labels, dropout)
        check_pooling(pooling)
        self.pooling, self.initial_scale, self.learn_scale = pooling, scale, learn_scale
        self.scale: Tensor | float = nn.Parameter(torch.tensor(float(scale))) if learn_scale else scale

    def config(self) -> dict[str, Any]:
        """Return the arguments of the constructor; a learned scale itself is among the weights."""
        own = {"pooling": self.pooling, "scale": self.initial_scale, "learn_scale": self.learn_scale}
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
        pooled = self.dropout(pool(hidden_states, attention_mask, self.pooling))
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


def nearest_neighbours(queries: Tensor, candidates: Tensor, k: int = 1, block: int = 4096) -> tuple[Tensor, Tensor]:
    """Find the `k` candidates with the largest dot product for each query, exactly and in bounded memory.

    Both sides are cut into blocks, so that no more than ``block x block`` similarities exist at a time. Products are
    taken in single precision. Exactly equal ones go to the lowest index; two copies of a vector may differ in the last
    digit, so remove duplicates where that matters.

    Args:
        queries: ``(Q, D)``.
        candidates: ``(N, D)``, on the same device.
        k: How many neighbours; at most N are returned.
        block: Rows of either side in a block.

    Returns:
        Scores ``(Q, k)``, largest first, and indices ``(Q, k)`` of the candidates.

    Raises:
        ConfigError: `k` or `block` is below 1.
        DataError: The widths differ, or a vector holds NaN or infinity.
    """
    if k < 1 or block < 1:
        raise ConfigError(f"nearest_neighbours: k and block must be at least 1, found k={k}, block={block}")
    if queries.shape[1] != candidates.shape[1]:
        raise DataError(f"queries are {queries.shape[1]} wide, candidates {candidates.shape[1]}: not of one encoder")
    for name, vectors in (("queries", queries), ("candidates", candidates)):
        parts = (vectors[first : first + block] for first in range(0, len(vectors), block))
        broken = sum(len(part) - int(part.isfinite().all(dim=1).sum()) for part in parts)
        if broken:
            raise DataError(f"{name}: {broken} of {len(vectors)} vectors hold NaN or infinity; check the encoder")
    k = min(k, len(candidates))
    scores = queries.new_empty((len(queries), k), dtype=torch.float32)
    indices = queries.new_empty((len(queries), k), dtype=torch.long)
    with torch.no_grad():
        for first in range(0, len(queries), block):
            rows = slice(first, first + block)
            scores[rows], indices[rows] = _search(queries[rows].float(), candidates, k, block)
    return scores, indices


def _search(queries: Tensor, candidates: Tensor, k: int, block: int) -> tuple[Tensor, Tensor]:
    """Walk over the candidates block by block, keeping the best `k` so far."""
    scores = queries.new_empty((len(queries), 0))
    indices = queries.new_empty((len(queries), 0), dtype=torch.long)
    for first in range(0, len(candidates), block):
        similarity = queries @ candidates[first : first + block].float().T
        columns = _top_columns(similarity, k)
        scores = torch.cat([scores, similarity.gather(1, columns)], dim=1)
        indices = torch.cat([indices, columns + first], dim=1)
        # Stable: within a block equal scores stand in the order of their columns, and earlier blocks stand first.
        order = scores.argsort(dim=1, descending=True, stable=True)[:, :k]
        scores, indices = scores.gather(1, order), indices.gather(1, order)
    return scores, indices


def _top_columns(similarity: Tensor, k: int) -> Tensor:
    """Return the columns of the `k` largest of each row in rising order, of equal ones those that come first."""
    if similarity.shape[1] <= k:
        return torch.arange(similarity.shape[1], device=similarity.device).expand(similarity.shape)
    values, columns = similarity.topk(k + 1, dim=1)
    columns = columns[:, :k]
    # topk picks any of several equal values. Only a tie across the border changes the choice, and only those rows
    # pay for a full sort, which is some 30 times slower.
    tied = values[:, k - 1] == values[:, k]
    columns[tied] = similarity[tied].argsort(dim=1, descending=True, stable=True)[:, :k]
    return columns.sort(dim=1).values
