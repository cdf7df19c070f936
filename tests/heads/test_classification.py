from __future__ import annotations

import pytest
import torch

from tests.heads.head_tester import HeadTester
from xtransfer.errors import ConfigError
from xtransfer.heads import ClassificationHead


class TestClassificationHead(HeadTester):
    head = ClassificationHead
    arguments = {"num_labels": 3}  # noqa: RUF012
    labels = [2, 0, 1]  # noqa: RUF012
    logits_shape = (3, 3)


class TestMeanPooling(TestClassificationHead):
    arguments = {"num_labels": 3, "pooling": "mean"}  # noqa: RUF012


def by_hand(pooling: str) -> ClassificationHead:
    """A head whose dense layer is the identity and whose classes are the two units and their sum."""
    head = ClassificationHead(2, 3, pooling=pooling).eval()
    state = {
        "dense.weight": torch.eye(2),
        "dense.bias": torch.zeros(2),
        "out_proj.weight": torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]]),
        "out_proj.bias": torch.tensor([0.0, 0.0, 0.5]),
    }
    head.load_state_dict(state)
    return head


HIDDEN = torch.tensor([[[1.0, -1.0], [0.0, 3.0], [50.0, 50.0]]])
MASK = torch.tensor([[1, 1, 0]])


def test_first_token_by_hand() -> None:
    loss, logits = by_hand("first")(HIDDEN, MASK, torch.tensor([0]))
    # tanh(1) = 0.761594, so the classes are 0.761594, -0.761594 and 0.5; log-sum-exp of them is 1.448642
    torch.testing.assert_close(logits, torch.tensor([[0.761594, -0.761594, 0.5]]), atol=1e-5, rtol=0)
    assert loss.item() == pytest.approx(1.448642 - 0.761594, abs=1e-5)


def test_mean_by_hand() -> None:
    logits = by_hand("mean")(HIDDEN, MASK).logits
    # mean over the two real tokens: (0.5, 1); tanh: 0.462117 and 0.761594
    torch.testing.assert_close(logits, torch.tensor([[0.462117, 0.761594, 1.723711]]), atol=1e-5, rtol=0)


def test_mean_of_nothing_is_finite_and_ignores_infinite_padding() -> None:
    hidden = torch.full((1, 2, 2), float("inf"))
    logits = by_hand("mean")(hidden, torch.zeros(1, 2, dtype=torch.long)).logits
    torch.testing.assert_close(logits, torch.tensor([[0.0, 0.0, 0.5]]))


def test_unlabelled_rows_do_not_dilute_the_loss() -> None:
    head, hidden, mask = ClassificationHead(8, 3).eval(), torch.randn(3, 4, 8), torch.ones(3, 4, dtype=torch.long)
    some = head(hidden, mask, torch.tensor([2, -100, 1])).loss
    torch.testing.assert_close(some, head(hidden[[0, 2]], mask[[0, 2]], torch.tensor([2, 1])).loss)
    assert head(hidden, mask, torch.tensor([-100] * 3)).loss.item() == 0.0


def test_layers_follow_roberta() -> None:
    """The same weights and the same seed give the logits of the pre-trained models' own head, dropout included."""
    modeling = pytest.importorskip("transformers.models.xlm_roberta.modeling_xlm_roberta")
    from transformers import XLMRobertaConfig

    theirs = modeling.XLMRobertaClassificationHead(XLMRobertaConfig(hidden_size=8, num_labels=3)).eval()
    ours = ClassificationHead(8, 3).eval()
    ours.load_state_dict(theirs.state_dict())
    hidden, mask = torch.randn(2, 4, 8), torch.ones(2, 4, dtype=torch.long)
    torch.testing.assert_close(ours(hidden, mask).logits, theirs(hidden))
    torch.manual_seed(3)
    expected = theirs.train()(hidden)
    torch.manual_seed(3)
    torch.testing.assert_close(ours.train()(hidden, mask).logits, expected)


def test_wrong_settings_are_named() -> None:
    with pytest.raises(ConfigError, match="unknown pooling 'maen'; did you mean 'mean'"):
        ClassificationHead(8, 3, pooling="maen")
    with pytest.raises(ConfigError, match="num_labels must be at least 1, found 0"):
        ClassificationHead(8, 0)
