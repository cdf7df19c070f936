"""Which cell runs next, and what becomes of those that run: done, tried again, failed, stopped."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from xtransfer.sweeps.attempts import Attempt, fit_command, reason
from xtransfer.sweeps.cells import Cell
from xtransfer.sweeps.claims import BUSY, holder
from xtransfer.sweeps.engines import Engine, Job
from xtransfer.sweeps.records import Record, now
from xtransfer.sweeps.watching import Seen, look

PAUSE = 0.2
"""Seconds between two looks at the cells."""
ELSEWHERE = 3.0
"""Seconds between two looks at a cell that another sweep runs."""
MENDABLE = 2
"""Exit status of what the user has to mend: it would fail again."""


class Stop:
    """Notes Ctrl-C, SIGTERM and SIGHUP, so that they are acted on where it is safe."""

    def __init__(self) -> None:
        self.times = 0

    @contextmanager
    def heeded(self) -> Iterator[None]:
        """Heed them, where Python allows it: in the main thread."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        before = {number: signal.signal(number, self._note) for number in numbers}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _note(self, number: int, frame: Any) -> None:
        self.times += 1


@dataclass
class Item:
    """A cell on its way.

    Attributes:
        cell: The cell.
        record: What is known of it.
        job: Its present attempt.
        tries: How many attempts this call has made.
        again: When to look at it again, if another sweep runs it.
        freed: Whether it was seen free while its record said that it runs.
        began: When its present attempt was started.
        seen: How far it has come.
        untrained: The digests of its stages that are not known to be trained.
    """

    cell: Cell
    record: Record
    job: Job | None = None
    tries: int = 0
    again: float = 0.0
    freed: bool = False
    began: float = 0.0
    seen: Seen = field(default_factory=Seen)
    untrained: set[str] = field(default_factory=set)

    @property
    def open(self) -> bool:
        """Whether anything is left to do."""
        return self.record.state in ("waiting", "running", "elsewhere")


