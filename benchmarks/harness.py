"""How things are timed: variants in turn in one process, by processor time of one thread; and what a row tells."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch

SILENT: dict[str, Any] = {
    "logger": False,
    "enable_checkpointing": False,
    "enable_progress_bar": False,
    "enable_model_summary": False,
    "use_distributed_sampler": False,
}
"""Settings of a trainer that writes nothing."""


class MeasurementError(RuntimeError):
    """What was measured does not mean what the row would say; nothing is reported."""


class Stopwatch:
    """Processor time and wall time between two moments, and the tokens that were computed between them.

    Attributes:
        real: Tokens of texts.
        computed: Places that were computed, padding included.
    """

    def __init__(self) -> None:
        self.real = self.computed = 0
        self._began = self._ended = (0.0, 0.0)

    def begin(self) -> None:
        """Begin, on a GPU once its work is done."""
        self.real = self.computed = 0
        self._began = self._now()

    def end(self) -> None:
        """End, on a GPU once its work is done."""
        self._ended = self._now()

    def count(self, real: int, computed: int) -> None:
        """Count the tokens of a batch."""
        self.real += real
        self.computed += computed

    def run(self) -> Run:
        """Return what was measured."""
        cpu, wall = (end - begin for begin, end in zip(self._began, self._ended, strict=True))
        return Run(cpu, wall, self.real, self.computed)

    @staticmethod
    def _now() -> tuple[float, float]:
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        return time.process_time(), time.perf_counter()


class Run(NamedTuple):
    """One measurement.

    Attributes:
        cpu: Seconds of the processor, of all threads together.
        wall: Seconds of the clock.
        real: Tokens of texts.
        computed: Places that were computed, padding included.
    """

    cpu: float
    wall: float
    real: int = 0
    computed: int = 0

    @property
    def share(self) -> float | None:
        """Share of real tokens among what was computed."""
        return self.real / self.computed if self.computed else None


Variant = Callable[[int], Run]
"""Does the work once and measures it; the number of the round chooses what is drawn at random."""


def in_turn(variants: Mapping[str, Variant], rounds: int, threads: int = 1) -> dict[str, list[Run]]:
    """Run variants in turn, so that whatever changes on the machine meanwhile touches all of them.

    Every other round goes backwards: none always follows the same one.
    """
    runs: dict[str, list[Run]] = {name: [] for name in variants}
    with threads_of(threads):
        for number in range(rounds):
            for name in list(variants)[:: -1 if number % 2 else 1]:
                run = variants[name](number)
                runs[name].append(run)
                print(f"  round {number + 1}, {name}: {run.cpu:.2f} s CPU, {run.wall:.2f} s", flush=True)
    return runs


@contextmanager
def threads_of(number: int) -> Iterator[None]:
    """Let torch compute with so many threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@dataclass(frozen=True)
class Goal:
    """What a row should reach.

    Attributes:
        least: Below it the row fails, or above it where less is better.
        aim: What is aimed at.
        less: Less is better.
    """

    least: float
    aim: float
    less: bool = False


@dataclass(frozen=True)
class Row:
    """One row of a table: what is compared, and how it came out.

    Attributes:
        what: The work.
        peer: What ours is compared with; empty where a figure stands for itself.
        values: The ratio peer / ours, or ours / peer where less is better, of each round; or the figure itself.
        goal: What it should reach, if anything.
        told: More cells, by the title of their column.
        note: What should be known to read it.
    """

    what: str
    peer: str
    values: Sequence[float]
    goal: Goal | None = None
    told: Mapping[str, str] = field(default_factory=dict)
    note: str = ""

    @property
    def median(self) -> float:
        """The median of the rounds."""
        return statistics.median(self.values)

    @property
    def failed(self) -> bool:
        """Whether the goal is missed by more than the rounds differ: the best of them misses it too."""
        if self.goal is None:
            return False
        best = min(self.values) if self.goal.less else max(self.values)
        missed = best > self.goal.least if self.goal.less else best < self.goal.least
        return missed

    @property
    def verdict(self) -> str:
        """Say how the row stands to its goal."""
        if self.goal is None:
            return ""
        sign = -1 if self.goal.less else 1
        if sign * self.median >= sign * self.goal.aim:
            return "reaches the aim"
        if sign * self.median >= sign * self.goal.least:
            return "reaches the least"
        return "misses" if self.failed else "misses, within the spread"


@dataclass
class Table:
    """Rows of one kind.

    Attributes:
        title: Its heading.
        rows: The rows.
        notes: What holds for all of them.
        absent: What was not measured, and why.
    """

    title: str
    rows: list[Row] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    absent: list[str] = field(default_factory=list)


def compared(
    runs: Mapping[str, Sequence[Run]], ours: str, peer: str, what: str, goal: Goal | None = None, note: str = ""
) -> Row:
    """Make a row of two variants' runs, compared round by round by processor time.

    Raises:
        MeasurementError: They did not go through the same tokens.
    """
    own, theirs = runs[ours], runs[peer]
    for a, b in zip(own, theirs, strict=True):
        if a.real and b.real and a.real != b.real:
            raise MeasurementError(f"{what}: {ours} went through {a.real} tokens, {peer} through {b.real}")
    values = [b.cpu / a.cpu for a, b in zip(own, theirs, strict=True)]
    told = {
        "CPU s, peer": seconds([run.cpu for run in theirs]),
        "CPU s, ours": seconds([run.cpu for run in own]),
        "real tokens, peer": percent(theirs),
        "real tokens, ours": percent(own),
    }
    return Row(what, peer, values, goal, told, note)


def seconds(values: Sequence[float]) -> str:
    """Write the median of some seconds."""
    return f"{statistics.median(values):.2f}"


def percent(runs: Sequence[Run]) -> str:
    """Write the share of real tokens over some runs."""
    computed = sum(run.computed for run in runs)
    return f"{100 * sum(run.real for run in runs) / computed:.1f} %" if computed else ""
