"""What every head must do, whatever it computes: a head's own test class sets four attributes and inherits it all."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor

from xtransfer.heads import Head, HeadOutput

WIDTH, LENGTH, EXTRA = 8, 6, 3


class HeadTester:
    """Shared tests.

    Attributes:
        head: The class.
        arguments: Of its constructor, next to `hidden_size`.
        leading: Leading dimensions of the hidden states, e.g. ``(B, C)``.
        labels: Labels for them.
        logits_shape: Expected shape of the logits.
        per_token: Whether labels are given token by token, so that padding needs the label -100.
    """

    head: ClassVar[type[Head]]
    arguments: ClassVar[dict[str, Any]] = {}
    leading: ClassVar[tuple[int, ...]] = (3,)
    labels: ClassVar[list[Any]]
    logits_shape: ClassVar[tuple[int, ...]]
    per_token: ClassVar[bool] = False

    def make(self, seed: int = 0, **changed: Any) -> Head:
        torch.manual_seed(seed)
        return self.head(hidden_size=WIDTH, **(self.arguments | changed)).eval()

    def loaded(self, folder: Path) -> Head:
        """Load a saved head as its user does."""
        return Head.from_pretrained(folder)

    def inputs(self) -> tuple[Tensor, Tensor, Tensor]:
        """Hidden states, a mask under which the first row is shorter by two, and labels."""
        hidden = torch.randn(*self.leading, LENGTH, WIDTH, generator=torch.Generator().manual_seed(7))
        mask = torch.ones(*self.leading, LENGTH, dtype=torch.long)
        mask[0, ..., -2:] = 0
        return hidden, mask, torch.tensor(self.labels)

    def padded(self) -> tuple[Tensor, Tensor, Tensor]:
        """The same with `EXTRA` more positions of padding that hold large numbers."""
        hidden, mask, labels = self.inputs()
        rubbish = torch.full((*self.leading, EXTRA, WIDTH), 1e3)
        if self.per_token:
            labels = torch.nn.functional.pad(labels, (0, EXTRA), value=-100)
        return torch.cat([hidden, rubbish], dim=-2), torch.nn.functional.pad(mask, (0, EXTRA)), labels

    def assert_equal(self, found: HeadOutput, expected: HeadOutput, **tolerance: float) -> None:
        torch.testing.assert_close(found.logits, expected.logits, **tolerance)
        torch.testing.assert_close(found.loss, expected.loss, **tolerance)

    def test_factory_call(self) -> None:
        """The module builds heads positionally, as ``factory(hidden_size, num_labels)``."""
        head = self.make()
        assert type(head)(WIDTH, head.num_labels).config()["num_labels"] == head.num_labels

    def test_forward_backward(self) -> None:
        head, (hidden, mask, labels) = self.make(), self.inputs()
        hidden.requires_grad_()
        loss, logits = head(hidden, mask, labels)
        assert logits.shape == self.logits_shape
        assert loss.shape == ()
        loss.backward()
        for name, parameter in (("hidden", hidden), *head.named_parameters()):
            assert parameter.grad is not None, name
            assert parameter.grad.isfinite().all(), name
            assert parameter.grad.abs().sum() > 0, name

    def test_padding_gets_no_gradient(self) -> None:
        head, (hidden, mask, labels) = self.make(), self.padded()
        hidden.requires_grad_()
        head(hidden, mask, labels).loss.backward()
        assert not hidden.grad[mask == 0].any()

    def test_without_labels(self) -> None:
        head, (hidden, mask, labels) = self.make(), self.inputs()
        found = head(hidden, mask)
        assert found.loss is None
        torch.testing.assert_close(found.logits, head(hidden, mask, labels).logits)

    def test_padding_changes_nothing(self) -> None:
        head = self.make()
        found, expected = head(*self.padded()), head(*self.inputs())
        kept = found.logits[:, :LENGTH] if found.logits.shape != expected.logits.shape else found.logits
        self.assert_equal(HeadOutput(found.loss, kept), expected)

    def test_rows_do_not_mix(self) -> None:
        head, (hidden, mask, _) = self.make(), self.inputs()
        alone = torch.cat([head(row[None], part[None]).logits for row, part in zip(hidden, mask, strict=True)])
        torch.testing.assert_close(alone, head(hidden, mask).logits)

    def test_dropout_acts_in_training_alone(self) -> None:
        head, (hidden, mask, _) = self.make(dropout=0.5), self.inputs()
        quiet = head(hidden, mask).logits
        torch.testing.assert_close(head(hidden, mask).logits, quiet)
        assert not torch.equal(head.train()(hidden, mask).logits, quiet)

    def test_state_dict_round_trip(self) -> None:
        first, second = self.make(0), self.make(1)
        second.load_state_dict(first.state_dict())
        self.assert_equal(second(*self.inputs()), first(*self.inputs()))

    @pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
    def test_save_and_load(self, tmp_path: Path, precision: torch.dtype) -> None:
        head, (hidden, mask, labels) = self.make(dropout=0.25).to(precision), self.inputs()
        head.labels = ("ja", "nein", "ß")
        with torch.no_grad():
            for parameter in head.parameters():
                parameter.mul_(1.5)  # learned, not drawn
        head.save_pretrained(tmp_path / "a" / "head")
        torch.manual_seed(5)
        expected_draw = torch.rand(1)
        torch.manual_seed(5)
        loaded = self.loaded(tmp_path / "a" / "head")
        assert torch.equal(torch.rand(1), expected_draw), "loading moved the random state"
        assert type(loaded) is type(self.head.from_pretrained(tmp_path / "a" / "head")) is self.head
        assert loaded.config() == head.config()
        assert loaded.dropout.p == 0.25
        assert loaded.labels == head.labels
        assert not loaded.training
        found, expected = (each(hidden.to(precision), mask, labels) for each in (loaded, head))
        self.assert_equal(found, expected, rtol=0, atol=0)

    def test_bfloat16(self) -> None:
        hidden, mask, labels = self.inputs()
        expected = self.make()(hidden, mask, labels)
        found = self.make().to(torch.bfloat16)(hidden.bfloat16(), mask, labels)
        assert found.loss.dtype == torch.float32
        self.assert_equal(HeadOutput(found.loss, found.logits.float()), expected, rtol=0.02, atol=0.05)

    def test_autocast(self) -> None:
        expected = self.make()(*self.inputs())
        with torch.autocast("cpu", dtype=torch.bfloat16):
            found = self.make()(*self.inputs())
        assert found.loss.dtype == torch.float32
        self.assert_equal(HeadOutput(found.loss, found.logits.float()), expected, rtol=0.02, atol=0.05)

    def test_compiles_without_a_break(self) -> None:
        head, (hidden, mask, labels) = self.make(), self.inputs()
        compiled = torch.compile(head, backend="eager", fullgraph=True)
        self.assert_equal(compiled(hidden, mask, labels), head(hidden, mask, labels))
