"""What every metric is: a table of numbers that can be joined across processes, and what it takes to fill it."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor
from torch.distributed import ProcessGroup
from torch.nn import Module
from torchmetrics import Metric

from xtransfer.errors import DataError


class Piece(NamedTuple):
    """What was predicted for one feature.

    Attributes:
        index: Position of the example in its split; windows of a question or parts of a sentence share it.
        part: Number of the piece within its example.
        value: A label id (classification, multiple choice), an answer text (span), tag ids, one a word (tagging), a
            vector ``(D,)`` (retrieval), or nats, number and hits of hidden words (mlm).
        score: Span: score of the best non-empty answer of this window; minus infinity if there is none.
        null_score: Span: score of 'no answer' in this window.
    """

    index: int  # type: ignore[assignment]  # hides tuple.index, which nobody needs here
    part: int
    value: Any
    score: float = 0.0
    null_score: float = 0.0


class RowMetric(Metric):
    """A metric that keeps one row of numbers a piece and scores them all at once.

    Rows begin with the example's index and the part. Across processes they are concatenated, then rows of equal key
    are counted once, the first in order of rank: a distributed sampler repeats examples to make ranks even. Scores
    are therefore the same for every number of processes. Every process must call `compute`, even one without rows.
    Rows stay in main memory, in double precision, wherever the module goes.

    Attributes:
        main: The score by which models are chosen.
        variant: Name of each score -> which variant of it this is.
        keys: Number of leading columns that tell rows apart.
        gold: Column that is negative in rows without a gold label; None if there are no such rows.
    """

    main: ClassVar[str]
    variant: Mapping[str, str]
    keys: ClassVar[int] = 2
    gold: ClassVar[int | None] = None
    full_state_update = False
    is_differentiable = False
    higher_is_better = True
    rows: list[Tensor]

    def __init__(self) -> None:
        super().__init__(dist_sync_fn=gather_rows)
        self.add_state("rows", default=[], dist_reduce_fx="cat")

    def update(self, pieces: Sequence[Piece], golds: Sequence[Any]) -> None:
        """Add predictions and what they should have been.

        Args:
            pieces: Predictions.
            golds: The right answer of each piece; None where there is none, which is counted but not scored.

        Raises:
            DataError: There are more pieces than golds or fewer, or a piece cannot be scored.
        """
        if len(pieces) != len(golds):
            raise DataError(f"{len(pieces)} predictions for {len(golds)} gold answers: give one answer a prediction")
        if pieces:
            self.rows.append(torch.cat([self._rows(piece, gold) for piece, gold in zip(pieces, golds, strict=True)]))

    def compute(self) -> dict[str, float]:
        """Score the rows of all processes.

        Returns:
            Every score of `variant`, in percent unless that says otherwise (NaN if there is nothing to score), ``n``,
            the number of distinct examples scored, and ``unlabelled``, the number of distinct rows left out for want of
            a gold label.
        """
        rows, unlabelled = self._scored()
        n = self._examples(rows)
        scores = self._scores(rows) if n else dict.fromkeys(self.variant, float("nan"))
        return {**scores, "n": float(n), "unlabelled": float(unlabelled)}

    @property
    def n(self) -> int:
        """Number of distinct examples to score in this process; `compute` gives that of all."""
        return self._examples(self._scored()[0])

    @abstractmethod
    def _rows(self, piece: Piece, gold: Any) -> Tensor:
        """Turn a piece and its gold answer into rows, ``(rows, width)`` in float64."""

    @abstractmethod
    def _scores(self, rows: Tensor) -> dict[str, float]:
        """Score distinct rows with gold labels, sorted by key, in percent."""

    def _apply(self, fn: Callable[..., Any], exclude_state: Sequence[str] = ()) -> Module:
        """Leave the rows where and what they are when the module is moved or cast: half precision merges indices."""
        return super()._apply(fn, [*exclude_state, "rows"])

    def _examples(self, rows: Tensor) -> int:
        return len(torch.unique(rows[:, 0]))

    def _scored(self) -> tuple[Tensor, int]:
        """Return the distinct rows with a gold label, sorted by key, and the number of those without."""
        state: Any = self.rows  # torchmetrics joins the list to one tensor when it gathers
        tables = [state] if isinstance(state, Tensor) else state
        rows = distinct(torch.cat(tables), self.keys) if tables else torch.empty(0, 2)
        if self.gold is None or not len(rows):
            return rows, 0
        labelled = rows[rows[:, self.gold] >= 0]
        return labelled, len(rows) - len(labelled)


def groups(rows: Tensor) -> tuple[Tensor, Tensor]:
    """Sort rows ``(N, width)`` into groups of equal ones; return the first of each group, and each row's group."""
    values, group = torch.unique(rows, dim=0, return_inverse=True)
    first = torch.full((len(values),), len(rows)).scatter_reduce(0, group, torch.arange(len(rows)), "amin")
    return first, group


def distinct(rows: Tensor, keys: int) -> Tensor:
    """Keep the first of the rows ``(N, width)`` that agree in their first `keys` columns, and sort by these."""
    return rows[groups(rows[:, :keys])[0]] if len(rows) else rows


def gather_rows(rows: Tensor, group: ProcessGroup | None = None) -> list[Tensor]:
    """Collect the tables of all processes in order of rank, on every process.

    The gathering of torchmetrics 1.9 makes an empty state a flat float32 tensor, which the other ranks' tables cannot
    be joined with: the process aborts. Objects of any shape can be gathered, on every backend.

    Args:
        rows: This process's table ``(N, width)``, or any empty tensor.
        group: The process group; None is all processes.
    """
    tables: list[Any] = [None] * torch.distributed.get_world_size(group)
    torch.distributed.all_gather_object(tables, rows.cpu(), group=group)  # an empty stand-in may be on a GPU
    return [table for table in tables if table.numel()] or [torch.empty(0, rows.shape[-1] if rows.ndim > 1 else 2)]


def percent(values: Tensor) -> float:
    """Return the mean of a column of numbers between 0 and 1, times 100."""
    return 100 * values.double().mean().item()
