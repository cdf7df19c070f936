"""The head that picks one of several options."""

from __future__ import annotations

from torch import Tensor, nn

from xtransfer.errors import ConfigError
from xtransfer.heads.base import Head, HeadOutput
from xtransfer.heads.functional import mean_cross_entropy, pool


class MultipleChoiceHead(Head):
    """One score an option, softmax over the options: first token -> dense -> tanh -> dropout -> linear to 1.

    ``dense`` and ``tanh`` are the pooler of the XTREME-R and jiant models, which XLM-R's checkpoints come without; it
    is trained here with the rest. As an option is scored alone, one head serves two options as well as five.

    Args:
        hidden_size: Width H of the hidden states.
        num_labels: Always 1, the score of an option.
        dropout: Probability of zeroing a hidden unit in training.

    Raises:
        ConfigError: `num_labels` is not 1.
    """

    def __init__(self, hidden_size: int, num_labels: int = 1, dropout: float = 0.1) -> None:
        if num_labels != 1:
            raise ConfigError(f"MultipleChoiceHead: num_labels must be 1, one score an option; found {num_labels}")
        super().__init__(hidden_size, num_labels, dropout)
        self.dense = nn.Linear(hidden_size, hidden_size)
        self.out_proj = nn.Linear(hidden_size, 1)

    def forward(self, hidden_states: Tensor, attention_mask: Tensor, labels: Tensor | None = None) -> HeadOutput:
        """Score the options.

        Args:
            hidden_states: ``(B, C, T, H)``, one sequence an option.
            attention_mask: ``(B, C, T)``; an option whose mask is all zero is missing and never chosen.
            labels: ``(B,)`` number of the right option; -100 is ignored.

        Returns:
            Mean cross-entropy, and logits ``(B, C)``, -inf for a missing option.
        """
        pooled = self.dense(pool(hidden_states, attention_mask, "first")).tanh()
        scores: Tensor = self.out_proj(self.dropout(pooled)).squeeze(-1)
        logits = scores.masked_fill((attention_mask == 0).all(dim=-1), float("-inf"))
        return HeadOutput(None if labels is None else mean_cross_entropy(logits, labels), logits)
