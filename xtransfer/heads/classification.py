"""The head that names the class of a text or a pair of texts."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from xtransfer.errors import ConfigError
from xtransfer.heads.base import Head, HeadOutput
from xtransfer.heads.functional import Pooling, check_pooling, mean_cross_entropy, pool


class ClassificationHead(Head):
    """One class for a whole sequence: pooling -> dropout -> dense -> tanh -> dropout -> linear, as RoBERTa's.

    Args:
        hidden_size: Width H of the hidden states.
        num_labels: Number of classes L.
        dropout: Probability of zeroing a hidden unit in training.
        pooling: ``first`` (the first token, as in XLM-R) or ``mean`` over the tokens attended to.

    Raises:
        ConfigError: There is no class, or the pooling is unknown.
    """

    def __init__(self, hidden_size: int, num_labels: int, dropout: float = 0.1, pooling: Pooling = "first") -> None:
        if num_labels < 1:
            raise ConfigError(f"ClassificationHead: num_labels must be at least 1, found {num_labels}")
        super().__init__(hidden_size, num_labels, dropout)
        check_pooling(pooling)
        self.pooling = pooling
        self.dense = nn.Linear(hidden_size, hidden_size)
        self.out_proj = nn.Linear(hidden_size, num_labels)

    def config(self) -> dict[str, Any]:
        """Return the arguments of the constructor."""
        return super().config() | {"pooling": self.pooling}

    def forward(self, hidden_states: Tensor, attention_mask: Tensor, labels: Tensor | None = None) -> HeadOutput:
        """Score the classes.

        Args:
            hidden_states: ``(B, T, H)``.
            attention_mask: ``(B, T)``, 0 at padding.
            labels: ``(B,)`` class numbers; -100 is ignored.

        Returns:
            Mean cross-entropy, and logits ``(B, L)``.
        """
        pooled = self.dropout(pool(hidden_states, attention_mask, self.pooling))
        logits: Tensor = self.out_proj(self.dropout(self.dense(pooled).tanh()))
        return HeadOutput(None if labels is None else mean_cross_entropy(logits, labels), logits)
