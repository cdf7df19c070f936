"""How far a cell has come, read off what it writes."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from xtransfer.curves import LOG
from xtransfer.sweeps.attempts import last_words

STAGE = re.compile(r"^\[(\d+)/(\d+)\] ([\w.-]+): (.*)$")
WAITS = re.compile(r"waiting for it$")
SCORE = re.compile(r"val/[^/]+/[^/]+/[^/]+")
END = 8192
"""Bytes at the end of a stage's log that are looked at."""


@dataclass(frozen=True)
class Seen:
    """How far a cell has come.

    Attributes:
        stage: The stage it is at, as ``2/2 tydiqa``; empty before the first.
        step: Optimisation steps of that stage, as far as they are logged.
        score: The last development score, as ``val/tydiqa/f1/en 61.3``.
        waits: Whether it waits for another process that trains the same stage.
    """

    stage: str = ""
    step: int = 0
    score: str = ""
    waits: bool = False


def look(run: Path, log: Path) -> Seen:
    """Return how far a cell has come.

    Args:
        run: The run's folder.
        log: The cell's log.
    """
    lines = last_words(log).splitlines()
    matches = [match for match in map(STAGE.match, lines) if match]
    if not matches:
        return Seen()
    number, many, name, _ = matches[-1].groups()
    step, score = _logged(run / f"{number}-{name}" / LOG)
    waits = bool(WAITS.search(lines[-1]))
    return Seen(f"{number}/{many} {name}", step, score, waits)


def _logged(path: Path) -> tuple[int, str]:
    """Return the last step of a log, and its last development score: the mean over languages, or else the first."""
    if not path.is_file():
        return 0, ""
    with path.open("rb") as file:
        header = file.readline().decode().strip().split(",")
        file.seek(max(file.tell(), path.stat().st_size - END))
        lines = file.read().decode(errors="replace").splitlines()
    rows = [dict(zip(header, line.split(","), strict=True)) for line in lines if line.count(",") == len(header) - 1]
    steps = [int(row["step"]) + 1 for row in rows if row.get("step", "").isdigit()]
    for row in reversed(rows):
        scores = {
            name: value for name, value in row.items() if name.startswith("val/") and name.count("/") == 3 and value
        }
        for name, value in sorted(scores.items(), key=lambda pair: not pair[0].endswith("/mean")):
            if re.fullmatch(r"-?\d+(\.\d+)?", value):
                return max(steps, default=0), f"{name} {float(value):.1f}"
    return max(steps, default=0), ""
