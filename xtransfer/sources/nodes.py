"""Looking into parsed JSON: what is not as it should be is told by its place."""

from __future__ import annotations

from typing import TypeVar

from xtransfer.errors import DataError

T = TypeVar("T")

NAMES = {"list": "a list", "str": "a text", "int": "a number", "dict": "an object"}


def take(node: object, key: str, kind: type[T], at: str, where: str) -> T:
    """Return ``node[key]`` if it is of its kind.

    Args:
        node: What should be an object.
        key: The name looked up in it.
        kind: ``list``, ``str``, ``int`` or ``dict``.
        at: Where in the JSON the node stands, e.g. ``data[0].paragraphs[2]``.
        where: Start of the message: the file, and the line if a line is an object of its own.

    Raises:
        DataError: It is not; the message says where it should be.
    """
    value = node.get(key) if isinstance(node, dict) else None
    if isinstance(value, kind):
        return value
    there = repr(value) if isinstance(node, dict) and key in node else _shape(node)
    place = f"{at}.{key}" if at else key
    raise DataError(f"{where}: expected {NAMES[kind.__name__]} at {place}, found {there[:80]}")


def take_span(node: object, text: str, at: str, where: str) -> tuple[int, int]:
    """Return `start` and `end` of an object that names a part of a text, in characters.

    Raises:
        DataError: They are no numbers, or no part of the text.
    """
    start, end = (take(node, key, int, at, where) for key in ("start", "end"))
    if not 0 <= start < end <= len(text):
        raise DataError(f"{where}: expected a part of the {len(text)} characters at {at}, found {start} to {end}")
    return start, end


def _shape(node: object) -> str:
    if isinstance(node, dict):
        return f"an object with {', '.join(map(str, node)) or 'nothing'}"
    return f"{type(node).__name__} {node!r}"
