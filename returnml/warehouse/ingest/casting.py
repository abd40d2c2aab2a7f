"""SQL that reads delivered values as the declared kinds, and tells which of them cannot be read.

A value that cannot be read becomes null and is kept as text in ``uncast``; nothing is rounded or guessed.
"""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from returnml.contracts.columns import FALSE_WORDS, TRUE_WORDS, Column, DeliveredStream, Kind
from returnml.contracts.validated import FIRST_INSTANT, LAST_INSTANT
from returnml.sql import literal, literals, quote
from returnml.warehouse.ingest.schema import SQL_TYPES

_BLANKS = r"[\s\pZ\x{0B}\x{85}]+"
"""What Unicode calls white space, as importers do."""


@dataclass(frozen=True)
class Cast:
    """One column: the typed value and, where values may fail, the source as text (null where there is no value)."""

    column: Column
    value: str
    source: str | None

    @property
    def failed(self) -> str:
        return f"({self.source} IS NOT NULL AND ({self.value}) IS NULL)"


def casts(stream: DeliveredStream, header: pl.Schema) -> list[Cast]:
    """How each declared column is read from a file with this header; absent ones are null."""
    return [_cast(c, header[c.name]) if c.name in header else Cast(c, f"NULL::{SQL_TYPES[c.kind]}", None) for c in stream.columns]


def uncast_json(columns: list[Cast]) -> str:
    """An expression: JSON of the texts that could not be read, by column; null where all could."""
    risky = [c for c in columns if c.source is not None]
    if not risky:
        return "NULL::JSON"
    members = ", ".join(f"{literal(c.column.name)}, CASE WHEN {c.failed} THEN {c.source} END" for c in risky)
    return f"CASE WHEN {' OR '.join(c.failed for c in risky)} THEN json_object({members}) END"


def extra_json(stream: DeliveredStream, header: pl.Schema) -> str:
    """An expression: JSON of the columns that the stream does not declare; null where there are none."""
    added = [name for name in header if name not in stream.column_names]
    if not added:
        return "NULL::JSON"
    return "json_object(" + ", ".join(f"{literal(name)}, {quote(name)}" for name in added) + ")"


def _cast(column: Column, dtype: pl.DataType) -> Cast:
    name, sql_type = quote(column.name), SQL_TYPES[column.kind]
    if dtype == pl.Null:
        return Cast(column, f"NULL::{sql_type}", None)
    if dtype == pl.String or isinstance(dtype, (pl.Categorical, pl.Enum)):
        return _from_text(column, name)
    if dtype.is_float():
        present = f"CASE WHEN NOT isnan({name}) THEN {name} END"
        whole = f"CASE WHEN isfinite({name}) AND {name} = trunc({name}) THEN try_cast({name} AS BIGINT) END"
        if column.kind is Kind.STRING:  # ids that passed through a float column: 13313.0 is 13313
            return Cast(column, f"coalesce(({whole})::VARCHAR, ({present})::VARCHAR)", None)
        return Cast(column, whole, f"({present})::VARCHAR")
    if dtype.is_decimal() and column.kind is Kind.INTEGER:
        return Cast(column, f"CASE WHEN {name} = trunc({name}) THEN try_cast({name} AS BIGINT) END", f"{name}::VARCHAR")
    if column.kind is Kind.BOOLEAN and dtype != pl.Boolean:
        return Cast(column, f"CASE {name} WHEN 0 THEN false WHEN 1 THEN true END", f"{name}::VARCHAR")
    if column.kind is Kind.INTEGER and dtype in (pl.UInt64, pl.Int128):
        return Cast(column, f"try_cast({name} AS BIGINT)", f"{name}::VARCHAR")
    if column.kind is Kind.TIMESTAMP:
        return Cast(column, _bounded(f"try_cast({name} AS TIMESTAMP)"), f"{name}::VARCHAR")
    return Cast(column, f"{name}::{sql_type}", None)


def _bounded(at: str) -> str:
    """Without the instants that no calendar of years 1 to 9999 has: what reads the tables in Python cannot hold them."""
    return f"CASE WHEN {at} BETWEEN {literal(FIRST_INSTANT)} AND {literal(LAST_INSTANT)} THEN {at} END"


def _from_text(column: Column, name: str) -> Cast:
    trimmed = f"nullif(regexp_replace({name}::VARCHAR, '^{_BLANKS}|{_BLANKS}$', '', 'g'), '')"
    if column.kind is Kind.STRING:
        return Cast(column, f"{name}::VARCHAR", None)
    if column.kind is Kind.INTEGER:
        whole = f"regexp_extract({trimmed}, '^([+-]?[0-9]+)([.]0*)?$', 1)"
        value = f"try_cast({whole} AS BIGINT)"
    elif column.kind is Kind.TIMESTAMP:
        value = _bounded(f"try_cast({trimmed} AS TIMESTAMPTZ)::TIMESTAMP")
    else:
        true, false = (literals(words) for words in (TRUE_WORDS, FALSE_WORDS))
        value = f"CASE WHEN lower({trimmed}) IN ({true}) THEN true WHEN lower({trimmed}) IN ({false}) THEN false END"
    return Cast(column, value, trimmed)
