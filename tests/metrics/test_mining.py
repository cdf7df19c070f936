"""Mining against values computed by hand and a plain transcription of the published definition."""

from __future__ import annotations

import pytest
import torch
from torch.nn.functional import normalize

from xtransfer.metrics import best_threshold, mine


def by_definition(queries: torch.Tensor, candidates: torch.Tensor, k: int) -> list[tuple[float, int, int]]:
    """Margins of all pairs at once, then the best of each row and column among its k neighbours, greedily."""
    cosine = (normalize(queries.double(), dim=1) @ normalize(candidates.double(), dim=1).T).tolist()
    columns = [list(column) for column in zip(*cosine, strict=True)]
    mean = [[sum(sorted(line)[-k:]) / min(k, len(line)) for line in side] for side in (cosine, columns)]
    margin = [[value / ((mean[0][i] + mean[1][j]) / 2) for j, value in enumerate(row)] for i, row in enumerate(cosine)]
    proposals = []
    for i, row in enumerate(cosine):
        near = sorted(range(len(row)), key=lambda j: -row[j])[:k]
        j = max(near, key=lambda j: margin[i][j])
        proposals.append((margin[i][j], i, j))
    for j, column in enumerate(columns):
        near = sorted(range(len(column)), key=lambda i: -column[i])[:k]
        i = max(near, key=lambda i: margin[i][j])
        proposals.append((margin[i][j], i, j))
    kept: list[tuple[float, int, int]] = []
    for score, i, j in sorted(proposals, key=lambda pair: -pair[0]):
        if score > 0 and all(i != a and j != b for _, a, b in kept):
            kept.append((score, i, j))
    return kept


@pytest.mark.parametrize(("q", "c", "k", "block"), [(30, 40, 4, 7), (40, 30, 4, 4096), (5, 3, 4, 2), (50, 50, 1, 16)])
def test_mining_is_the_published_definition(q: int, c: int, k: int, block: int) -> None:
    draw = torch.Generator().manual_seed(q * c)
    common = torch.randn(min(q, c), 8, generator=draw)
    queries = torch.cat([common, torch.randn(q - len(common), 8, generator=draw)])
    candidates = torch.cat([common, torch.randn(c - len(common), 8, generator=draw)])[torch.randperm(c, generator=draw)]
    candidates = candidates + 0.4 * torch.randn(c, 8, generator=draw)
    found, expected = mine(queries, candidates, k, block), by_definition(queries, candidates, k)
    assert [(pair.query, pair.candidate) for pair in found] == [(i, j) for _, i, j in expected]
    assert [pair.score for pair in found] == pytest.approx([score for score, _, _ in expected], abs=1e-4)


def test_margin_by_hand() -> None:
    # Cosines: 1 and 0.6 of the first, 0.6 and 1 of the second. Means of two: 0.8 all round.
    found = mine(torch.tensor([[1.0, 0.0], [0.6, 0.8]]), torch.tensor([[2.0, 0.0], [1.2, 1.6]]), k=2)
    assert [(pair.query, pair.candidate) for pair in found] == [(0, 0), (1, 1)]
    assert [pair.score for pair in found] == pytest.approx([1.25, 1.25])


def test_nothing_to_mine() -> None:
    assert mine(torch.ones(0, 3), torch.ones(4, 3)) == []


@pytest.mark.parametrize(
    ("right", "gold", "threshold"),
    [
        ("ab", 2, 0.75),  # both of the first two: half way to the third
        ("abcd", 4, 0.4),  # all are right: the last one's own score
        ("ac", 2, 0.55),  # F1 after one 2/3, after two 1/2, after three 4/5
        ("", 3, float("inf")),  # none is right: nothing is kept
        ("a", 1, 0.85),
    ],
)
def test_threshold_of_the_best_f1(right: str, gold: int, threshold: float) -> None:
    golds = {*right, *(str(i) for i in range(gold - len(right)))}
    assert best_threshold([0.9, 0.8, 0.7, 0.4], list("abcd"), golds) == pytest.approx(threshold)


def test_no_pairs_keep_nothing() -> None:
    assert best_threshold([], [], {"a"}) == float("inf")
