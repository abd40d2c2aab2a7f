"""Values that could be read in another way: counted at import, so that a person can say which way is meant.

They are read as the mapping says; nothing here changes a value.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import polars as pl

from returnml.contracts.columns import Column, Kind
from returnml.exchange.minor_units import MINOR_DIGITS, USUAL_DIGITS
from returnml.sources.mapped.mapping import Mapping

_IDS = "_id"


@dataclass(frozen=True)
class SecondReading:
    """What another reading of a column would change.

    Attributes:
        column: of the contract.
        values: how many values it would change, of ``of`` that are there.
        row: the first of them, data rows from 1; ``example`` is its text.
        meaning: how it was read, how else it could be, and what says so.
    """

    column: str
    values: int
    of: int
    row: int
    example: str
    meaning: str

    def __str__(self) -> str:
        return f"{self.column}: {self.values:,} of {self.of:,} values, first {self.example!r} in row {self.row}: {self.meaning}"


def second_readings(column: Column, text: pl.Series, mapping: Mapping, currency: pl.Series | None) -> Iterator[SecondReading]:
    """The other readings of one column.

    Args:
        text: as in the file; null where there is no value.
        currency: of each row; only asked about amounts, ``minor_digits`` of the mapping apart.
    """
    if column.kind is Kind.INTEGER:
        if not mapping.thousands:
            other = "." if mapping.decimal == "," else ","
            grouped = rf"^\s*[+-]?[1-9]\d{{0,2}}{re.escape(mapping.decimal)}\d{{3}}\s*$"
            meaning = (
                f"{mapping.decimal!r} was read as the decimal separator; if it groups thousands, the mapping needs "
                f"thousands = {mapping.decimal!r} and decimal = {other!r}"
            )
            yield from _counted(column, text, text.str.contains(grouped), meaning)
        if column.name.endswith("_cents") and mapping.minor_digits is not None and currency is not None:
            digits = currency.replace_strict(MINOR_DIGITS, default=USUAL_DIGITS, return_dtype=pl.Int64)
            meaning = (
                f"minor_digits = {mapping.minor_digits} was taken for all currencies; this one's minor unit has another number "
                "of digits: leave minor_digits out to read each by its own"
            )
            # 0 says that all amounts are in minor units already, whatever the currency
            differs = (digits != mapping.minor_digits) & (mapping.minor_digits > 0) & currency.is_not_null()
            yield from _counted(column, text, differs, meaning)
    if column.kind is Kind.STRING and column.name.endswith(_IDS):
        meaning = "the id was taken as it stands; if it passed through a column of floats, it is another one without '.0'"
        yield from _counted(column, text, text.str.contains(r"^\s*\d+\.0+\s*$"), meaning)
        meaning = "the id was taken with the blanks around it; without them it may be an id that is there as well"
        yield from _counted(column, text, text.str.strip_chars() != text, meaning)


def _counted(column: Column, text: pl.Series, changes: pl.Series, meaning: str) -> Iterator[SecondReading]:
    changes = changes.fill_null(False) & text.is_not_null()
    if changes.any():
        row = int(changes.arg_max() or 0)
        yield SecondReading(column.name, int(changes.sum()), text.len() - text.null_count(), row + 1, text[row], meaning)
