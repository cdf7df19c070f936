"""What the command line costs: seconds of the processor for its help, and what a plan of many runs saves."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence

from benchmarks.harness import Goal, Row, Table

HELP = "import sys; from xtransfer.cli import main; sys.exit(main(['--help']))"
EAGER = "import lightning, transformers.trainer"
EMPTY = "pass"


def measure(rounds: int = 5) -> Table:
    """Measure the help, in processes of its own."""
    table = Table("Command line")
    table.notes = [
        "Seconds of the processor, user and system, of a fresh process; the first, with cold files, is left out."
    ]
    values = {code: cpu_of(code, rounds) for code in (HELP, EAGER, EMPTY)}
    table.rows = [
        Row("`xtransfer --help`, seconds", "", values[HELP], Goal(0.5, 0.2, less=True)),
        Row("importing Lightning and transformers, seconds", "", values[EAGER]),
        Row("Python alone, seconds", "", values[EMPTY]),
    ]
    return table


def cpu_of(code: str, rounds: int) -> Sequence[float]:
    """Return the seconds that processes take for some code.

    Raises:
        RuntimeError: One failed.
    """
    found = []
    for _ in range(rounds + 1):
        process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise RuntimeError(f"python -c '{code}' ended with {process.returncode}")
        found.append(usage.ru_utime + usage.ru_stime)
    return found[1:]
