"""What every head is: a plain ``nn.Module`` over hidden states. Imports torch alone, so that it runs anywhere."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from torch import Tensor, nn

from xtransfer.heads import saving

if TYPE_CHECKING:
    from typing_extensions import Self


class HeadOutput(NamedTuple):
    """What a head returns.

    Attributes:
        loss: Mean loss of the batch, a scalar; None without labels.
        logits: Scores; the shape is the head's.
    """

    loss: Tensor | None
    logits: Tensor


class Head(nn.Module):
    """Turns an encoder's hidden states into scores, and with labels into a loss.

    Args:
        hidden_size: Width H of the hidden states.
        num_labels: Number of outputs.
        dropout: Probability of zeroing a hidden unit in training.
    """

    def __init__(self, hidden_size: int, num_labels: int, dropout: float = 0.1) -> None:
        super().__init__()
        self.hidden_size, self.num_labels = hidden_size, num_labels
        self.dropout = nn.Dropout(dropout)
        self.labels: tuple[str, ...] = ()
        """Names of the outputs in their order, where they have names; saved with the head."""

    def forward(self, hidden_states: Tensor, attention_mask: Tensor, labels: Tensor | None = None) -> HeadOutput:
        """Score hidden states ``(B, T, H)`` under a mask ``(B, T)``; see the subclass for labels and logits."""
        raise TypeError(f"{type(self).__name__} is an abstract head: use one of its subclasses")

    def config(self) -> dict[str, Any]:
        """Return the constructor's arguments as plain JSON values, which rebuild the head when it is loaded.

        A subclass with arguments of its own adds them: ``return super().config() | {"pooling": self.pooling}``.
        """
        return {"hidden_size": self.hidden_size, "num_labels": self.num_labels, "dropout": self.dropout.p}

    def save_pretrained(self, folder: str | Path) -> None:
        """Write the head to a folder: ``head.json`` (class, arguments, labels) and ``head.safetensors`` (weights).

        Each file is replaced in one step. The first holds the digest of the second, so that two files which do not
        belong together are noticed on loading.

        Args:
            folder: Where to; made if it does not exist.

        Raises:
            ConfigError: `config` does not name each argument of the constructor, or a value is not plain JSON.
        """
        saving.save(self, Path(folder))

    @classmethod
    def from_pretrained(cls, folder: str | Path) -> Self:
        """Load a head from a folder written by `save_pretrained`, on the CPU and ready for use (``eval``).

        ``Head.from_pretrained`` gives whichever head was saved; called on a subclass it takes only that one (or one
        derived from it). A class of your own must have been imported.

        Args:
            folder: The folder.

        Returns:
            The head, with its weights in the precision they were saved in, and its labels.

        Raises:
            ConfigError: A file is missing, another head was saved, or ``head.json`` holds unknown or wrong settings.
            DataError: A file is truncated or damaged, or the weights do not fit.
        """
        return saving.load(cls, Path(folder))
