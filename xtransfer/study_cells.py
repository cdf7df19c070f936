"""What the cells of a sweep add to its rows: values of the axes, what is missing, and a data frame of all."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xtransfer.errors import ConfigError, DataError, nearest
from xtransfer.results import Results, Row

if TYPE_CHECKING:
    from pandas import DataFrame

JOINED = ("chain", "trained")
"""Fields that are lists of names: one text in a data frame."""
NOT_FLAT = ("training", "counts", "versions")
"""Fields that are no column of a data frame."""
SHOWN = 6


@dataclass
class Cells:
    """What is known of a sweep's cells.

    Attributes:
        folders: Run -> its folder.
        values: Run -> axis -> its value, as the cell's name says it.
        missing: Cell -> why it has no scores.
    """

    folders: dict[str, Path] = field(default_factory=dict)
    values: dict[str, dict[str, str]] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)

    @property
    def axes(self) -> list[str]:
        """The axes, in their order."""
        return list(dict.fromkeys(axis for values in self.values.values() for axis in values))

    def only(self, runs: Iterable[str]) -> Cells:
        """Return what is known of some of them."""
        kept = set(runs)
        parts = ({k: v for k, v in part.items() if k in kept} for part in (self.folders, self.values, self.missing))
        return Cells(*parts)  # type: ignore[arg-type]


def files_of(paths: Iterable[str | Path]) -> tuple[list[Path], Cells | None]:
    """Return where results are, the stages of its cells in place of a sweep's folder, and what is known of the cells.

    Raises:
        DataError: A sweep has no cell with scores, or a cell's record is broken.
    """
    found: list[Path] = []
    cells = Cells()
    for path in map(Path, paths):
        records = sorted((path / "cells").glob("*.json")) if (path / "cells").is_dir() else []
        if not records:
            found.append(path)
            continue
        before = len(found)
        for file in records:
            found += _stages(path, file, cells)
        if len(found) == before:
            raise DataError(f"no results in {path}: none of its {len(records)} cells is done")
    return found, cells if cells.values else None


def _stages(sweep: Path, file: Path, cells: Cells) -> list[Path]:
    """Return the folders of a cell's stages, if it is done, and note what is known of it."""
    try:
        record: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        state, values, stages = record["state"], dict(record["values"]), list(record["stages"])
    except (json.JSONDecodeError, KeyError, TypeError, ValueError) as error:
        raise DataError(f"{file}: not the record of a cell: {error}") from error
    run = file.stem
    cells.folders[run], cells.values[run] = sweep / "runs" / run, values
    if state != "done":
        cells.missing[run] = f"{state}: {record['reason']}" if record.get("reason") else str(state)
        return []
    return [cells.folders[run] / stage for stage in stages]


def of_runs(results: Results, runs: Sequence[str]) -> Results:
    """Return the rows of some runs, and what is known of these."""
    wanted = set(runs)
    kept = (row for row in results if row.run in wanted)
    return Results(kept, results.sweep.only(wanted) if results.sweep else None)


def missing(cells: Cells | None) -> list[tuple[str, str]]:
    """Return what to say of cells without scores, as a study's notes."""
    if cells is None or not cells.missing:
        return []
    names = list(cells.missing)
    told = ", ".join(f"{name} ({cells.missing[name]:.60})" for name in names[:SHOWN])
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return [("", f"missing: {len(names)} of {len(cells.values)} cells: {told}{more}")]


def regrouped(
    cells: Mapping[tuple[str, str], list[Row]], by: tuple[str, str], sweep: Cells | None
) -> dict[tuple[str, str], list[Row]]:
    """Return a study's cells by other things than intermediates and targets.

    Args:
        cells: (intermediate, target) -> rows.
        by: ``intermediate``, ``target``, ``seed`` or axes.
        sweep: What is known of the cells of the sweep.

    Raises:
        ConfigError: There is no such axis, or scores of several targets would be averaged.
    """
    if by == ("intermediate", "target"):
        return dict(cells)
    known = ["intermediate", "target", "seed", *(sweep.axes if sweep else ())]
    for what, name, legal in (("rows", by[0], known), ("columns", by[1], [*known, "language", "best"])):
        if name not in legal:
            raise ConfigError(f"no {what} '{name}'{nearest(name, legal)}")
    targets = list(dict.fromkeys(target for _, target in cells))
    if len(targets) > 1 and "target" not in by:
        raise ConfigError(f"rows {by[0]} and columns {by[1]} are of one target each: choose a task of {targets}")
    again: dict[tuple[str, str], list[Row]] = {}
    for (intermediate, target), rows in cells.items():
        for row in rows:
            axes = sweep.values.get(row.run, {}) if sweep else {}
            told = {**axes, "intermediate": intermediate, "target": target, "seed": f"seed {row.seed}"}
            again.setdefault((told.get(by[0], "–"), told.get(by[1], "–")), []).append(row)
    return again


def frame(results: Results) -> DataFrame:
    """Return results as a pandas data frame: a row a score, axes as columns that are named after them.

    Scores of one stage that several cells share are there once. What is missing is not there: ``results.sweep.missing``
    says which cells are.
    """
    import pandas

    from xtransfer.study import ARROW, NONE, before, newest

    told = []
    for row in newest(results)[0]:
        plain = {f.name: getattr(row, f.name) for f in fields(row) if f.name not in NOT_FLAT}
        plain |= {name: ARROW.join(plain[name]) for name in JOINED}
        axes = results.sweep.values.get(row.run, {}) if results.sweep else {}
        told.append({"intermediate": ARROW.join(before(row)) or NONE} | plain | axes)
    names = ["intermediate", *(f.name for f in fields(Row) if f.name not in NOT_FLAT)]
    return pandas.DataFrame(told, columns=[*names, *(results.sweep.axes if results.sweep else ())])
