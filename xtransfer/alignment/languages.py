"""Properties of languages, such as typological distances or sizes of pre-training data, from a table of the user's."""

from __future__ import annotations

import csv
import math
from pathlib import Path

from xtransfer.errors import DataError


def read_languages(path: Path) -> dict[str, dict[str, float]]:
    """Read a table of languages: column -> language -> number.

    A CSV file with a column ``language`` of two-letter codes; every other column is a property, such as the syntactic
    distance to English or the logarithm of the pre-training data, as Muller et al. 2022, "Languages You Know Influence
    Those You Learn" (arXiv 2212.01757), model transfer by. An empty cell is a missing value. No such table comes with
    the library: docs/alignment.md tells how to make one.

    Raises:
        DataError: There is no file or no such column, a language is there twice, or a cell is no number; names file
            and line.
    """
    if not path.is_file():
        raise DataError(f"no table of languages {path}: expected a CSV file with a column 'language'")
    table: dict[str, dict[str, float]] = {}
    with path.open(encoding="utf-8-sig", newline="") as stream:
        reader = csv.DictReader(stream)
        header = list(reader.fieldnames or [])
        if "language" not in header or len(header) < 2:
            raise DataError(
                f"{path}:1: expected a column 'language' and others, found: {', '.join(header) or 'nothing'}"
            )
        table = {name: {} for name in header if name != "language"}
        seen: set[str] = set()
        for row in reader:
            where, code = f"{path}:{reader.line_num}", row["language"]
            if None in row or None in row.values():
                raise DataError(f"{where}: expected {len(header)} cells")
            if code in seen:
                raise DataError(f"{where}: the language '{code}' is there twice")
            seen.add(code)
            for name, column in table.items():
                if cell := row[name].strip():
                    column[code] = _number(cell, f"{where}: column '{name}'")
    return table


def _number(cell: str, where: str) -> float:
    try:
        value = float(cell)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise DataError(f"{where}: expected a number, found '{cell}'")
    return value
