"""The SQL engine that plans are written for: what differs from one to another, and nothing else.

The compilers write ANSI SQL around these pieces. A further engine is one module beside ``duckdb``. Must not be here:
the name or the syntax of any engine.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from datetime import date

from returnml.features.text_codes import CODE_DIGITS


class Engine(ABC):
    """One engine.

    Attributes:
        name: as a person writes it.
        integer: its type of 64-bit integers.
        wide: the type that packed totals are added in.
        limb_bits: how many bits of ``wide`` packed totals may fill; the sign and one bit for the bias stay free.
    """

    name: str
    integer: str
    wide: str
    limb_bits: int

    @abstractmethod
    def materialise(self, name: str, query: str) -> str:
        """The statement that stores the rows of a query under a name, and replaces a table of that name."""

    @abstractmethod
    def drop(self, name: str) -> str:
        """The statement that drops what ``materialise`` stored, if it is there."""

    @abstractmethod
    def quote(self, name: str) -> str:
        """An identifier."""

    @abstractmethod
    def cast(self, expression: str, sql_type: str) -> str: ...

    @abstractmethod
    def day(self, day: date) -> str:
        """A constant day."""

    @abstractmethod
    def day_number(self, day: str) -> str:
        """Days since 1970-01-01 of a date expression."""

    @abstractmethod
    def micros(self, timestamp: str) -> str:
        """Microseconds since the epoch of a naive UTC timestamp expression."""

    @abstractmethod
    def divided(self, dividend: str, divisor: int) -> str:
        """The integer part of a quotient of integers that are not negative."""

    @abstractmethod
    def shifted(self, value: str, bits: int) -> str:
        """An integer without its lowest bits."""

    @abstractmethod
    def lowest(self, value: str, bits: int) -> str:
        """The lowest bits of a wide integer that is not negative."""

    @abstractmethod
    def row_numbers(self) -> str:
        """Numbers of the rows from 0 on without gaps, in any order."""

    @abstractmethod
    def latest(self, value: str, by: str) -> str:
        """The aggregate: the value that is not null with the highest ``by``."""

    @abstractmethod
    def text_code(self, text: str, digits: int = CODE_DIGITS) -> str:
        """A string expression as ``text_codes.text_code`` codes it; null for null and the empty string."""

    @abstractmethod
    def matches(self, text: str, pattern: str) -> str:
        """Whether a regular expression matches the whole of a string expression."""

    @abstractmethod
    def group_matched(self, text: str, pattern: str, group: int) -> str:
        """What a group of a regular expression matched; the empty string where it did not take part."""

    def as_wide(self, expression: str) -> str:
        return self.cast(f"({expression})", self.wide)

    def wide_literal(self, value: int) -> str:
        return self.cast(f"({value})" if value < 0 else str(value), self.wide)

    def as_integer(self, expression: str) -> str:
        return self.cast(expression, self.integer)
