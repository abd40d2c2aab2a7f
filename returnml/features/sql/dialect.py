"""The dialect seam: every construct that another SQL engine would spell differently is spelled here.

The compilers build on these functions and on ANSI SQL; ``HUGEINT`` (128-bit integers), ``epoch_us`` and ``arg_max`` are
DuckDB's names.
"""

from __future__ import annotations

from dataclasses import dataclass

from returnml.features.text_codes import CODE_DIGITS
from returnml.features.windows import DAY_US, FIVE_MINUTES_US

WIDE = "HUGEINT"


def micros(timestamp: str) -> str:
    """Microseconds since the epoch of a naive UTC timestamp expression."""
    return f"epoch_us({timestamp})"


@dataclass(frozen=True)
class Hop:
    """The step in which window tails move, and how a key's step becomes one integer.

    Attributes:
        name: part of the names of the tables made for it.
        bits: what the number of a step since 1970 takes of the combined integer.
    """

    name: str
    us: int
    bits: int

    def number(self, at_us: str) -> str:
        """Steps since 1970-01-01 of an expression in microseconds (not before 1970)."""
        return f"({at_us} // {self.us})"

    def combined(self, key: str, number: str) -> str:
        """One integer for a key's step, ordered by key and then by step."""
        return f"({key} * {1 << self.bits} + {number})"

    def key_of(self, combined: str) -> str:
        return f"({combined} >> {self.bits})"


DAY = Hop("day", DAY_US, 16)
"""To the year 2149."""
SLOT = Hop("slot", FIVE_MINUTES_US, 25)
"""To the year 2289."""
HOPS = (DAY, SLOT)


def text_code(text: str, digits: int = CODE_DIGITS) -> str:
    """A string expression as ``text_codes.text_code`` codes it; null for null and the empty string."""
    return f"('0x' || substr(md5(nullif({text}, '')), 1, {digits}))::BIGINT"


def matches(text: str, pattern: str) -> str:
    """Whether a regular expression matches the whole of a string expression."""
    return f"regexp_full_match({text}, '{pattern}')"


def group_matched(text: str, pattern: str, group: int) -> str:
    """What a group of a regular expression matched; the empty string where it did not take part."""
    return f"regexp_extract({text}, '^{pattern}$', {group})"


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
