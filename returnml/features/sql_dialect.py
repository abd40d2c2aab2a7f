"""The dialect seam: every construct that another SQL engine would spell differently is spelled here.

The compilers build on these functions and on ANSI SQL; ``HUGEINT`` (128-bit integers), ``epoch_us`` and ``arg_max`` are
DuckDB's names.
"""

from __future__ import annotations

from returnml.features.windows import DAY_US

WIDE = "HUGEINT"
DAY_BITS = 16
"""Days since 1970 take 16 bits (to the year 2149) of a combined (key, day) integer."""


def micros(timestamp: str) -> str:
    """Microseconds since the epoch of a naive UTC timestamp expression."""
    return f"epoch_us({timestamp})"


def day_number(at_us: str) -> str:
    """Days since 1970-01-01 of an expression in microseconds (not before 1970)."""
    return f"({at_us} // {DAY_US})"


def key_day(key: str, day: str) -> str:
    """One integer for a key's day, ordered by key and then by day."""
    return f"({key} * {1 << DAY_BITS} + {day})"


def key_of(key_day_expression: str) -> str:
    return f"({key_day_expression} >> {DAY_BITS})"


def wide(expression: str) -> str:
    return f"({expression})::{WIDE}"


def wide_literal(value: int) -> str:
    """A 128-bit constant.

    >>> wide_literal(5)
    '5::HUGEINT'
    """
    return f"({value})::{WIDE}" if value < 0 else f"{value}::{WIDE}"


def quote(name: str) -> str:
    """An identifier.

    >>> quote('a"b')
    '"a""b"'
    """
    return '"' + name.replace('"', '""') + '"'
