from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from tests.heads.head_tester import HeadTester
from xtransfer.errors import ConfigError
from xtransfer.heads import TaggingHead


class TestTaggingHead(HeadTester):
    head = TaggingHead
    arguments = {"num_labels": 4}  # noqa: RUF012
    labels = [[-100, 1, -100, 2, -100, -100], [-100, 3, 0, 0, 1, -100], [-100, 2, 2, -100, 0, -100]]  # noqa: RUF012
    logits_shape = (3, 6, 4)
    per_token = True


def test_only_labelled_tokens_are_learned() -> None:
    head, (hidden, mask, labels) = TestTaggingHead().make(), TestTaggingHead().inputs()
    loss, logits = head(hidden, mask, labels)
    torch.testing.assert_close(logits, F.linear(hidden, head.out_proj.weight, head.out_proj.bias))
    scores = F.log_softmax(logits, dim=-1)
    chosen = [
        scores[row, column, tag]
        for row, tags in enumerate(labels.tolist())
        for column, tag in enumerate(tags)
        if tag != -100
    ]
    assert len(chosen) == 9
    torch.testing.assert_close(loss, -torch.stack(chosen).mean())


def test_all_ignored_is_zero_with_a_gradient() -> None:
    head, (hidden, mask, labels) = TestTaggingHead().make(), TestTaggingHead().inputs()
    loss = head(hidden, mask, torch.full_like(labels, -100)).loss
    assert loss.item() == 0.0
    loss.backward()
    assert head.out_proj.weight.grad is not None
    assert not head.out_proj.weight.grad.any()


def test_a_label_at_padding_is_not_learned() -> None:
    head, (hidden, mask, labels) = TestTaggingHead().make(), TestTaggingHead().inputs()
    careless = labels.clone()
    careless[0, -2:] = 0  # a collate that pads labels with 0
    torch.testing.assert_close(head(hidden, mask, careless).loss, head(hidden, mask, labels).loss)


def test_no_tags_is_refused() -> None:
    with pytest.raises(ConfigError, match="num_labels must be at least 1, found 0"):
        TaggingHead(8, 0)
