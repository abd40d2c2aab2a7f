"""Shapes a frame like a delivered stream: contract columns with contract types first, extra columns after them."""

from __future__ import annotations

import polars as pl

from returnml.contracts.columns import DeliveredStream
from returnml.contracts.validated import POLARS_TYPES


def to_delivered(stream: DeliveredStream, frame: pl.DataFrame) -> pl.DataFrame:
    """Order and type the columns of ``frame`` as the contract says; absent optional columns become nulls.

    Raises:
        ValueError: naming a required column that is missing or a column that cannot have the contract's type.
    """
    columns: list[pl.Expr | pl.Series] = []
    for column in stream.columns:
        dtype = POLARS_TYPES[column.kind]
        if column.name not in frame.columns:
            if column.is_required:
                raise ValueError(f"{stream.name}: column {column.name!r} is missing [required_column]")
            columns.append(pl.lit(None, dtype).alias(column.name))
            continue
        try:
            columns.append(frame[column.name].cast(dtype))
        except pl.exceptions.PolarsError as error:
            raise ValueError(f"{stream.name}: column {column.name!r} cannot be {column.kind}: {error} [column_type]") from error
    extra = sorted(set(frame.columns) - set(stream.column_names))
    return frame.with_columns(columns).select(*stream.column_names, *extra)
