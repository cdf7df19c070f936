"""How well hidden words are guessed: the share of them, the loss, and the perplexity."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from xtransfer.metrics.base import Piece, RowMetric


class Perplexity(RowMetric):
    """How well hidden words are guessed, over all hidden words of a language together, not by example.

    A piece's value is a triple: nats of its hidden words together, how many these are, and how many were guessed.
    `accuracy` is in percent; `loss` is in nats a hidden word and `perplexity` is e to the power of it: of both less is
    better. Perplexities can only be compared between models of one tokenizer.
    """

    main = "accuracy"
    variant: Mapping[str, str] = {
        "accuracy": "hidden words guessed / hidden words",
        "loss": "mean negative log likelihood of a hidden word, in nats",
        "perplexity": "exp(loss)",
    }

    def _rows(self, piece: Piece, gold: object) -> Tensor:
        return torch.tensor([[piece.index, piece.part, *piece.value]], dtype=torch.float64)

    def _scores(self, rows: Tensor) -> dict[str, float]:
        nats, hidden, hits = rows[:, 2:].sum(0)
        loss = nats / hidden
        return {"accuracy": float(100 * hits / hidden), "loss": float(loss), "perplexity": float(loss.exp())}
