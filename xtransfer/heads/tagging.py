"""The head that gives every token a tag."""

from __future__ import annotations

from torch import Tensor, nn

from xtransfer.errors import ConfigError
from xtransfer.heads.base import Head, HeadOutput
from xtransfer.heads.functional import IGNORED, mean_cross_entropy


class TaggingHead(Head):
    """One tag a token: dropout -> linear. Only labelled tokens, the first of each word, enter the loss.

    Args:
        hidden_size: Width H of the hidden states.
        num_labels: Number of tags L.
        dropout: Probability of zeroing a hidden unit in training.

    Raises:
        ConfigError: There is no tag.
    """

    def __init__(self, hidden_size: int, num_labels: int, dropout: float = 0.1) -> None:
        if num_labels < 1:
            raise ConfigError(f"TaggingHead: num_labels must be at least 1, found {num_labels}")
        super().__init__(hidden_size, num_labels, dropout)
        self.out_proj = nn.Linear(hidden_size, num_labels)

    def forward(self, hidden_states: Tensor, attention_mask: Tensor, labels: Tensor | None = None) -> HeadOutput:
        """Score the tags of every token.

        Args:
            hidden_states: ``(B, T, H)``.
            attention_mask: ``(B, T)``, 0 at padding; a label there is never learned.
            labels: ``(B, T)`` tag numbers; -100 is ignored. If all are, the loss is 0, not NaN.

        Returns:
            Mean cross-entropy over the labelled tokens of the batch, and logits ``(B, T, L)``.
        """
        logits: Tensor = self.out_proj(self.dropout(hidden_states))
        if labels is None:
            return HeadOutput(None, logits)
        labels = labels.masked_fill(attention_mask == 0, IGNORED)
        return HeadOutput(mean_cross_entropy(logits.flatten(0, -2), labels.flatten()), logits)
