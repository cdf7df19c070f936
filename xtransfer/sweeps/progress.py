"""What is shown while a sweep runs: a table at a terminal, else a line whenever something changes."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from xtransfer.sweeps.schedule import Item

MOST = 30
"""Cells a terminal shows; those that run and those that failed come first."""
ORDER = ("running", "elsewhere", "failed", "stopped", "waiting", "done")


class Progress:
    """Shows how far the cells are.

    Args:
        workers: How many run at a time, as far as that is known.
        stream: Where to; default the standard error.
    """

    def __init__(self, workers: int, stream: Any = None) -> None:
        from rich.console import Console

        self.console = Console(file=stream or sys.stderr, force_jupyter=False)  # there each line would be a cell output
        self.workers = workers
        self.live: Any = None
        self.states: dict[str, tuple[str, str]] = {}
        self.shown = 0.0

    @contextmanager
    def shown_live(self) -> Iterator[None]:
        """Keep a table up to date meanwhile, if this is a terminal."""
        if not self.console.is_terminal:
            yield
            return
        from rich.live import Live

        with Live(console=self.console, auto_refresh=False) as self.live:
            yield

    def __call__(self, items: Sequence[Item]) -> None:
        """Show the state of things."""
        if self.live is not None:
            if time.monotonic() - self.shown > 1 or not any(item.open for item in items):
                self.shown = time.monotonic()
                self.live.update(self._table(items), refresh=True)
            return
        for item in items:
            now = (item.record.state, item.seen.stage if item.job else "")
            if self.states.get(item.cell.name, ("waiting", "")) != now:
                self.console.print(line(item), highlight=False, soft_wrap=True, markup=False)
                ended = now[0] not in ("waiting", "running")
                if ended and self.states:
                    self.console.print(totals(items, self.workers), highlight=False, soft_wrap=True, markup=False)
            self.states[item.cell.name] = now

    def _table(self, items: Sequence[Item]) -> Any:
        from rich.table import Table
        from rich.text import Text

        table = Table(*("cell", "state", "stage", "step", "time", "last development score"), box=None, pad_edge=False)
        ordered = sorted(items, key=lambda item: ORDER.index(item.record.state))
        for item in ordered[:MOST]:
            state, step = item.record.state, str(item.seen.step or "")
            told = item.record.reason if state == "failed" else item.seen.score
            cells = (item.cell.name, state, _stage(item), step, duration(item.record.seconds), told)
            table.add_row(*(Text(cell, overflow="ellipsis", no_wrap=True) for cell in cells))
        hidden = len(items) - MOST
        table.caption = totals(items, self.workers) + (f"; {hidden} cells are not shown" if hidden > 0 else "")
        table.caption_justify = "left"
        return table


def line(item: Item) -> str:
    """Return one line on a cell."""
    state = item.record.state
    told = [item.cell.name, state, _stage(item) if state == "running" else ""]
    told += [duration(item.record.seconds)] * (state in ("done", "failed", "stopped"))
    told += [item.record.reason] * (state in ("failed", "elsewhere", "waiting"))
    return ": ".join([time.strftime("%H:%M:%S"), ", ".join(word for word in told if word)])


def totals(items: Sequence[Item], workers: int) -> str:
    """Return how many cells are in which state, and about how long the rest will take."""
    states = Counter[str](item.record.state for item in items)
    told = ", ".join(f"{states[state]} {state}" for state in ORDER if states[state])
    took = [item.record.seconds for item in items if item.record.state == "done" and item.tries]
    left = [item for item in items if item.open]
    if not left or not took:
        return told
    rest = sum(max(0.0, sum(took) / len(took) - (item.record.seconds if item.job else 0.0)) for item in left)
    return f"{told}; about {duration(rest / max(1, min(workers, len(left))))} left"


def duration(seconds: float) -> str:
    """Return a time as hours, minutes and seconds, the first of them that matter."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {rest:02} s" if minutes else f"{rest} s"


def _stage(item: Item) -> str:
    return f"{item.seen.stage} (waits for it)" if item.seen.waits else item.seen.stage