class Schedule:
    """Runs cells through an engine until each is done or has failed.

    Of cells that share a stage that is not trained yet, one is started, and the others when that stage is trained:
    they would only wait.

    Args:
        folder: The sweep's folder.
        cells: The cells.
        fingerprints: Cell -> digest of its configuration and data.
        retries: How often a cell is tried again.
        resume: ``never``: interrupted stages are begun anew, at the first try.
    """

    def __init__(
        self,
        folder: Path,
        cells: Sequence[Cell],
        fingerprints: Mapping[str, str],
        retries: int,
        resume: Literal["auto", "never"] = "auto",
    ) -> None:
        self.folder, self.retries, self.resume = folder, retries, resume
        self.began = now()
        self.items = [self._item(cell, fingerprints[cell.name]) for cell in cells]

    def path(self, cell: Cell, suffix: str) -> Path:
        """Return a file of a cell: its ``yaml``, ``json`` or ``lock``, or its ``log``."""
        return self.folder / ("logs" if suffix == "log" else "cells") / f"{cell.name}.{suffix}"

    def work(self, engine: Engine, stop: Stop, show: Callable[[Sequence[Item]], None]) -> None:
        """Run what is to be run.

        Args:
            engine: Who runs it.
            stop: Tells when to stop.
            show: Called again and again with the state of things.
        """
        try:
            while any(item.open for item in self.items) and not stop.times:
                self._reap()
                self._launch(engine)
                show(self.items)
                time.sleep(PAUSE)
        finally:
            self._end(stop)
            show(self.items)
            engine.close()

    def _item(self, cell: Cell, fingerprint: str) -> Item:
        """Return a cell with what is known of it: done only if configuration, data and folder are as they were."""
        record = Record.load(self.path(cell, "json"))
        stages = [folder.name for folder in cell.folders.values()]
        whole = all((folder / "DONE").is_file() for folder in cell.folders.values())
        if not (record.state == "done" and record.fingerprint == fingerprint and whole):
            record.state = "waiting"
        elif record.values == cell.values:
            return Item(cell, record)
        item = Item(cell, record, untrained=set(cell.stages.values()) if record.state == "waiting" else set())
        known = (record.values, record.stages, record.fingerprint)
        record.values, record.stages, record.fingerprint = dict(cell.values), stages, fingerprint
        changed = known != (record.values, record.stages, record.fingerprint)
        if changed and not holder(self.path(cell, "lock")):
            record.save(self.path(cell, "json"))
        return item

    def _reap(self) -> None:
        """See what has ended, and how far the others have come."""
        for item in self.items:
            status = item.job.status() if item.job else None
            if item.job is None:
                continue
            item.seen = look(item.cell.plan.folder, self.path(item.cell, "log"))
            item.record.seconds = time.monotonic() - item.began
            if status is None:
                self._note_trained(item)
                continue
            item.job = None
            if status == BUSY:
                item.record.state, item.again = "elsewhere", time.monotonic() + ELSEWHERE
                continue
            item.tries += 1
            item.record.attempts += 1
            item.record.reason = "" if status == 0 else reason(status, self.path(item.cell, "log"))
            final = status == MENDABLE or item.tries > self.retries
            item.record.state = "done" if status == 0 else "failed" if final else "waiting"
            if status == 0:
                self._trained(set(item.untrained))
            item.record.save(self.path(item.cell, "json"))

    def _launch(self, engine: Engine) -> None:
        """Start as many cells as there is room for."""
        running = [item for item in self.items if item.job]
        busy = set().union(*(item.untrained for item in running))
        chosen: list[Item] = []
        for item in self.items:
            if len(running) + len(chosen) >= engine.room:
                break
            if item.job or not item.open or self._waits(item, busy) or not self._ours(item):
                continue
            chosen.append(item)
            busy |= item.untrained
        if not chosen:
            return
        for item in chosen:
            item.record.state = "running"
            item.record.save(self.path(item.cell, "json"))
        attempts = [
            Attempt(
                fit_command(self.path(item.cell, "yaml"), "auto" if item.tries else self.resume),
                self.path(item.cell, "lock"),
                self.path(item.cell, "log"),
                Path.cwd(),
            )
            for item in chosen
        ]
        for item, job in zip(chosen, engine.start(attempts), strict=True):
            item.job, item.began, item.seen = job, time.monotonic(), Seen()

    def _waits(self, item: Item, busy: set[str]) -> bool:
        """Say whether a cell would wait for a stage that another one trains now."""
        return item.cell.plan.store is not None and bool(item.untrained & busy)

    def _ours(self, item: Item) -> bool:
        """Say whether a cell is free; if another sweep has it, or has ended it meanwhile, note that."""
        if time.monotonic() < item.again:
            return False
        if who := holder(self.path(item.cell, "lock")):
            item.record.state, item.record.reason, item.freed = "elsewhere", f"run by {who}", False
            item.again = time.monotonic() + ELSEWHERE
            return False
        found = Record.load(self.path(item.cell, "json"))
        if found.fingerprint == item.record.fingerprint:
            fresh, seen = found.time > self.began, item.record.state == "elsewhere"
            if fresh and found.state in ("done", "failed"):
                item.record = found
                self._trained(set(item.untrained) if found.state == "done" else set())
                return False
            if found.state == "running" and not item.freed and (fresh or seen):
                # It has ended this moment and will be noted, or its sweep was killed.
                item.record.state, item.freed, item.again = "elsewhere", True, time.monotonic() + ELSEWHERE
                return False
        item.record.reason, item.record.state, item.freed = "", "waiting", False
        return True

    def _note_trained(self, item: Item) -> None:
        """Note which of a cell's shared stages are trained."""
        done = [stage for stage, folder in item.cell.folders.items() if (folder / "DONE").is_file()]
        self._trained({item.cell.stages[stage] for stage in done} & item.untrained)

    def _trained(self, digests: set[str]) -> None:
        for item in self.items:
            item.untrained -= digests

    def _end(self, stop: Stop) -> None:
        """Tell what still runs to stop, and wait for it; a second Ctrl-C ends it at once."""
        running = [item for item in self.items if item.job]
        before = stop.times
        for item in running:
            assert item.job is not None
            item.job.stop()
        while any(item.job and item.job.status() is None for item in running):
            if stop.times > before:
                before = stop.times
                for item in running:
                    if item.job:
                        item.job.stop(at_once=True)
            time.sleep(PAUSE)
        for item in running:
            ended_well = bool(item.job and item.job.status() == 0)
            item.job, item.record.state = None, "done" if ended_well else "stopped"
            item.record.save(self.path(item.cell, "json"))
