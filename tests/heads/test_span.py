from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from tests.heads.head_tester import HeadTester
from xtransfer.errors import ConfigError
from xtransfer.heads import SpanHead, best_span, best_spans


class TestSpanHead(HeadTester):
    head = SpanHead
    labels = [[1, 3], [0, 0], [2, 5]]  # noqa: RUF012
    logits_shape = (3, 6, 2)


def test_loss_is_the_mean_of_start_and_end() -> None:
    head, (hidden, mask, labels) = TestSpanHead().make(), TestSpanHead().inputs()
    loss, logits = head(hidden, mask, labels)
    raw = F.linear(hidden, head.out_proj.weight, head.out_proj.bias)
    torch.testing.assert_close(logits[mask == 1], raw[mask == 1])
    raw[mask == 0] = float("-inf")
    expected = (F.cross_entropy(raw[..., 0], labels[:, 0]) + F.cross_entropy(raw[..., 1], labels[:, 1])) / 2
    torch.testing.assert_close(loss, expected)


@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16, torch.float16])
def test_padding_is_never_the_best_and_stays_finite(precision: torch.dtype) -> None:
    hidden, mask, _ = TestSpanHead().inputs()
    hidden[mask == 1] *= -1e-3
    logits = TestSpanHead().make().to(precision)(hidden.to(precision), mask).logits
    assert logits.isfinite().all()
    assert (logits[0].argmax(0) < 4).all()
    assert (logits[0, 4:].sum(-1)).isfinite().all(), "the sum of two must not overflow"


def test_empty_text_has_a_finite_loss() -> None:
    loss = SpanHead(8)(torch.randn(1, 4, 8), torch.zeros(1, 4, dtype=torch.long), torch.tensor([[0, 0]])).loss
    assert loss.item() == pytest.approx(math.log(4))


def test_wrong_number_of_labels_is_refused() -> None:
    with pytest.raises(ConfigError, match="num_labels must be 2, start and end; found 3"):
        SpanHead(8, 3)


def spans(start: list[float], end: list[float], **settings: object) -> list[tuple[int, int, float]]:
    """`best_spans` where all of the window is context, unless `settings` say otherwise."""
    everywhere = [True] * len(start)
    answerable = torch.tensor(settings.pop("answerable", everywhere))
    allowed = torch.tensor(settings.pop("allowed", everywhere))
    return best_spans(torch.tensor(start), torch.tensor(end), answerable, allowed, **settings)


def test_all_pairs_in_order() -> None:
    assert spans([3.0, 1.0], [0.5, 2.0]) == [(0, 1, 5.0), (0, 0, 3.5), (1, 1, 3.0)]


def test_rejections() -> None:
    start, end = [9.0, 3.0, 1.0], [8.0, 0.0, 2.0]
    assert spans(start, end, answerable=[False, True, True]) == [(1, 2, 5.0), (1, 1, 3.0), (2, 2, 3.0)]
    assert spans(start, end, allowed=[False, False, True]) == [(2, 2, 3.0)]
    assert spans(start, end, max_length=1) == [(0, 0, 17.0), (1, 1, 3.0), (2, 2, 3.0)]
    assert spans(start, end, max_length=2) == [(0, 0, 17.0), (0, 1, 9.0), (1, 2, 5.0), (1, 1, 3.0), (2, 2, 3.0)]


def test_n_best_is_taken_from_the_whole_window_before_rejecting() -> None:
    # Both best ends lie outside the context, so the good answer at 2 is not seen: the official script's doing.
    start, end = [0.0, 0.0, 5.0, 0.0], [7.0, 7.0, 5.0, 0.0]
    outside = [False, False, True, True]
    assert spans(start, end, answerable=outside, n_best=2) == []
    assert spans(start, end, answerable=outside, n_best=3) == [(2, 2, 10.0)]


def test_equal_scores_prefer_the_first() -> None:
    assert spans([1.0, 1.0], [1.0, 1.0]) == [(0, 0, 2.0), (0, 1, 2.0), (1, 1, 2.0)]
    assert spans([1.0] * 50, [1.0] * 50, n_best=1) == [(0, 0, 2.0)]


def test_half_precision_scores_are_added_exactly() -> None:
    # In bfloat16 256 + 1 is 256: the two spans would tie.
    start, end = torch.tensor([256.0, -500.0]).bfloat16(), torch.tensor([0.0, 1.0]).bfloat16()
    everywhere = torch.ones(2, dtype=torch.bool)
    assert best_spans(start, end, everywhere, everywhere)[:2] == [(0, 1, 257.0), (0, 0, 256.0)]


def brute_force(
    start: list[float], end: list[float], inside: list[bool], allowed: list[bool], n_best: int, max_length: int
) -> list[tuple[int, int, float]]:
    """The rules written out with loops."""
    positions = range(len(start))
    starts = sorted(positions, key=lambda i: (-start[i], i))[:n_best]
    ends = sorted(positions, key=lambda i: (-end[i], i))[:n_best]
    found = []
    for first in starts:
        for last in ends:
            if last < first or last - first + 1 > max_length:
                continue
            if inside[first] and inside[last] and allowed[first]:
                found.append((first, last, start[first] + end[last]))
    return sorted(found, key=lambda span: -span[2])


@pytest.mark.parametrize("seed", range(20))
def test_against_enumeration(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    length = int(torch.randint(1, 60, (1,), generator=generator))
    # Every other case has few distinct logits, that is many ties.
    draw = torch.randn(2, length, generator=generator)
    start, end = draw.round() if seed % 2 else draw
    inside, allowed = torch.rand(2, length, generator=generator) > 0.3
    n_best, max_length = [(20, 30), (3, 5), (100, 2), (1, 30)][seed % 4]
    found = best_spans(start, end, inside, allowed, n_best=n_best, max_length=max_length)
    assert found == brute_force(start.tolist(), end.tolist(), inside.tolist(), allowed.tolist(), n_best, max_length)


@pytest.mark.parametrize(("n_best", "max_length"), [(20, 30), (3, 5), (1, 1)])
def test_the_best_of_many_windows_is_the_first_of_each(n_best: int, max_length: int) -> None:
    generator = torch.Generator().manual_seed(7)
    start, end = torch.randn(2, 200, 25, generator=generator).mul(2).round()  # many ties
    inside, allowed = torch.rand(2, 200, 25, generator=generator) > torch.linspace(0, 1, 200)[:, None]
    first, last, score = best_span(start, end, inside, allowed, n_best, max_length)
    nothing = 0
    for row, found in enumerate(zip(first.tolist(), last.tolist(), score.tolist(), strict=True)):
        expected = best_spans(start[row], end[row], inside[row], allowed[row], n_best, max_length)
        nothing += not expected
        assert found == expected[0] if expected else found[2] == -math.inf
    assert 0 < nothing < 200
