"""Nearest neighbours and mining against faiss, the reference: its flat index compares all pairs too."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from xtransfer.heads import mutual_neighbours, nearest_neighbours
from xtransfer.metrics import mine

faiss: Any = pytest.importorskip("faiss", reason="faiss is the reference here")


def by_faiss(queries: Tensor, candidates: Tensor, k: int) -> tuple[Tensor, Tensor]:
    index = faiss.IndexFlatIP(queries.shape[1])
    index.add(candidates.numpy())
    scores, found = index.search(queries.numpy(), k)
    return torch.from_numpy(scores), torch.from_numpy(found)


def vectors(rows: int, seed: int) -> Tensor:
    return normalize(torch.randn(rows, 48, generator=torch.Generator().manual_seed(seed)), dim=1)


@pytest.mark.parametrize(("q", "n", "k", "block"), [(300, 700, 4, 128), (700, 300, 1, 4096), (257, 513, 20, 64)])
def test_the_neighbours_are_those_of_faiss(q, n, k, block):
    queries, candidates = vectors(q, 1), vectors(n, 2)
    scores, found = nearest_neighbours(queries, candidates, k, block)
    expected_scores, expected = by_faiss(queries, candidates, k)
    assert torch.equal(found, expected)
    torch.testing.assert_close(scores, expected_scores, rtol=0, atol=1e-6)
    (_, forward), (_, backward) = mutual_neighbours(queries, candidates, k, block)
    assert torch.equal(forward, expected)
    assert torch.equal(backward, by_faiss(candidates, queries, k)[1])


def test_the_pairs_are_those_that_the_neighbours_of_faiss_give():
    """Ratio margin over 4 neighbours, the best of both directions, greedily: Artetxe and Schwenk 2019."""
    common = vectors(200, 3)
    queries = normalize(torch.cat([common, vectors(150, 4)]), dim=1)
    candidates = normalize(torch.cat([common + 0.1 * vectors(200, 5), vectors(90, 6)]), dim=1)
    forward, there = by_faiss(queries, candidates, 4)
    backward, back = by_faiss(candidates, queries, 4)
    means = forward.mean(1), backward.mean(1)
    proposals = []
    for q in range(len(queries)):
        margins = [
            (float(2 * s / (means[0][q] + means[1][c])), q, int(c)) for s, c in zip(forward[q], there[q], strict=True)
        ]
        proposals.append(max(margins))
    for c in range(len(candidates)):
        margins = [
            (float(2 * s / (means[0][q] + means[1][c])), int(q), c) for s, q in zip(backward[c], back[c], strict=True)
        ]
        proposals.append(max(margins))
    expected: dict[int, tuple[int, float]] = {}
    for margin, q, c in sorted(proposals, reverse=True):
        if q not in expected and c not in {other for other, _ in expected.values()}:
            expected[q] = (c, margin)
    found = mine(queries, candidates, k=4, block=100)
    assert {pair.query: pair.candidate for pair in found} == {q: c for q, (c, _) in expected.items()}
    for pair in found:
        assert pair.score == pytest.approx(expected[pair.query][1], abs=1e-5)
