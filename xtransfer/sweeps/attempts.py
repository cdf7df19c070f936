"""One attempt at a cell: ``xtransfer fit`` in a process of its own, and why it failed, if it did."""

from __future__ import annotations

import contextlib
import datetime
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from xtransfer.sweeps.claims import BUSY

TAIL = 65536
"""Bytes at the end of a log that are looked at."""
BEGINS = "=== attempt"
OWN = "xtransfer: "
LONGEST = 500
"""Characters of a reason."""
ERROR = re.compile(r"^(?:[A-Za-z_][\w.]*(?:Error|Exception|Interrupt|Exit)\b|xtransfer: )")


@dataclass
class Attempt:
    """What is to be run; it can be sent to another machine that sees the same files.

    Args:
        command: The command.
        lock: File whose lock is held meanwhile.
        log: File that its output is added to.
        folder: Where it is run.
        environment: What its environment has besides.
    """

    command: tuple[str, ...]
    lock: Path
    log: Path
    folder: Path
    environment: Mapping[str, str] = field(default_factory=dict)

    def start(self) -> subprocess.Popen[bytes]:
        """Start it. Ctrl-C at the terminal does not reach it: whoever started it tells it to stop."""
        self.log.parent.mkdir(parents=True, exist_ok=True)
        now = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")
        words = [sys.executable, "-m", "xtransfer.sweeps.claims", str(self.lock), *self.command]
        with self.log.open("ab") as log:
            log.write(f"{BEGINS} on {socket.gethostname()}, {now}\n".encode())
            log.flush()
            return subprocess.Popen(
                words,
                cwd=self.folder,
                env={**os.environ, **self.environment, "PYTHONUNBUFFERED": "1"},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def __call__(self) -> int:
        """Run it to its end and return its exit status; if this process is asked to stop, so is the cell."""
        process = self.start()
        self._process = process
        try:
            return process.wait()
        except BaseException:
            end(process)
            raise

    def checkpoint(self) -> Any:
        """Stop at SLURM's warning that the time is up, with a snapshot, and go back into the queue (for submitit)."""
        from submitit.helpers import DelayedSubmission

        end(self._process)
        return DelayedSubmission(Attempt(self.command, self.lock, self.log, self.folder, self.environment))


def end(process: subprocess.Popen[bytes], at_once: bool = False) -> int:
    """End a cell: it writes a snapshot first, unless it is to be at once; return its exit status."""
    tell(process, at_once)
    return process.wait()


def tell(process: subprocess.Popen[bytes], at_once: bool = False) -> None:
    """Tell a cell to stop; all of its processes if it is to be at once."""
    with contextlib.suppress(ProcessLookupError):
        if at_once:
            os.killpg(process.pid, signal.SIGKILL)
        elif process.poll() is None:
            process.send_signal(signal.SIGTERM)


def fit_command(config: Path, resume: str = "auto") -> tuple[str, ...]:
    """Return the command that runs a cell."""
    words = (sys.executable, "-m", "xtransfer.cli", "fit", "--config", str(config), "--resume", resume)
    return (*words, "--trainer.enable_progress_bar", "false")


def last_words(log: Path) -> str:
    """Return what the last attempt in a log wrote, as far as it is at the end."""
    if not log.is_file():
        return ""
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - TAIL))
        return file.read().decode("utf-8", errors="replace").rpartition(BEGINS)[2]


def reason(status: int, log: Path) -> str:
    """Return why an attempt failed: the error it ended with, or the signal that ended it."""
    if status == BUSY:
        return "another process runs it"
    if status < 0:
        name = signal.Signals(-status).name
        return f"ended by {name}" + (" (the system may have been out of memory)" if name == "SIGKILL" else "")
    lines = [line.strip() for line in last_words(log).splitlines()[1:] if line.strip()]
    errors = [number for number, line in enumerate(lines) if ERROR.match(line)]
    told = lines[errors[-1]] if errors else lines[-1] if lines else "it said nothing"
    if told.startswith(OWN):  # a message of ours is the last that is said, in however many lines
        told = " ".join(lines[errors[-1] :]).removeprefix(OWN)
        told = told if len(told) <= LONGEST else f"{told[: LONGEST - 4]} ..."
    return told if status in (1, 2) else f"exit status {status}: {told}"
