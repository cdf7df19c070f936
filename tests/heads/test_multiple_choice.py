from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from tests.heads.head_tester import HeadTester
from xtransfer.errors import ConfigError
from xtransfer.heads import MultipleChoiceHead


class TestMultipleChoiceHead(HeadTester):
    head = MultipleChoiceHead
    leading = (3, 4)
    labels = [3, 0, 1]  # noqa: RUF012
    logits_shape = (3, 4)


def test_scores_by_functional() -> None:
    head, (hidden, mask, labels) = TestMultipleChoiceHead().make(), TestMultipleChoiceHead().inputs()
    loss, logits = head(hidden, mask, labels)
    pooled = torch.tanh(hidden[:, :, 0] @ head.dense.weight.T + head.dense.bias)
    expected = (pooled * head.out_proj.weight[0]).sum(-1) + head.out_proj.bias
    torch.testing.assert_close(logits, expected)
    torch.testing.assert_close(loss, F.cross_entropy(expected, labels))


def test_a_missing_option_is_never_chosen_and_changes_nothing() -> None:
    head, (hidden, mask, labels) = TestMultipleChoiceHead().make(), TestMultipleChoiceHead().inputs()
    with_gap = torch.cat([hidden, torch.full_like(hidden[:, :1], 9.0).requires_grad_()], dim=1)
    gap_mask = torch.cat([mask, torch.zeros_like(mask[:, :1])], dim=1)
    loss, logits = head(with_gap, gap_mask, labels)
    assert (logits[:, 4] == float("-inf")).all()
    torch.testing.assert_close(logits[:, :4], head(hidden, mask).logits)
    torch.testing.assert_close(loss, head(hidden, mask, labels).loss)
    loss.backward()
    assert all(parameter.grad.isfinite().all() for parameter in head.parameters())


def test_one_head_serves_any_number_of_options() -> None:
    head = MultipleChoiceHead(8).eval()
    hidden, mask = torch.randn(2, 5, 3, 8), torch.ones(2, 5, 3, dtype=torch.long)
    torch.testing.assert_close(head(hidden[:, :2], mask[:, :2]).logits, head(hidden, mask).logits[:, :2])


def test_wrong_number_of_labels_is_refused() -> None:
    with pytest.raises(ConfigError, match="num_labels must be 1, one score an option; found 4"):
        MultipleChoiceHead(8, 4)
