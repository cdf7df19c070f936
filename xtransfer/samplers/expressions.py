"""Weights that change over a run: a small formula, or points with straight lines between them."""

from __future__ import annotations

import ast
import math
import operator
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any

from xtransfer.errors import ConfigError, nearest

OPERATORS: Mapping[type, Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: operator.pow,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}
FUNCTIONS: Mapping[str, Callable[..., float]] = {
    "min": min,
    "max": max,
    "exp": math.exp,
    "log": math.log,
    "sqrt": math.sqrt,
    "cos": math.cos,
}
NAMES = ("t", "n", "pi")


class Curve:
    """A weight over a run.

    Args:
        shape: A number; a formula of ``t``, the part of the run that is done (0 to 1), ``n``, the task's number of
            examples, and ``pi``, with ``+ - * / **``, comparisons, ``a if t < 0.5 else b`` and the functions min, max,
            exp, log, sqrt and cos; or points ``[[t, weight], ...]`` in rising order of t.

    Raises:
        ConfigError: It is none of these.
    """

    def __init__(self, shape: str | float | Sequence[Sequence[float]]) -> None:
        self.shape = shape
        self._points = None if isinstance(shape, str | int | float) else _points(shape)
        self._tree: ast.expr | None = None
        if self._points is None:
            try:
                self._tree = ast.parse(str(shape), mode="eval").body
            except SyntaxError as error:
                raise ConfigError(f"'{shape}' is no formula: {error.msg}; write for example '1 - t'") from error
            _check(self._tree, str(shape))

    def at(self, t: float, n: int = 1) -> float:
        """Return the weight at a part of the run from 0 to 1, of a task of `n` examples.

        Raises:
            ConfigError: The formula has no value there.
        """
        if self._points is not None:
            return _between(self._points, t)
        assert self._tree is not None
        try:
            value = _value(self._tree, {"t": t, "n": float(n), "pi": math.pi})
            if isinstance(value, complex):
                raise ValueError("not a real number")
            return float(value)
        except (ArithmeticError, ValueError) as error:
            raise ConfigError(f"'{self.shape}' has no value at t = {t:g}, n = {n}: {error}") from error


def _points(shape: Sequence[Sequence[float]]) -> list[tuple[float, float]]:
    try:
        points = [(float(t), float(weight)) for t, weight in shape]
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{shape!r:.80} are no points; write [[0, 1], [1, 0.2]]") from error
    times = [t for t, _ in points]
    if not points or times != sorted(set(times)) or not 0 <= times[0] <= times[-1] <= 1:
        raise ConfigError(f"points need rising t between 0 and 1, found {times}")
    return points


def _between(points: Sequence[tuple[float, float]], t: float) -> float:
    """Go straight from point to point; before the first and after the last the weight stays."""
    for (left, a), (right, b) in pairwise(points):
        if left <= t <= right:
            return a + (b - a) * (t - left) / (right - left)
    return points[0][1] if t < points[0][0] else points[-1][1]


def _check(node: ast.expr, text: str) -> None:
    """Refuse whatever is no arithmetic: a formula comes from a file and must not be able to do anything else."""
    match node:
        case ast.Constant(value=int() | float()):
            parts: list[ast.expr] = []
        case ast.Name(id=name):
            if name not in NAMES:
                raise ConfigError(f"'{text}': unknown name '{name}'{nearest(name, (*NAMES, *FUNCTIONS))}")
            parts = []
        case ast.UnaryOp(op=ast.USub(), operand=inner):
            parts = [inner]
        case ast.BinOp(left=left, op=op, right=right) if type(op) in OPERATORS:
            parts = [left, right]
        case ast.Compare(left=left, ops=[op], comparators=[right]) if type(op) in OPERATORS:
            parts = [left, right]
        case ast.IfExp(test=test, body=body, orelse=other):
            parts = [test, body, other]
        case ast.Call(func=ast.Name(id=name), args=arguments, keywords=[]):
            if name not in FUNCTIONS:
                raise ConfigError(f"'{text}': unknown function '{name}'{nearest(name, FUNCTIONS)}")
            parts = arguments
        case _:
            raise ConfigError(f"'{text}': '{ast.unparse(node)}' is no arithmetic")
    for part in parts:
        _check(part, text)


def _value(node: ast.expr, names: Mapping[str, float]) -> Any:
    match node:
        case ast.Constant(value=value):
            return value
        case ast.Name(id=name):
            return names[name]
        case ast.UnaryOp(operand=inner):
            return -_value(inner, names)
        case ast.BinOp(left=left, op=op, right=right) | ast.Compare(left=left, ops=[op], comparators=[right]):
            return OPERATORS[type(op)](_value(left, names), _value(right, names))
        case ast.IfExp(test=test, body=body, orelse=other):
            return _value(body if _value(test, names) else other, names)
        case ast.Call(func=ast.Name(id=name), args=arguments):
            return FUNCTIONS[name](*(_value(part, names) for part in arguments))
    raise AssertionError(node)
