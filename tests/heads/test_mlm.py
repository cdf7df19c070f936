from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from tests.heads.head_tester import LENGTH, WIDTH, HeadTester
from xtransfer.errors import ConfigError
from xtransfer.heads import Head, MaskedLMHead

WORDS, NARROW = 11, 5


def table(words: int = WORDS, width: int = NARROW) -> nn.Embedding:
    return nn.Embedding.from_pretrained(
        torch.randn(words, width, generator=torch.Generator().manual_seed(3)), freeze=False
    )


class TestMaskedLMHead(HeadTester):
    head = MaskedLMHead
    arguments = {"num_labels": WORDS, "embedding_size": NARROW}  # noqa: RUF012
    labels = [[-100, 1, -100, 10, -100, -100], [-100, 3, 0, 0, 1, -100], [-100, 2, 7, -100, 0, -100]]  # noqa: RUF012
    logits_shape = (9, WORDS)
    per_token = True

    def make(self, seed: int = 0, **changed: Any) -> Head:
        head = super().make(seed, **changed)
        head.tie(table())
        return head

    def loaded(self, folder: Path) -> Head:
        head = super().loaded(folder)
        head.tie(table())
        return head

    def test_without_labels(self) -> None:
        head, (hidden, mask, labels) = self.make(), self.inputs()
        found = head(hidden, mask)
        assert found.loss is None
        assert found.logits.shape == (3, LENGTH, WORDS)
        torch.testing.assert_close(found.logits[labels != -100], head(hidden, mask, labels).logits)

    def test_compiles_without_a_break(self) -> None:
        """How many words are asked for is known from the labels alone, which torch.compile has to be told."""
        with torch._dynamo.config.patch(capture_dynamic_output_shape_ops=True):
            super().test_compiles_without_a_break()


def test_the_loss_is_that_of_the_hidden_words_alone() -> None:
    head, (hidden, mask, labels) = TestMaskedLMHead().make(), TestMaskedLMHead().inputs()
    nn.init.normal_(head.bias)
    loss, _ = head(hidden, mask, labels)
    total = []
    for row, words in enumerate(labels.tolist()):
        for column, word in enumerate(words):
            if word != -100:
                inner = F.gelu(head.dense.weight @ hidden[row, column] + head.dense.bias)
                inner = (inner - inner.mean()) / (inner.var(correction=0) + 1e-5).sqrt()
                scores = table().weight @ inner + head.bias
                total.append(scores.exp().sum().log() - scores[word])
    assert len(total) == 9
    torch.testing.assert_close(loss, torch.stack(total).mean())


def test_all_ignored_is_zero_with_a_gradient() -> None:
    head, (hidden, mask, labels) = TestMaskedLMHead().make(), TestMaskedLMHead().inputs()
    loss, logits = head(hidden, mask, torch.full_like(labels, -100))
    assert loss.item() == 0.0
    assert logits.shape == (0, WORDS)
    loss.backward()
    for parameter in head.parameters():
        assert parameter.grad is not None
        assert not parameter.grad.any()


def test_a_label_at_padding_is_not_learned() -> None:
    head, (hidden, mask, labels) = TestMaskedLMHead().make(), TestMaskedLMHead().inputs()
    careless = labels.clone()
    careless[0, -2:] = 0  # a collate that pads labels with 0
    torch.testing.assert_close(head(hidden, mask, careless).loss, head(hidden, mask, labels).loss)


def test_learning_changes_the_encoders_own_table() -> None:
    words, head = table(), TestMaskedLMHead().make()
    head.tie(words)
    before, storage = words.weight.detach().clone(), words.weight.data_ptr()
    loss = head(*TestMaskedLMHead().inputs()).loss
    loss.backward()
    torch.optim.SGD([words.weight], lr=0.5).step()
    assert not torch.equal(words.weight, before)
    assert words.weight.data_ptr() == storage
    assert head(*TestMaskedLMHead().inputs()).loss < loss, "the head reads what was learned"


def test_the_table_is_not_the_heads(tmp_path: Path) -> None:
    head = TestMaskedLMHead().make()
    assert {name for name, _ in head.named_parameters()} == set(head.state_dict())
    assert WORDS * NARROW not in {tensor.numel() for tensor in head.state_dict().values()}
    head.save_pretrained(tmp_path)
    untied = MaskedLMHead.from_pretrained(tmp_path)
    with pytest.raises(ConfigError, match=r"not tied to word embeddings: call head\.tie"):
        untied(*TestMaskedLMHead().inputs())


def test_a_copy_of_the_whole_is_tied_to_its_own_table() -> None:
    whole = nn.ModuleDict({"words": table(), "head": TestMaskedLMHead().make()})
    whole["head"].tie(whole["words"])
    other = copy.deepcopy(whole)
    nn.init.zeros_(other["words"].weight)
    hidden, mask, _ = TestMaskedLMHead().inputs()
    assert not other["head"](hidden, mask).logits.any()
    assert whole["head"](hidden, mask).logits.any()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_labels": 0}, "num_labels must be at least 1, found 0"),
        ({"num_labels": 3, "activation": "glu"}, "unknown activation 'glu'.*gelu"),
    ],
)
def test_wrong_arguments_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        MaskedLMHead(WIDTH, **arguments)


def test_a_table_of_another_shape_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"expected word embeddings \(V, E\) of shape \(11, 8\), found \(11, 5\)"):
        MaskedLMHead(WIDTH, WORDS).tie(table())
