"""Rows of alignment joined with gains: one finding a measure and layer."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean

import numpy as np

import xtransfer.datamodules as datamodules
from xtransfer.alignment.arrays import Array
from xtransfer.alignment.association import (
    interval,
    kendall,
    left_out_error,
    partial,
    permuted,
    smallest_p,
    spearman,
)
from xtransfer.alignment.gains import Gains
from xtransfer.alignment.rows import Alignment
from xtransfer.bootstrap import holm
from xtransfer.task import Task

LEVEL = 0.05


@dataclass(frozen=True)
class Finding:
    """What a measure at a layer says of the gains.

    Attributes:
        measure: Name of the measure.
        layer: The layer; None for texts.
        better: Which end means nearer.
        unit: What is ranked: ``intermediate`` or ``language``.
        units: How many of them there are.
        columns: Targets and languages (or targets and intermediates) within which they are ranked.
        cells: Values compared with gains.
        rho: Spearman's correlation within each target and language (or target and intermediate).
        tau: Kendall's tau-b.
        p: Two-sided p value, by permuting units.
        corrected: The same for all measures compared, after Holm.
        low: Lower end of the 95 % bootstrap interval of `rho`.
        high: Upper end.
        partial: `rho` given training size and whether both tasks are of one kind.
        error: Mean absolute error of foretelling the gains of an intermediate left out, in points.
        error_of_mean: The same where the mean of the other intermediates' gains is always foretold.
        error_of_size: The same by the logarithm of training size; NaN unless all are known.
        points: Name, target, value and gain of each point of the picture: means over what is not named.
    """

    measure: str
    layer: int | None
    better: str
    unit: str
    units: int
    columns: int
    cells: int
    rho: float
    tau: float
    p: float
    low: float
    high: float
    partial: float
    error: float
    error_of_mean: float
    error_of_size: float
    points: Sequence[tuple[str, str, float, float]]
    corrected: float = math.nan

    @property
    def name(self) -> str:
        """Measure and layer."""
        return self.measure if self.layer is None else f"{self.measure} (layer {self.layer})"

    @property
    def smallest_p(self) -> float:
        """The p value of a measure that ranks so many units as the gains do."""
        return smallest_p(self.units, self.columns)

    @property
    def is_hopeless(self) -> bool:
        """Whether so few units cannot give a small p value, whatever the values."""
        return self.smallest_p >= LEVEL

    @property
    def verdict(self) -> str:
        """What may be said of it, in a few words."""
        if math.isnan(self.rho):
            return "does not vary"
        if self.is_hopeless:
            return f"too few {self.unit}s"
        if not self.corrected < LEVEL:
            return "not clear"
        if self.better == "neither":
            return "rises with the gain" if self.rho > 0 else "falls with the gain"
        return "ranks as the gain does" if (self.rho > 0) == (self.better == "high") else "ranks against the gain"


def find(rows: Sequence[Alignment], gains: Gains, seed: int = 1) -> tuple[list[Finding], list[str]]:
    """Return what each measure says of the gains, and what was left out.

    P values are corrected for the number of findings that could be clear at all: of those with too few units it is
    known beforehand that they cannot.

    Args:
        rows: What was measured.
        gains: What runs have shown.
        seed: Seed of permutations and resamples.
    """
    by_key: dict[tuple[str, int | None], list[Alignment]] = {}
    for row in rows:
        by_key.setdefault(row.key, []).append(row)
    findings, notes = [], []
    for (measure, layer), own in by_key.items():
        values, unit = _values(own, gains)
        name = measure if layer is None else f"{measure} (layer {layer})"
        if not unit:
            notes.append(f"{name}: it is the same for all intermediates and languages, so it can rank none")
        elif not values:
            notes.append(f"{name}: no pair and language that were both measured and scored")
        else:
            findings.append(_finding(own[0], values, unit, gains, seed))
    corrected = holm([math.nan if finding.is_hopeless else finding.p for finding in findings])
    findings = [replace(finding, corrected=p) for finding, p in zip(findings, corrected, strict=True)]
    measured = {row.intermediate for row in rows} - {""}
    if lost := sorted({key[0] for key in gains.values} - measured):
        notes.append(f"scored, not measured: {', '.join(lost)}")
    return findings, notes


def too_few(findings: Sequence[Finding]) -> list[str]:
    """Return what to say where there are so few units that no corrected p value could be small enough."""
    tests = sum(not (math.isnan(finding.p) or finding.is_hopeless) for finding in findings)
    notes = []
    for unit in ("intermediate", "language"):
        own = [finding for finding in findings if finding.unit == unit]
        best = min((finding.smallest_p for finding in own), default=0.0) * max(tests, 1)
        if best < LEVEL:
            continue
        most = max(finding.units for finding in own)
        best, compared = min(1.0, best), f", with {tests} measures compared," * (tests > 1)
        notes.append(
            f"{most} {unit}s are too few to conclude anything: even a measure that ranks them all as the gains do "
            f"would have{compared} a p value of {best:.2g} at best"
        )
    return notes


# ------------------------------------------------------------------ within
Cells = Mapping[tuple[str, str, str], float]


def _values(rows: Sequence[Alignment], gains: Gains) -> tuple[Cells, str]:
    """Return the value that belongs to each gain, and whether intermediates or languages are ranked by them.

    Where rows of the intermediates' own encoders are there, they are taken; what tells of the pretrained encoder or of
    a language alone can rank languages only.
    """
    own = [row for row in rows if row.intermediate and row.value is not None]
    unit = "intermediate" if own else "language"
    if not own and rows[0].scope == "labels":
        return {}, ""
    found: dict[tuple[str, str, str], list[float]] = {}
    for row in own or rows:
        key = row.intermediate, row.target, "" if row.scope == "labels" else row.language
        found.setdefault(key, []).extend([] if row.value is None else [row.value])
    told = {}
    for i, t, code in gains.values:
        who = i if own else ""
        for key in ((who, t, code), (who, t, ""), (who, "", code)):
            if found.get(key):
                told[i, t, code] = fmean(found[key])  # over the seeds by which rows were drawn
                break
    return told, unit


def _finding(row: Alignment, values: Cells, unit: str, gains: Gains, seed: int) -> Finding:
    x, y = _matrices(values, gains, unit)
    low, high = interval(x, y, seed)
    units = sorted({_unit(key, unit) for key in values})
    return Finding(
        measure=row.measure,
        layer=row.layer,
        better=row.better,
        unit=unit,
        units=len(units),
        columns=x.shape[1],
        cells=int((np.isfinite(x) & np.isfinite(y)).sum()),
        rho=spearman(x, y),
        tau=kendall(x, y),
        p=permuted(x, y, seed),
        low=low,
        high=high,
        partial=partial(x, y, _controls(values, x, units, gains)) if unit == "intermediate" else math.nan,
        error=left_out_error(x, y) if unit == "intermediate" else math.nan,
        error_of_mean=left_out_error(None, y) if unit == "intermediate" else math.nan,
        error_of_size=_error_of_size(x, y, units, gains) if unit == "intermediate" else math.nan,
        points=_points(values, gains, unit),
    )


def _unit(key: tuple[str, str, str], unit: str) -> str:
    return key[0] if unit == "intermediate" else key[2]


def _column(key: tuple[str, str, str], unit: str) -> tuple[str, str]:
    return (key[1], key[2]) if unit == "intermediate" else (key[1], key[0])


def _matrices(values: Cells, gains: Gains, unit: str) -> tuple[Array, Array]:
    """Return values and gains ``(K, M)``, units by columns; NaN where there is none."""
    units = sorted({_unit(key, unit) for key in values})
    columns = sorted({_column(key, unit) for key in values})
    x, y = (np.full((len(units), len(columns)), np.nan) for _ in range(2))
    for key, value in values.items():
        place = units.index(_unit(key, unit)), columns.index(_column(key, unit))
        y[place] = gains.values[key]
        x[place] = value
    return x, y


def _controls(values: Cells, x: Array, units: Sequence[str], gains: Gains) -> Array:
    """Return training sizes and whether the tasks are of one kind ``(2, K, M)``; NaN where a task is not known."""
    columns = sorted({_column(key, "intermediate") for key in values})
    records = _records()
    alike = np.full(x.shape, np.nan)
    for i, unit in enumerate(units):
        for j, (target, _) in enumerate(columns):
            if unit in records and target in records:
                alike[i, j] = float(records[unit].kind == records[target].kind)
    return np.stack([_log_sizes(x, units, gains), alike])


def _log_sizes(x: Array, units: Sequence[str], gains: Gains) -> Array:
    """Return the logarithms of training sizes ``(K, M)``: of tokens trained on, if known of all units, else of rows.

    Rows are those that the data sets are published with; NaN where none is known.
    """
    records = _records()
    sizes = [gains.tokens.get(unit, 0.0) for unit in units]
    if not all(sizes):
        sizes = [records[unit].sizes.get("train", 0) if unit in records else 0 for unit in units]
    column = np.array([math.log(size) if size else math.nan for size in sizes])
    return np.repeat(column[:, None], x.shape[1], axis=1)


def _error_of_size(x: Array, y: Array, units: Sequence[str], gains: Gains) -> float:
    """Return the error of foretelling by training size; NaN unless all intermediates' sizes are known."""
    sizes = _log_sizes(x, units, gains)
    return left_out_error(sizes, y) if np.isfinite(sizes).all() else math.nan


def _records() -> dict[str, Task]:
    """Return the records of the library's tasks by their names."""
    classes = [getattr(datamodules, name) for name in datamodules.__all__]
    return {cls.task.name: cls.task for cls in classes if hasattr(cls, "task")}


def _points(values: Cells, gains: Gains, unit: str) -> list[tuple[str, str, float, float]]:
    """Return the points of a picture: a unit and target, the means over languages or intermediates."""
    groups: dict[tuple[str, str], list[tuple[float, float]]] = {}
    for key, value in values.items():
        groups.setdefault((_unit(key, unit), key[1]), []).append((value, gains.values[key]))
    return [(name, t, fmean(a for a, _ in own), fmean(b for _, b in own)) for (name, t), own in sorted(groups.items())]
