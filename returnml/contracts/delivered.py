"""The as-delivered contract: what a landing file must look like before its rows are read.

It judges the header only: a required column that is missing, or of a type from which no value can be read, refuses
the whole file. Single values are judged when they are cast and by the validated contract.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import polars as pl

from returnml.contracts.columns import Column, DeliveredStream, Kind

if TYPE_CHECKING:
    import pandera.polars as pa

RESERVED = ("file_row_number", "delivered_file")
"""Names that reading a landing file adds; no file may have them."""


@dataclass(frozen=True)
class HeaderFailure:
    """One reason why a file cannot be read: rule, column and what was expected."""

    rule: str
    column: str
    message: str


def is_castable(kind: Kind, dtype: pl.DataType) -> bool:
    """Whether values of a delivered type can be read as the declared kind at all.

    >>> is_castable(Kind.INTEGER, pl.Float64()), is_castable(Kind.TIMESTAMP, pl.Int64())
    (True, False)
    """
    if dtype == pl.Null or dtype == pl.String or isinstance(dtype, (pl.Categorical, pl.Enum)):
        return True
    if kind in (Kind.STRING, Kind.INTEGER):
        return dtype.is_numeric()
    if kind is Kind.TIMESTAMP:
        return dtype == pl.Date or isinstance(dtype, pl.Datetime)
    return dtype == pl.Boolean or dtype.is_integer()


@cache
def as_delivered(stream: DeliveredStream) -> pa.DataFrameSchema:
    """The contract of a file's header, for a frame with its columns (rows are not looked at).

    Columns that the stream does not declare are allowed: they are carried in ``extra``.
    """
    import pandera.polars as pa

    return pa.DataFrameSchema(
        {c.name: pa.Column(required=c.is_required, nullable=True, checks=[_type_check(c)]) for c in stream.columns},
        strict=False,
        name=f"{stream.name} as delivered",
    )


def name_failures(names: Iterable[str]) -> list[HeaderFailure]:
    """The columns of a file that have a name which no file may have, or which is another's but for its case."""
    found: list[HeaderFailure] = []
    folded: dict[str, str] = {}
    for name in names:
        if name.lower() in RESERVED:
            found.append(HeaderFailure("reserved_column", name, "the name is reserved"))
        if folded.setdefault(name.lower(), name) != name:
            found.append(HeaderFailure("ambiguous_column", name, f"differs from {folded[name.lower()]!r} in case only"))
    return found


def header_failures(stream: DeliveredStream, header: pl.Schema) -> list[HeaderFailure]:
    """Everything that makes a file with this header unreadable; empty when it conforms."""
    import pandera.errors

    found = name_failures(header)
    kinds = {c.name: c.kind for c in stream.columns}
    declared = {name: dtype for name, dtype in header.items() if name in kinds}
    for name, dtype in declared.items():
        if not _has_values(dtype):
            found.append(HeaderFailure("wrong_type", name, f"expected {kinds[name]}, the file has {dtype}"))
            declared[name] = pl.Null()
    try:
        as_delivered(stream).validate(pl.DataFrame(schema=declared), lazy=True)
    except pandera.errors.SchemaErrors as errors:
        for failure in errors.failure_cases.iter_rows(named=True):
            if failure["check"] == "column_in_dataframe":
                name = failure["failure_case"]
                found.append(HeaderFailure("column_missing", name, f"required {kinds[name]} column is not in the file"))
            else:
                name = failure["column"]
                found.append(HeaderFailure("wrong_type", name, f"expected {kinds[name]}, the file has {header[name]}"))
    return found


def _has_values(dtype: pl.DataType) -> bool:
    """Whether there are values of a type that a header names: a decimal of more than 38 digits has none here."""
    try:
        pl.Series(dtype=dtype)
    except pl.exceptions.PolarsError:
        return False
    return True


def _type_check(column: Column) -> pa.Check:
    import pandera.polars as pa

    def holds(data: Any) -> bool:  # pandera's PolarsData: the frame and the column's name
        return is_castable(column.kind, data.lazyframe.collect_schema()[data.key])

    return pa.Check(holds, name="wrong_type", error="wrong_type")
