"""The head that guesses masked words; its last matrix is the encoder's own table of word embeddings."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from xtransfer.errors import ConfigError, nearest
from xtransfer.heads.base import Head, HeadOutput
from xtransfer.heads.functional import IGNORED, mean_cross_entropy

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "gelu": F.gelu,
    "gelu_tanh": partial(F.gelu, approximate="tanh"),
    "relu": F.relu,
    "silu": F.silu,
}


class MaskedLMHead(Head):
    """Guesses masked words: dropout -> linear -> activation -> layer norm -> the word embeddings, plus a bias a word.

    The head of BERT (Devlin et al. 2019) and XLM-R. The word embeddings are the encoder's: `tie` tells the head which,
    and they are neither parameters of the head nor saved with it. A loaded head has to be tied again.

    Args:
        hidden_size: Width H of the hidden states.
        num_labels: Number of words V.
        dropout: Probability of zeroing a hidden unit in training; pretrained heads have none.
        embedding_size: Width E of the word embeddings; default H.
        activation: ``gelu``, ``gelu_tanh`` (its approximation), ``relu`` or ``silu``.
        eps: What the layer norm adds to the variance.

    Raises:
        ConfigError: There is no word, or the activation is unknown.
    """

    def __init__(
        self,
        hidden_size: int,
        num_labels: int,
        dropout: float = 0.0,
        embedding_size: int | None = None,
        activation: str = "gelu",
        eps: float = 1e-5,
    ) -> None:
        if num_labels < 1:
            raise ConfigError(f"MaskedLMHead: num_labels must be at least 1, found {num_labels}")
        if activation not in ACTIVATIONS:
            raise ConfigError(f"MaskedLMHead: unknown activation '{activation}'{nearest(activation, ACTIVATIONS)}")
        super().__init__(hidden_size, num_labels, dropout)
        self.embedding_size = hidden_size if embedding_size is None else embedding_size
        self.activation = activation
        self.dense = nn.Linear(hidden_size, self.embedding_size)
        self.norm = nn.LayerNorm(self.embedding_size, eps=eps)
        self.bias = nn.Parameter(self.dense.weight.new_zeros(num_labels))
        # In a tuple, so that the table is not registered here too: the encoder trains, moves and saves it.
        self._words: tuple[nn.Embedding, ...] = ()

    def tie(self, embedding: nn.Embedding) -> None:
        """Read the words off this table of embeddings ``(V, E)`` from now on; what is learned here changes it.

        Args:
            embedding: The encoder's word embeddings.

        Raises:
            ConfigError: Its shape does not fit.
        """
        expected, found = (self.num_labels, self.embedding_size), tuple(embedding.weight.shape)
        if found != expected:
            raise ConfigError(f"MaskedLMHead: expected word embeddings (V, E) of shape {expected}, found {found}")
        self._words = (embedding,)

    def forward(self, hidden_states: Tensor, attention_mask: Tensor, labels: Tensor | None = None) -> HeadOutput:
        """Score all words, with labels only where one is asked for: for every position they would not fit in memory.

        Args:
            hidden_states: ``(B, T, H)``.
            attention_mask: ``(B, T)``, 0 at padding; a label there is never learned.
            labels: ``(B, T)`` ids of the hidden words; -100 is ignored. If all are, the loss is 0, not NaN.

        Returns:
            Mean cross-entropy over the M labelled positions of the batch, and their logits ``(M, V)``, row by row;
            without labels the logits ``(B, T, V)`` of all.

        Raises:
            ConfigError: The head is not tied to word embeddings.
        """
        if labels is None:
            return HeadOutput(None, self._decode(hidden_states))
        labels = labels.masked_fill(attention_mask == 0, IGNORED)
        asked = labels != IGNORED
        logits = self._decode(hidden_states[asked])
        return HeadOutput(mean_cross_entropy(logits, labels[asked]), logits)

    def config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        own = {"embedding_size": self.embedding_size, "activation": self.activation, "eps": self.norm.eps}
        return super().config() | own

    def _decode(self, hidden_states: Tensor) -> Tensor:
        if not self._words:
            raise ConfigError(
                "MaskedLMHead is not tied to word embeddings: call head.tie(encoder.get_input_embeddings()) first"
            )
        features = self.norm(ACTIVATIONS[self.activation](self.dense(self.dropout(hidden_states))))
        # A head in another precision than the encoder is legal; where they agree this copies nothing.
        return F.linear(features, self._words[0].weight.to(features.dtype), self.bias)
