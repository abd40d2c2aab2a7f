"""Derived features as data: an expression tree limited to operations that give the same bits everywhere.

Only ``+ - * / sqrt``, comparisons and ``where`` exist, on float64, evaluated in the order written: IEEE 754 defines
each of them to the last bit, so that one row and a million rows, numpy and plain Python, agree. (``log``, ``exp``,
``pow`` and float sums do not, and cannot be written here.) A derived feature is declared as an ordinary function over
arrays; calling it once with ``Expr`` arguments records its tree, which is hashed with the feature set.

Division by zero gives NaN (missing), also where IEEE would give an infinity: a rate over nothing is unknown.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

Number = float | int


@dataclass(frozen=True, eq=False)
class Expr:
    """A node: ``op`` with its arguments. Leaves are ``column`` (a name) and ``constant`` (a float)."""

    op: str
    args: tuple[Any, ...]

    def __add__(self, other: Expr | Number) -> Expr:
        return _binary("+", self, other)

    def __radd__(self, other: Number) -> Expr:
        return _binary("+", other, self)

    def __sub__(self, other: Expr | Number) -> Expr:
        return _binary("-", self, other)

    def __rsub__(self, other: Number) -> Expr:
        return _binary("-", other, self)

    def __mul__(self, other: Expr | Number) -> Expr:
        return _binary("*", self, other)

    def __rmul__(self, other: Number) -> Expr:
        return _binary("*", other, self)

    def __truediv__(self, other: Expr | Number) -> Expr:
        return _binary("/", self, other)

    def __rtruediv__(self, other: Number) -> Expr:
        return _binary("/", other, self)

    def __lt__(self, other: Expr | Number) -> Expr:
        return _binary("<", self, other)

    def __le__(self, other: Expr | Number) -> Expr:
        return _binary("<=", self, other)

    def __gt__(self, other: Expr | Number) -> Expr:
        return _binary(">", self, other)

    def __ge__(self, other: Expr | Number) -> Expr:
        return _binary(">=", self, other)

    def equals(self, other: Expr | Number) -> Expr:
        """Elementwise equality (``==`` keeps its ordinary meaning for Python objects)."""
        return _binary("==", self, other)

    def __bool__(self) -> bool:
        raise TypeError("an Expr has no truth value: use where(condition, then, otherwise)")

    def as_data(self) -> list[Any]:
        """The tree as nested lists: what the feature-set hash covers."""
        return [self.op, *(a.as_data() if isinstance(a, Expr) else a for a in self.args)]

    def columns(self) -> list[str]:
        """The names it reads, in first-use order."""
        if self.op == "column":
            return [self.args[0]]
        found: dict[str, None] = {}
        for arg in self.args:
            if isinstance(arg, Expr):
                found |= dict.fromkeys(arg.columns())
        return list(found)


def column(name: str) -> Expr:
    """An input column."""
    return Expr("column", (name,))


def sqrt(value: Expr) -> Expr:
    """The square root; NaN below zero."""
    return Expr("sqrt", (value,))


def where(condition: Expr, then: Expr | Number, otherwise: Expr | Number) -> Expr:
    """``then`` where the condition holds (a comparison with a missing value does not hold), else ``otherwise``."""
    return Expr("where", (condition, _wrap(then), _wrap(otherwise)))


def _wrap(value: Expr | Number) -> Expr:
    return value if isinstance(value, Expr) else Expr("constant", (float(value),))


def _binary(op: str, left: Expr | Number, right: Expr | Number) -> Expr:
    return Expr(op, (_wrap(left), _wrap(right)))


def trace(function: Callable[..., Expr], inputs: tuple[str, ...]) -> Expr:
    """Record the tree of a function over arrays.

    >>> trace(lambda a, b: (a + 1) / b, ("x", "y")).as_data()
    ['/', ['+', ['column', 'x'], ['constant', 1.0]], ['column', 'y']]

    Raises:
        TypeError: if it returns no expression.
    """
    result = function(*(column(name) for name in inputs))
    if not isinstance(result, Expr):
        raise TypeError(f"derived function {function.__name__} returned {type(result).__name__}, not an expression")
    return result


def evaluate(expr: Expr, columns: Mapping[str, np.ndarray]) -> np.ndarray:
    """The value on float64 arrays of any length; missing (NaN) goes through.

    Raises:
        KeyError: naming the column, where an input is absent.
    """
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        return _evaluate(expr, columns)


def _evaluate(expr: Expr, columns: Mapping[str, np.ndarray]) -> np.ndarray:
    if expr.op == "column":
        return columns[expr.args[0]]
    if expr.op == "constant":
        return np.asarray(expr.args[0], np.float64)
    args = [_evaluate(arg, columns) for arg in expr.args]
    if expr.op == "where":
        return np.where(*args)
    value = UFUNCS[expr.op](*args)
    return np.where(args[1] == 0.0, np.nan, value) if expr.op == "/" else value


UFUNCS: dict[str, Callable[..., Any]] = {
    "+": np.add,
    "-": np.subtract,
    "*": np.multiply,
    "/": np.divide,
    "<": np.less,
    "<=": np.less_equal,
    ">": np.greater,
    ">=": np.greater_equal,
    "==": np.equal,
    "sqrt": np.sqrt,
}
"""Every operation but ``where``; a division by zero is made NaN afterwards."""
