from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from tests.heads.head_tester import HeadTester
from xtransfer.errors import ConfigError, DataError
from xtransfer.heads import RetrievalHead, nearest_neighbours


class TestRetrievalHead(HeadTester):
    head = RetrievalHead
    leading = (3, 2)
    labels = [0, 1, 2]  # noqa: RUF012
    logits_shape = (3, 2, 8)


class TestFirstTokenAndLearnedScale(TestRetrievalHead):
    arguments = {"pooling": "first", "scale": 5.0, "learn_scale": True}  # noqa: RUF012


def test_mean_is_normalised_by_hand() -> None:
    hidden = torch.tensor([[[1.0, 0.0], [5.0, 8.0], [70.0, 70.0]]])
    vectors = RetrievalHead(2)(hidden, torch.tensor([[1, 1, 0]])).logits
    torch.testing.assert_close(vectors, torch.tensor([[0.6, 0.8]]))  # mean (3, 4), length 5
    first = RetrievalHead(2, pooling="first")(hidden, torch.tensor([[1, 1, 0]])).logits
    torch.testing.assert_close(first, torch.tensor([[1.0, 0.0]]))


def test_loss_by_hand() -> None:
    # Queries (1, 0) and (0, 1), candidates (1, 0) and (0.6, 0.8): cosines [[1, 0.6], [0, 0.8]].
    hidden = torch.tensor([[[[1.0, 0.0]], [[2.0, 0.0]]], [[[0.0, 3.0]], [[3.0, 4.0]]]])
    mask = torch.ones(2, 2, 1, dtype=torch.long)
    first, second = math.log1p(math.exp(20 * (0.6 - 1.0))), math.log1p(math.exp(20 * (0.0 - 0.8)))
    loss = RetrievalHead(2)(hidden, mask, torch.tensor([0, 1])).loss
    assert loss.item() == pytest.approx((first + second) / 2, rel=1e-4)
    swapped = RetrievalHead(2, scale=1.0)(hidden, mask, torch.tensor([1, 0])).loss
    expected = F.cross_entropy(torch.tensor([[1.0, 0.6], [0.0, 0.8]]), torch.tensor([1, 0]))
    torch.testing.assert_close(swapped, expected)


def test_cosines_stay_exact_under_autocast() -> None:
    hidden, mask, labels = TestRetrievalHead().inputs()
    head = RetrievalHead(8, scale=100.0)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = head(hidden, mask, labels).loss
    torch.testing.assert_close(found, head(hidden, mask, labels).loss)


def test_scale_is_fixed_unless_learned() -> None:
    assert not list(RetrievalHead(8).parameters())
    (scale,) = RetrievalHead(8, scale=100.0, learn_scale=True).parameters()
    assert scale.item() == 100.0


def test_tiny_half_precision_vectors_are_normalised() -> None:
    hidden = torch.full((1, 2, 4), 1e-4, dtype=torch.float16)
    vectors = RetrievalHead(4)(hidden, torch.ones(1, 2, dtype=torch.long)).logits
    torch.testing.assert_close(vectors, torch.full((1, 4), 0.5))


def test_labels_need_pairs() -> None:
    with pytest.raises(ConfigError, match=r"pairs of hidden states \(B, 2, T, H\), found \(3, 6, 8\)"):
        RetrievalHead(8)(torch.randn(3, 6, 8), torch.ones(3, 6), torch.arange(3))
    with pytest.raises(ConfigError, match="num_labels must be 0"):
        RetrievalHead(8, 2)


def brute_force(queries: Tensor, candidates: Tensor, k: int) -> tuple[Tensor, Tensor]:
    scores = queries @ candidates.T
    order = scores.argsort(dim=1, descending=True, stable=True)[:, :k]
    return scores.gather(1, order), order


@pytest.mark.parametrize("block", [1, 4, 7, 1000])
@pytest.mark.parametrize("k", [1, 4])
def test_against_distances(block: int, k: int) -> None:
    """On vectors of length 1 the largest dot product is the smallest distance, as the official scripts search."""
    generator = torch.Generator().manual_seed(block)
    queries = F.normalize(torch.randn(11, 6, generator=generator), dim=1)
    candidates = F.normalize(torch.randn(23, 6, generator=generator), dim=1)
    scores, indices = nearest_neighbours(queries, candidates, k=k, block=block)
    distances, expected = torch.cdist(queries, candidates).sort(dim=1)
    assert torch.equal(indices, expected[:, :k])
    torch.testing.assert_close(scores, 1 - distances[:, :k] ** 2 / 2)


@pytest.mark.parametrize("block", [1, 3, 8, 64])
@pytest.mark.parametrize("k", [1, 2, 5, 40])
def test_ties_go_to_the_lowest_index(block: int, k: int) -> None:
    # Small whole numbers: dot products are exact and most of them are equal.
    generator = torch.Generator().manual_seed(k)
    queries = torch.randint(-1, 2, (30, 3), generator=generator).float()
    candidates = torch.randint(-1, 2, (40, 3), generator=generator).float()
    scores, indices = nearest_neighbours(queries, candidates, k=k, block=block)
    expected_scores, expected_indices = brute_force(queries, candidates, k)
    assert torch.equal(scores, expected_scores)
    assert torch.equal(indices, expected_indices)


def test_more_neighbours_than_candidates() -> None:
    queries, candidates = torch.randn(2, 3), torch.randn(4, 3)
    scores, indices = nearest_neighbours(queries, candidates, k=9, block=3)
    assert scores.shape == indices.shape == (2, 4)
    assert torch.equal(indices, brute_force(queries, candidates, 4)[1])
    assert nearest_neighbours(queries, candidates[:0], k=2)[1].shape == (2, 0)
    assert nearest_neighbours(queries[:0], candidates, k=2)[1].shape == (0, 2)


def test_no_block_is_exceeded(monkeypatch: pytest.MonkeyPatch) -> None:
    """No tensor of similarities is larger than block x block, on either side."""
    widest = []
    original = Tensor.__matmul__

    def watched(left: Tensor, right: Tensor) -> Tensor:
        product = original(left, right)
        widest.append(tuple(product.shape))
        return product

    monkeypatch.setattr(Tensor, "__matmul__", watched)
    nearest_neighbours(torch.randn(10, 2), torch.randn(25, 2), k=2, block=4)
    assert sum(rows * columns for rows, columns in widest) == 10 * 25
    assert max(max(shape) for shape in widest) == 4


def test_half_precision_is_searched_in_single() -> None:
    queries = torch.tensor([[1.0, 1.0]]).bfloat16()
    candidates = torch.tensor([[256.0, 0.0], [256.0, 1.0]]).bfloat16()  # 257 is not a bfloat16
    scores, indices = nearest_neighbours(queries, candidates, k=2)
    assert indices.tolist() == [[1, 0]]
    assert scores.tolist() == [[257.0, 256.0]]


def test_broken_input_is_named() -> None:
    good, bad = torch.ones(3, 2), torch.ones(3, 2)
    bad[1, 0] = float("nan")
    with pytest.raises(DataError, match="candidates: 1 of 3 vectors hold NaN"):
        nearest_neighbours(good, bad)
    with pytest.raises(DataError, match="queries are 2 wide, candidates 5"):
        nearest_neighbours(good, torch.ones(3, 5))
    with pytest.raises(ConfigError, match="k=0"):
        nearest_neighbours(good, good, k=0)
    with pytest.raises(ConfigError, match="block=0"):
        nearest_neighbours(good, good, block=0)
