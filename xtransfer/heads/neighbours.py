"""The exact search for nearest neighbours, in blocks: one direction, or both in one pass."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from xtransfer.errors import ConfigError, DataError


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
    _check(queries, candidates, k, block)
    best = _Best(len(queries), min(k, len(candidates)), queries)
    for rows, columns, similarity in _blocks(queries, candidates, block):
        best.add(rows, columns.start, similarity)
    return best.scores, best.indices


def mutual_neighbours(
    queries: Tensor, candidates: Tensor, k: int = 1, block: int = 4096
) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """Find the nearest neighbours in both directions, computing each similarity once.

    Args:
        queries: ``(Q, D)``.
        candidates: ``(N, D)``, on the same device.
        k: How many neighbours of each vector on the other side.
        block: Rows of either side in a block.

    Returns:
        Scores and indices as of `nearest_neighbours`: of each query's candidates ``(Q, k)``, and of each candidate's
        queries ``(N, k)``.

    Raises:
        ConfigError: `k` or `block` is below 1.
        DataError: The widths differ, or a vector holds NaN or infinity.
    """
    _check(queries, candidates, k, block)
    forward = _Best(len(queries), min(k, len(candidates)), queries)
    backward = _Best(len(candidates), min(k, len(queries)), candidates)
    for rows, columns, similarity in _blocks(queries, candidates, block):
        forward.add(rows, columns.start, similarity)
        backward.add(columns, rows.start, similarity.T.contiguous())
    return (forward.scores, forward.indices), (backward.scores, backward.indices)


class _Best:
    """The `k` largest similarities of each row seen so far, of equal ones those with the lowest index."""

    def __init__(self, rows: int, k: int, like: Tensor) -> None:
        self.k = k
        self.scores = like.new_full((rows, k), -torch.inf, dtype=torch.float32)
        self.indices = like.new_zeros((rows, k), dtype=torch.long)

    def add(self, rows: slice, first: int, similarity: Tensor) -> None:
        """Take in similarities ``(rows, columns)`` to the vectors from number `first` on; blocks come in order."""
        columns = _top_columns(similarity, self.k)
        scores = torch.cat([self.scores[rows], similarity.gather(1, columns)], dim=1)
        indices = torch.cat([self.indices[rows], columns + first], dim=1)
        # Stable: within a block equal scores stand in the order of their columns, and earlier blocks stand first.
        order = scores.argsort(dim=1, descending=True, stable=True)[:, : self.k]
        self.scores[rows], self.indices[rows] = scores.gather(1, order), indices.gather(1, order)


def _check(queries: Tensor, candidates: Tensor, k: int, block: int) -> None:
    if k < 1 or block < 1:
        raise ConfigError(f"nearest neighbours: k and block must be at least 1, found k={k}, block={block}")
    if queries.shape[1] != candidates.shape[1]:
        raise DataError(f"queries are {queries.shape[1]} wide, candidates {candidates.shape[1]}: not of one encoder")
    for name, vectors in (("queries", queries), ("candidates", candidates)):
        parts = (vectors[first : first + block] for first in range(0, len(vectors), block))
        broken = sum(len(part) - int(part.isfinite().all(dim=1).sum()) for part in parts)
        if broken:
            raise DataError(f"{name}: {broken} of {len(vectors)} vectors hold NaN or infinity; check the encoder")


def _blocks(queries: Tensor, candidates: Tensor, block: int) -> Iterator[tuple[slice, slice, Tensor]]:
    """Yield the similarities block by block, with the rows and columns they belong to."""
    with torch.no_grad():
        for top in range(0, len(queries), block):
            rows = slice(top, min(top + block, len(queries)))
            some = queries[rows].float()
            for left in range(0, len(candidates), block):
                columns = slice(left, min(left + block, len(candidates)))
                yield rows, columns, some @ candidates[columns].float().T


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
