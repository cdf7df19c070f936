"""Learning curves as plain data, read from the CSV logs that every stage leaves."""

from __future__ import annotations

import csv
import math
from dataclasses import dataclass, field
from pathlib import Path

from xtransfer.errors import DataError

LOG = Path("csv") / "metrics.csv"
Curve = list[tuple[int, float]]
"""(step, value), in order of the steps."""


@dataclass
class Curves:
    """What a stage logged while it was trained.

    Attributes:
        name: Name of the stage's folder.
        losses: Task -> training loss.
        scores: (task, score) -> language -> development scores; ``mean`` is that over languages.
        kept: The same scores of the model that was kept, as far as they are logged.
    """

    name: str
    losses: dict[str, Curve] = field(default_factory=dict)
    scores: dict[tuple[str, str], dict[str, Curve]] = field(default_factory=dict)
    kept: dict[tuple[str, str], dict[str, float]] = field(default_factory=dict)


def read_curves(folder: Path) -> Curves:
    """Read ``<folder>/csv/metrics.csv`` of a stage's folder, and what was logged before an interruption.

    What was logged after the snapshot from which the stage went on was logged again. The last development scores of a
    finished stage are those of the model it kept, not of its last step; they are told apart.

    Raises:
        DataError: There is no such file, or a value is not a number; names file and line.
    """
    path = folder / LOG
    if not path.is_file():
        raise DataError(f"no learning curves in {folder}: expected {path}")
    curves = Curves(folder.name)
    for file in [*_earlier(folder), path]:
        again = _read(file)
        scored = not any(key.startswith("train/") for key in again)  # of a model that was trained before
        for key, points in again.items():
            known = _curve(curves, key.split("/"))
            if known is not None:
                first = points[0][0] + scored
                known[:] = [(step, value) for step, value in known if step < first] + points
    if (folder / "DONE").is_file():
        for name, languages in curves.scores.items():
            curves.kept[name] = {language: curve.pop()[1] for language, curve in languages.items()}
    return curves


def smoothed(curve: Curve, window: int) -> Curve:
    """Return the mean of each value and the `window` - 1 before it, as far as there are so many."""
    values = [value for _, value in curve]
    return [
        (step, sum(values[max(0, i + 1 - window) : i + 1]) / min(i + 1, window)) for i, (step, _) in enumerate(curve)
    ]


def set_aside(folder: Path) -> None:
    """Keep what a stage has logged so far: its logger begins a new file when the stage goes on."""
    path = folder / LOG
    if path.is_file():
        path.replace(path.with_name(f"metrics-{len(_earlier(folder)) + 1:04d}.csv"))


def forget(folder: Path) -> None:
    """Remove what was logged before interruptions, for the stage begins anew."""
    for path in _earlier(folder):
        path.unlink()


def _earlier(folder: Path) -> list[Path]:
    return sorted((folder / LOG).parent.glob("metrics-*.csv"))


def _read(path: Path) -> dict[str, Curve]:
    """Read one file: key -> its points."""
    found: dict[str, Curve] = {}
    with path.open(encoding="utf-8", newline="") as stream:
        for line, row in enumerate(csv.DictReader(stream), 2):
            for key, text in row.items():
                if text and (key or "").startswith(("train/", "val/")):
                    try:
                        point = int(row["step"]), float(text)
                    except (ValueError, KeyError, TypeError) as error:
                        raise DataError(f"{path}:{line}: {key}: expected a step and a number ({error})") from error
                    if not math.isnan(point[1]):
                        found.setdefault(key, []).append(point)
    return found


def _curve(curves: Curves, key: list[str]) -> Curve | None:
    """Return where a logged value belongs: ``train/<task>/loss`` or ``val/<task>/<score>/<language>``."""
    if key[0] == "train" and key[2:] == ["loss"]:
        return curves.losses.setdefault(key[1], [])
    if key[0] == "val" and len(key) == 4:
        return curves.scores.setdefault((key[1], key[2]), {}).setdefault(key[3], [])
    return None
