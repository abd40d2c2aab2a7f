"""Tables with types (Parquet, Excel, a database's answer) as the texts that a CSV file would have."""

from __future__ import annotations

import io
from decimal import Decimal

import polars as pl

from returnml.sources.import_error import SourceError, first_line


def parquet_rows(name: str, content: bytes, decimal: str) -> pl.DataFrame:
    """A Parquet file's rows.

    Raises:
        SourceError: where the file cannot be read, or a column holds nested values.
    """
    try:
        frame = pl.read_parquet(io.BytesIO(content))
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        raise SourceError(name, "unreadable_parquet", first_line(error)) from error
    return as_texts(name, frame, decimal)


def excel_rows(name: str, content: bytes, decimal: str, sheet: str | None = None) -> pl.DataFrame:
    """A sheet's rows, by default the first one's; the first row names the columns.

    Raises:
        SourceError: where the file cannot be read, or has no such sheet.
    """
    import fastexcel

    try:
        book = fastexcel.read_excel(content)
        if sheet is not None and sheet not in book.sheet_names:
            raise SourceError(name, "sheet", f"there is no sheet {sheet!r}; there are {', '.join(book.sheet_names)}")
        which = book.sheet_names[0] if sheet is None else sheet
        texts = book.load_sheet(which, dtypes="string").to_polars()
        kinds = book.load_sheet(which, schema_sample_rows=None).to_polars().schema
    except fastexcel.FastExcelError as error:
        raise SourceError(name, "unreadable_excel", first_line(error)) from error
    numbers = [column for column, kind in kinds.items() if kind.is_numeric()]
    return texts.with_columns(pl.col(numbers).str.replace(".", decimal, literal=True))


def as_texts(name: str, frame: pl.DataFrame, decimal: str) -> pl.DataFrame:
    """The frame with texts: ISO 8601 times (with ``Z`` where they have a zone), whole numbers without ``.0``, no exponents.

    Raises:
        SourceError: naming a column of nested or binary values.
    """
    return frame.select(_as_text(name, frame[column], decimal) for column in frame.columns)


def _as_text(name: str, values: pl.Series, decimal: str) -> pl.Series:
    kind = values.dtype
    if kind == pl.String:
        return values
    if kind.is_float():
        texts = {v: number_text(v, decimal) for v in values.unique().drop_nulls()}
        return values.replace_strict(texts, default=None, return_dtype=pl.String)
    if isinstance(kind, pl.Decimal):
        whole = values.cast(pl.String).str.replace(r"\.0*$", "").str.replace(".", decimal, literal=True)
        return whole
    if isinstance(kind, pl.Datetime):
        if kind.time_zone is None:
            return values.dt.to_string("%Y-%m-%d %H:%M:%S%.f")
        return values.dt.convert_time_zone("UTC").dt.to_string("%Y-%m-%d %H:%M:%S%.fZ")
    if kind.is_integer() or kind in (pl.Boolean, pl.Date, pl.Time, pl.Null) or isinstance(kind, (pl.Categorical, pl.Enum)):
        return values.cast(pl.String)
    raise SourceError(name, "nested_value", f"expected one value a row, the column is {kind}", column=values.name)


def number_text(value: float, decimal: str) -> str | None:
    """A float as the shortest text that says it, without ``.0`` and exponent; None where it is no number."""
    if value != value:  # a float column's way to say that there is no value
        return None
    if value.is_integer():
        return str(int(value))
    return format(Decimal(repr(value)), "f").replace(".", decimal) if abs(value) != float("inf") else str(value)
