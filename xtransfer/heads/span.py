"""The head that marks an answer in a text, and the rules by which its best spans are read off."""

from __future__ import annotations

from torch import Tensor, nn

from xtransfer.errors import ConfigError
from xtransfer.heads.base import Head, HeadOutput
from xtransfer.heads.functional import mean_cross_entropy

PADDING_LOGIT = -1e4
"""Logit of padding: finite in every precision (half precision ends at 65504), and exp() of it is 0 in all of them."""


class SpanHead(Head):
    """Where an answer starts and ends: a linear layer to two scores a token. Position 0 stands for 'no answer'.

    Args:
        hidden_size: Width H of the hidden states.
        num_labels: Always 2, start and end.
        dropout: Probability of zeroing a hidden unit in training; none by default, as in the official script.

    Raises:
        ConfigError: `num_labels` is not 2.
    """

    def __init__(self, hidden_size: int, num_labels: int = 2, dropout: float = 0.0) -> None:
        if num_labels != 2:
            raise ConfigError(f"SpanHead: num_labels must be 2, start and end; found {num_labels}")
        super().__init__(hidden_size, num_labels, dropout)
        self.out_proj = nn.Linear(hidden_size, 2)

    def forward(self, hidden_states: Tensor, attention_mask: Tensor, labels: Tensor | None = None) -> HeadOutput:
        """Score every token as start and as end of the answer.

        Args:
            hidden_states: ``(B, T, H)``.
            attention_mask: ``(B, T)``, 0 at padding.
            labels: ``(B, 2)`` token positions of start and end (inclusive), 0 = no answer; -100 is ignored.

        Returns:
            Mean of the cross-entropies of start and end, and logits ``(B, T, 2)``, `PADDING_LOGIT` at padding.
        """
        logits: Tensor = self.out_proj(self.dropout(hidden_states))
        logits = logits.masked_fill((attention_mask == 0).unsqueeze(-1), PADDING_LOGIT)
        if labels is None:
            return HeadOutput(None, logits)
        start = mean_cross_entropy(logits[..., 0], labels[:, 0])
        end = mean_cross_entropy(logits[..., 1], labels[:, 1])
        return HeadOutput((start + end) / 2, logits)


def best_spans(
    start: Tensor, end: Tensor, answerable: Tensor, start_allowed: Tensor, n_best: int = 20, max_length: int = 30
) -> list[tuple[int, int, float]]:
    """Return the best answers of one window, best first, by the rules of the official SQuAD script.

    The `n_best` best starts are combined with the `n_best` best ends, both taken from the *whole* window before
    anything is rejected. So the list can be empty, and a good span can be missing from it: that is the official score.
    Equal scores keep the order of their starts, then ends.

    Args:
        start: Start logits ``(T,)``.
        end: End logits ``(T,)``.
        answerable: ``(T,)`` bool, True inside the context.
        start_allowed: ``(T,)`` bool, True where this window is the token's window of maximum context.
        n_best: How many starts and how many ends are combined.
        max_length: Longest answer in tokens.

    Returns:
        ``(first token, last token, score)``, the score being the sum of the two logits.
    """
    scores, starts, ends = _combined(start[None], end[None], answerable[None], start_allowed[None], n_best, max_length)
    scores, places = scores.flatten().sort(descending=True, stable=True)
    number = int((scores != float("-inf")).sum())
    rows, columns = places[:number] // ends.shape[1], places[:number] % ends.shape[1]
    found = (starts[0, rows].tolist(), ends[0, columns].tolist(), scores[:number].tolist())
    return list(zip(*found, strict=True))


def best_span(
    start: Tensor, end: Tensor, answerable: Tensor, start_allowed: Tensor, n_best: int = 20, max_length: int = 30
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the best answer of each of B windows: the first of what `best_spans` returns for it.

    Args:
        start: Start logits ``(B, T)``.
        end: End logits ``(B, T)``.
        answerable: ``(B, T)`` bool, as for one window.
        start_allowed: ``(B, T)`` bool, as for one window.
        n_best: How many starts and how many ends are combined.
        max_length: Longest answer in tokens.

    Returns:
        First tokens, last tokens and scores, each ``(B,)``; the score is minus infinity where there is no answer.
    """
    scores, starts, ends = _combined(start, end, answerable, start_allowed, n_best, max_length)
    best = scores.flatten(1).argmax(1)  # of equal ones the first
    rows, columns = best // ends.shape[1], best % ends.shape[1]
    first, last = starts.gather(1, rows[:, None])[:, 0], ends.gather(1, columns[:, None])[:, 0]
    return first, last, scores.flatten(1).gather(1, best[:, None])[:, 0]


def _combined(
    start: Tensor, end: Tensor, answerable: Tensor, start_allowed: Tensor, n_best: int, max_length: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the scores ``(B, S, E)`` of the best starts ``(B, S)`` with the best ends ``(B, E)``, and both.

    A score is minus infinity where the pair is rejected.
    """
    # In double precision, as the script adds Python floats: the sum of two bfloat16 would make ties that are none.
    start, end = start.detach().cpu().double(), end.detach().cpu().double()
    inside, may_start = answerable.cpu().bool(), start_allowed.cpu().bool()
    starts = start.argsort(descending=True, stable=True)[:, :n_best]
    ends = end.argsort(descending=True, stable=True)[:, :n_best]
    length = ends[:, None, :] - starts[:, :, None] + 1
    valid = (length >= 1) & (length <= max_length)
    valid &= inside.gather(1, ends)[:, None, :] & (inside & may_start).gather(1, starts)[:, :, None]
    scores = start.gather(1, starts)[:, :, None] + end.gather(1, ends)[:, None, :]
    return scores.masked_fill(~valid, float("-inf")), starts, ends
