"""The words of a mapping: how a value, a condition, a lookup and a link are declared; ``docs/sources.md`` explains them.

What belongs here: the declarations and which of them fit together. What must not: reading rows.
"""

from __future__ import annotations

from typing import Literal

import msgspec

ROW_NUMBER = "#"


class Tested(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Something about a value, of which one is said.

    Attributes:
        is_any, is_none: ``is`` and ``is_not``: the texts that it is one of, or none of.
        above, below: numbers that it is above or below.
        present: whether there is a value at all.
    """

    is_any: list[str] | None = msgspec.field(name="is", default=None)
    is_none: list[str] | None = msgspec.field(name="is_not", default=None)
    above: int | None = None
    below: int | None = None
    present: bool | None = None

    @property
    def tests(self) -> list[str]:
        """The names of what is said."""
        said = {"is": self.is_any, "is_not": self.is_none, "above": self.above, "below": self.below, "present": self.present}
        return [name for name, value in said.items() if value is not None]


class Condition(Tested, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a row must fulfil to be one of the table's; a row without a value fulfils ``is_not`` and ``present = false`` alone."""

    column: str

    def __str__(self) -> str:
        said = {"is": self.is_any, "is_not": self.is_none, "above": self.above, "below": self.below, "present": self.present}
        return f"{self.column} " + " and ".join(f"{name} {said[name]}" for name in self.tests)


class Value(Tested, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How a contract column's values are made from the file's columns.

    Attributes:
        column: of the file; several are joined by ``join`` (``-``; of times a blank). ``#``, last, counts the rows that
            agree before it.
        first_of: columns of the file of which the first with a value counts; instead of ``column``.
        words: text -> text that stands for it.
        otherwise: what stands where there is no value.
        divided_by, times: a column, or a whole number; of numbers. Exact: what is no whole number (of minor units) is
            rounded once, half away from zero; of a quantity it is refused.
        negated, absolute: of numbers.
        datetime_format: of this time, where it is not the table's.
    """

    column: str | list[str] | None = None
    join: str | None = None
    first_of: list[str] = []
    words: dict[str, str] = {}
    otherwise: str | int | bool | None = None
    divided_by: str | int | None = None
    times: str | int | None = None
    negated: bool = False
    absolute: bool = False
    datetime_format: str | None = None

    @property
    def parts(self) -> list[str]:
        """The columns that are joined, ``#`` included."""
        return [self.column] if isinstance(self.column, str) else list(self.column or ())

    @property
    def sources(self) -> list[str]:
        """All columns of the file that the value rests on, ``#`` included."""
        operands = [operand for operand in (self.divided_by, self.times) if isinstance(operand, str)]
        return [*self.parts, *self.first_of, *operands]

    @property
    def is_number(self) -> bool:
        """Whether it says something that only numbers have."""
        return self.divided_by is not None or self.times is not None or self.negated or self.absolute


class FillDown(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Columns that only the first row of a group has: the rows below that agree in ``by`` take its values."""

    by: list[str]
    columns: list[str]


class Lookup(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Another table's columns, under the names ``<table>.<column>``.

    Attributes:
        table: its name among those that are given (``--table NAME=FILE``, or ``orders`` and ``returns``).
        on: column of this table -> column of that one; there each combination stands in one row only.
    """

    table: str
    on: dict[str, str]


class Link(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How returns that do not name their line find it.

    Attributes:
        by: ``order_article``: the returns of an order and article take its lines' pieces, returns in order of time and
            id, lines in order of id; ``order``: a return is of all lines of its order, whole.
        order_id: the file's column with the order.
    """

    by: Literal["order", "order_article"]
    order_id: str
