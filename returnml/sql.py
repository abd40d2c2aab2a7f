"""Names and constants in SQL text, where no parameter can be bound: in views, ``ATTACH``, table and column names.

A value that a statement can take as a parameter is bound, never written. What features compile to is spelled by its engine
(``features.sql``), which asks here for names.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime


def quote(name: str) -> str:
    """An identifier.

    >>> quote('my "own" column')
    '"my ""own"" column"'
    """
    return '"' + name.replace('"', '""') + '"'


def literal(value: str | int | date | datetime) -> str:
    """A constant; a naive ``datetime`` is UTC.

    Raises:
        ValueError: for a ``datetime`` with a time zone, which a ``TIMESTAMP`` has not.

    >>> print(literal("Mia's"), literal(3), literal(date(2025, 3, 1)), literal(datetime(2025, 3, 1, 12)))
    'Mia''s' 3 DATE '2025-03-01' TIMESTAMP '2025-03-01 12:00:00'
    """
    if isinstance(value, datetime):
        if value.tzinfo is not None:
            raise ValueError(f"{value}: a TIMESTAMP has no time zone")
        return f"TIMESTAMP '{value}'"
    if isinstance(value, date):
        return f"DATE '{value}'"
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'"
    return str(value)


def quoted(names: Iterable[str]) -> str:
    """Several identifiers with commas between them."""
    return ", ".join(map(quote, names))


def literals(values: Iterable[str | int | date | datetime]) -> str:
    """Several constants with commas between them.

    >>> literals(["no", "n"])
    "'no', 'n'"
    """
    return ", ".join(map(literal, values))
