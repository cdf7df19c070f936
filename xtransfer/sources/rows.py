"""What every source does with a row before it hands it on: choose its language, name and reshape its columns."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from xtransfer.errors import DataError
from xtransfer.task import WHERE, Row, columns

CHANGED = (
    "if the data set has changed, say in the task's `source` which earlier `revision` to read, or `rename` columns"
)
"""What to do about a column that is not there."""


def found(row: Mapping[str, Any]) -> str:
    """Return the columns of a row, for messages."""
    return ", ".join(map(str, columns(row)))


def speaks(row: Row, column: str, code: str) -> bool:
    """Say whether a row is of a language: its column, up to the first hyphen, holds the data set's code for it.

    Raises:
        DataError: The row lacks the column.
    """
    if column not in row:
        raise DataError(f"{row.get(WHERE, 'row')}: no column '{column}' to tell languages by; found: {found(row)}")
    return str(row[column]).split("-")[0] == code


def renamed(row: Row, rename: Mapping[str, str], optional: Sequence[str] = ()) -> Row:
    """Return the row with the library's column names; an optional column that is missing becomes None.

    Args:
        row: Native columns.
        rename: Native column -> the library's; a dot reaches inside (``question.stem``).
        optional: Columns, by the library's name, that may be missing.

    Raises:
        DataError: A column to be renamed is missing.
    """
    picked: Row = {}
    for native, name in rename.items():
        value: Any = row
        for key in native.split("."):
            if isinstance(value, Mapping) and key in value:
                value = value[key]
            elif name in optional:
                value = None
                break
            else:
                at = row.get(WHERE, "row")
                raise DataError(f"{at}: no column '{native}' (read as '{name}'); found: {found(row)}")
        picked[name] = value
    kept = {name: value for name, value in row.items() if name not in rename}
    return dict.fromkeys(optional) | kept | picked


def flattened(value: object) -> object:
    """Return a value in which lists of objects are objects of lists, the layout of the hub.

    Raises:
        ValueError: The objects of a list have different keys.
    """
    if isinstance(value, Mapping):
        return {key: flattened(item) for key, item in value.items()}
    if not isinstance(value, list) or not value or not all(isinstance(item, Mapping) for item in value):
        return value
    if any(set(item) != set(value[0]) for item in value):
        raise ValueError(f"objects of one list have different keys: {sorted({tuple(item) for item in value})}")
    return {key: [flattened(item[key]) for item in value] for key in value[0]}


def in_order(rows: Iterable[Row], column: str) -> list[Row]:
    """Number the rows (column `line`, from 0) and sort them by a text column; equal texts keep their order.

    The official preprocessing of Tatoeba sorts the stripped English side in this way; the right answer to a query is
    then the number its line had before.
    """
    numbered = [row | {"line": number} for number, row in enumerate(rows)]
    return sorted(numbered, key=lambda row: str(row[column]))
