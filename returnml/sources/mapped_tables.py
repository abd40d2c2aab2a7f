"""Imports any shop's tables through a declared mapping.

Values that cannot be read refuse the whole import before anything is delivered, naming file, row, column and rule.
Values that can be read but make no sense (a negative quantity, no customer) pass: the contract decides about them.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Literal

import polars as pl

from returnml.clock import Clock
from returnml.contracts.columns import OPEN_FLAG, ORDERS, RETURNS, Column, DeliveredStream, Kind
from returnml.privacy.customers import CustomerIds
from returnml.settings import LabelSettings
from returnml.sources.delivery import Delivered, Progress, deliver, silent
from returnml.sources.import_error import SourceError
from returnml.sources.mapping import ROW_NUMBER, Mapping, TableMapping, has_flag, load_mapping
from returnml.sources.table_files import read_csv, read_json
from returnml.sources.values import to_boolean, to_instant, to_integer, to_minor_units

FileFormat = Literal["csv", "json"]


@dataclass(frozen=True)
class MappedImport:
    """What was delivered.

    Attributes:
        has_only_flags: the shop says per line that it was returned, and not when.
        young_flags: lines whose flag was not final when the file was written.
    """

    orders: Delivered
    returns: Delivered | None
    has_only_flags: bool
    young_flags: int


def import_mapped(
    file_format: FileFormat,
    mapping_file: Path,
    orders_file: Path,
    returns_file: Path | None,
    landing: Path,
    label: LabelSettings,
    clock: Clock,
    customers: CustomerIds,
    progress: Progress = silent,
) -> MappedImport:
    """Read, map and deliver a shop's orders and, where it has them, returns.

    Where the mapping has the ``is_returned`` flag, the label of a line is known one return window after its order:
    lines for which that was not over when the file was written are delivered with a null flag and ``OPEN_FLAG``.

    Raises:
        SourceError: naming file, row, column and rule; nothing is delivered then.
        LandingError: where an existing landing day is damaged.
    """
    mapping = load_mapping(mapping_file)
    if returns_file is not None and mapping.returns is None:
        raise SourceError(mapping_file, "unmapped_table", "the mapping has no [returns]", column="returns")
    orders = map_table(_read(file_format, orders_file, mapping), ORDERS, mapping.orders, mapping, orders_file)
    young = 0
    if has_flag(mapping):
        orders, young = _hide_young_flags(orders, mapping, mapping_file, label)
    returns = None
    if returns_file is not None and mapping.returns is not None:
        returns = map_table(_read(file_format, returns_file, mapping), RETURNS, mapping.returns, mapping, returns_file)
    covered: list[date] = [] if returns is None else orders["ordered_at"].dt.date().unique().to_list()
    source = f"import {file_format} {mapping.shop}"
    return MappedImport(
        orders=deliver(landing, ORDERS, orders, source, clock, customers, progress=progress),
        returns=None if returns is None else deliver(landing, RETURNS, returns, source, clock, customers, covered, progress),
        has_only_flags=has_flag(mapping),
        young_flags=young,
    )


def map_table(
    raw: pl.DataFrame, stream: DeliveredStream, table: TableMapping, mapping: Mapping, file: Path | str
) -> pl.DataFrame:
    """Map a table of strings to a stream's delivered columns, unmapped ones carried along as strings.

    Raises:
        SourceError: naming the file's column (and row) and the rule.
    """
    raw = raw.with_columns(pl.when(~pl.col(pl.String).is_in(mapping.null_values)).then(pl.col(pl.String)).name.keep())
    used = {name for column in stream.columns for name in table.sources(column.name)} - {ROW_NUMBER}
    for name in sorted(used - set(raw.columns)):
        if name not in table.may_be_absent:
            raise SourceError(
                file, "required_column", f"the mapping names it, the file has {', '.join(raw.columns)}", column=name
            )
    extra = [name for name in raw.columns if name not in used and name not in table.ignore]
    for name in extra:
        if name in stream.column_names:
            raise SourceError(file, "unmapped_column", "is named like a contract column: map or ignore it", column=name)
    columns = [_map_column(raw, column, table, mapping, stream, file) for column in stream.columns]
    return pl.DataFrame([column for column in columns if column is not None] + [raw[name] for name in extra])


def _map_column(
    raw: pl.DataFrame, column: Column, table: TableMapping, mapping: Mapping, stream: DeliveredStream, file: Path | str
) -> pl.Series | None:
    if column.name in table.constants:
        text = pl.lit(_constant(table.constants[column.name]), pl.String)
        names = []
    else:
        names = [name for name in table.sources(column.name) if name == ROW_NUMBER or name in raw.columns]
        if not names:
            return pl.Series(column.name, [None] * raw.height, pl.String) if column.is_required else None
        text = _joined(names)
    read = raw.select(text=text, value=_typed(text, column, mapping, table.datetime_format))
    text_column, value = read["text"], read["value"]
    if len(value) != raw.height:
        text_column, value = text_column.new_from_index(0, raw.height), value.new_from_index(0, raw.height)
    bad = value.is_null() & text_column.is_not_null()
    if column.name == stream.time_column:
        bad = value.is_null()
    if bad.any():
        row = int(bad.arg_max() or 0)
        got = text_column[row]
        shown = "there is no value" if got is None else f"cannot read {got!r}"
        raise SourceError(
            file, f"{column.kind}_value", f"{shown} as {column.name}", row=row + 1, column="-".join(names) or column.name
        )
    return value.alias(column.name)


def _typed(text: pl.Expr, column: Column, mapping: Mapping, datetime_format: str | None) -> pl.Expr:
    if column.kind is Kind.TIMESTAMP:
        return to_instant(text, mapping, datetime_format)
    if column.kind is Kind.BOOLEAN:
        return to_boolean(text, mapping)
    if column.kind is Kind.INTEGER:
        return to_minor_units(text, mapping) if column.name.endswith("_cents") else to_integer(text, mapping)
    return text


def _joined(names: list[str]) -> pl.Expr:
    """The columns joined by ``-``; null where one is. ``#`` is padded, so that ids sort like the file."""
    columns = [name for name in names if name != ROW_NUMBER]
    parts: list[pl.Expr] = [pl.col(name) for name in columns]
    if ROW_NUMBER in names:
        parts.append(pl.int_range(1, pl.len() + 1).over(columns).cast(pl.String).str.zfill(4))
    return pl.concat_str(parts, separator="-") if len(parts) > 1 else parts[0]


def _constant(value: str | int | bool) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _read(file_format: FileFormat, file: Path, mapping: Mapping) -> pl.DataFrame:
    if file_format == "csv":
        return read_csv(file, mapping.separator, mapping.encoding)
    return read_json(file, mapping.decimal, mapping.encoding)


def _hide_young_flags(
    orders: pl.DataFrame, mapping: Mapping, mapping_file: Path, label: LabelSettings
) -> tuple[pl.DataFrame, int]:
    exported = pl.select(to_instant(pl.lit(mapping.exported_at), mapping, None))[0, 0]
    if exported is None:
        raise SourceError(mapping_file, "mapping_field", f"cannot read {mapping.exported_at!r} as a time", column="exported_at")
    is_final = pl.col("ordered_at") + pl.duration(days=label.window_days) <= exported
    hidden = orders.filter(~is_final & pl.col("is_returned").is_not_null()).height
    return orders.with_columns(pl.when(is_final).then("is_returned").alias("is_returned"), (~is_final).alias(OPEN_FLAG)), hidden
