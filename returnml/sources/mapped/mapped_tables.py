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
from returnml.contracts.delivered import name_failures
from returnml.contracts.rules import EARLIEST, LATEST
from returnml.privacy.customers import CustomerIds
from returnml.settings import LabelSettings
from returnml.sources.delivery import Delivered, DeliveryRefused, Words, deliver
from returnml.sources.delivery_plan import Draft
from returnml.sources.import_error import SourceError
from returnml.sources.landing_writer import Progress, silent
from returnml.sources.mapped.flags import settle_flags
from returnml.sources.mapped.mapping import ROW_NUMBER, Mapping, TableMapping, has_flag, load_mapping
from returnml.sources.mapped.second_readings import SecondReading, second_readings
from returnml.sources.mapped.values import to_boolean, to_instant, to_integer, to_minor_units
from returnml.sources.plausible_days import plausible_days
from returnml.sources.replacement import parse_period
from returnml.sources.table_files import read_csv, read_json

FileFormat = Literal["csv", "json"]
NO_OUTCOMES = (
    "no file of returns and no flag: this import says nothing about what came back. Until returns are delivered, as a file or as "
    "events, nothing is learnt from its lines"
)


@dataclass(frozen=True)
class MappedImport:
    """What was delivered.

    Attributes:
        has_only_flags: the shop says per line that it was returned, and not when.
        young_flags: lines whose flag was not final when the file was written.
        blank_flags: lines whose flag was final and blank, and was read as the mapping's ``blank_flag`` says.
        warnings: what a person should know: values that could be read in another way, outcomes that nobody tells.
    """

    orders: Delivered
    returns: Delivered | None
    has_only_flags: bool
    young_flags: int
    blank_flags: int
    warnings: tuple[str, ...]


def import_mapped(
    file_format: FileFormat,
    mapping_file: Path,
    orders_file: Path,
    returns_file: Path | None,
    landing: Path,
    label: LabelSettings,
    clock: Clock,
    customers: CustomerIds,
    timezone: str = "UTC",
    *,
    replaced: str | None = None,
    words: Words = Words(),  # noqa: B008
    go_live_us: int | None = None,
    progress: Progress = silent,
) -> MappedImport:
    """Read, map and deliver a shop's orders and, where it has them, returns.

    Where the mapping has the ``is_returned`` flag, the label of a line is known one return window after its order:
    lines for which that was not over when the file was written are delivered with a null flag and ``OPEN_FLAG``.

    Args:
        timezone: the shop's, where the mapping has none of its own.
        replaced: the period of local days that the files are all there is of (``replacement.parse_period``); None appends.
        words, go_live_us: see ``delivery.deliver``.

    Raises:
        SourceError: naming file, row, column and rule.
        DeliveryRefused, EqualRowsAsked, LandingError: see ``delivery.deliver``; in all cases nothing is delivered.
    """
    mapping = load_mapping(mapping_file, timezone)
    try:
        period = None if replaced is None else parse_period(replaced, mapping.timezone)
    except ValueError as error:
        raise DeliveryRefused(str(error)) from error
    if returns_file is not None and mapping.returns is None:
        raise SourceError(mapping_file, "unmapped_table", "the mapping has no [returns]", column="returns")
    mapped = map_table(_read(file_format, orders_file, mapping), ORDERS, mapping.orders, mapping, orders_file)
    orders, warnings, young, blank = mapped.rows, _shown(ORDERS, mapped), 0, 0
    if has_flag(mapping):
        settled = settle_flags(orders, mapping, mapping_file, orders_file, label, clock.now_us())
        orders, young, blank = settled.orders, settled.young, settled.blank
    returns = None
    if returns_file is not None and mapping.returns is not None:
        mapped = map_table(_read(file_format, returns_file, mapping), RETURNS, mapping.returns, mapping, returns_file)
        returns = mapped.rows
        warnings += _shown(RETURNS, mapped)
    elif not has_flag(mapping):
        warnings.append(NO_OUTCOMES)
    warnings += _far_rows(ORDERS, orders) + ([] if returns is None else _far_rows(RETURNS, returns))
    covered: list[date] = [] if returns is None else orders["ordered_at"].dt.date().unique().to_list()
    drafts = [Draft(ORDERS, orders, _has_own_ids(ORDERS, mapping.orders), period)]
    if returns is not None and mapping.returns is not None:
        drafts.append(Draft(RETURNS, returns, _has_own_ids(RETURNS, mapping.returns), period, covered))
    source = f"import {file_format} {mapping.shop}"
    done = deliver(landing, drafts, source, clock, customers, go_live_us=go_live_us, words=words, progress=progress)
    return MappedImport(
        orders=done[0],
        returns=done[1] if len(done) > 1 else None,
        has_only_flags=has_flag(mapping),
        young_flags=young,
        blank_flags=blank,
        warnings=tuple(warnings),
    )


@dataclass(frozen=True)
class MappedTable:
    """A stream's delivered columns, and what of them could be read in another way."""

    rows: pl.DataFrame
    second_readings: tuple[SecondReading, ...]


def map_table(raw: pl.DataFrame, stream: DeliveredStream, table: TableMapping, mapping: Mapping, file: Path | str) -> MappedTable:
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
    _check_carried(extra, stream, file)
    columns: list[pl.Series] = []
    others: list[SecondReading] = []
    for column in stream.columns:
        names, text = _text(raw, column, table)
        if text is None:
            columns += [pl.Series(column.name, [None] * raw.height, pl.String)] if column.is_required else []
            continue
        value, found = _read_column(raw, column, names, text, table, mapping, stream, file)
        columns.append(value)
        others += found
    return MappedTable(pl.DataFrame(columns + [raw[name] for name in extra]), tuple(others))


def _check_carried(extra: list[str], stream: DeliveredStream, file: Path | str) -> None:
    """What the contract of landing files says about names is said here already: each delivery would be refused as a whole."""
    contract = {name.lower() for name in (*stream.column_names, OPEN_FLAG)}
    for name in extra:
        if name.lower() in contract:
            raise SourceError(file, "unmapped_column", "is named like a contract column: map or ignore it", column=name)
    for failure in name_failures(extra):
        raise SourceError(file, failure.rule, f"{failure.message}: ignore it", column=failure.column)


def _text(raw: pl.DataFrame, column: Column, table: TableMapping) -> tuple[list[str], pl.Expr | None]:
    """The file's columns behind a contract column, and its texts, one a row; None where the file has none."""
    if column.name in table.constants:
        return [], pl.lit(_constant(table.constants[column.name]), pl.String)
    names = [name for name in table.sources(column.name) if name == ROW_NUMBER or name in raw.columns]
    return names, _joined(names) if names else None


def _read_column(
    raw: pl.DataFrame,
    column: Column,
    names: list[str],
    text: pl.Expr,
    table: TableMapping,
    mapping: Mapping,
    stream: DeliveredStream,
    file: Path | str,
) -> tuple[pl.Series, list[SecondReading]]:
    [currency] = (_text(raw, c, table)[1] for c in stream.columns if c.name == "currency")
    read = raw.with_columns(text=text, currency=currency).select("text", "currency")
    typed = _typed(pl.col("text"), column, mapping, table.datetime_format)
    text_column, value = read["text"], read.select(value=typed)["value"]
    at = "-".join(names) or column.name
    bad = value.is_null() & text_column.is_not_null()
    if column.name == stream.time_column:
        bad = value.is_null()
    if bad.any():
        row, others = _first_and_others(bad)
        got = text_column[row]
        shown = "there is no value" if got is None else f"cannot read {got!r}"
        raise SourceError(file, f"{column.kind}_value", f"{shown} as {column.name}{others}", row=row + 1, column=at)
    if column.kind is Kind.TIMESTAMP:
        _check_plausible(value, text_column, file, at)
    return value.alias(column.name), list(second_readings(column, text_column, mapping, read["currency"]))


def _check_plausible(value: pl.Series, text: pl.Series, file: Path | str, column: str) -> None:
    """Every day from the first that was landed on is a partition: one mistyped year would make thousands of empty ones."""
    for rule, bad, message in (
        ("time_too_early", value < EARLIEST, f"is before {EARLIEST:%Y}"),
        ("time_in_future", value >= LATEST, f"is not before {LATEST:%Y}"),
    ):
        if bad.any():
            row, others = _first_and_others(bad)
            raise SourceError(file, rule, f"{text[row]!r} {message}{others}", row=row + 1, column=column)


def _first_and_others(bad: pl.Series) -> tuple[int, str]:
    others = int(bad.sum()) - 1
    return int(bad.arg_max() or 0), f" (and {others:,} more rows)" if others else ""


def _has_own_ids(stream: DeliveredStream, table: TableMapping) -> bool:
    return ROW_NUMBER not in table.sources(stream.id_column)


def _typed(text: pl.Expr, column: Column, mapping: Mapping, datetime_format: str | None) -> pl.Expr:
    if column.kind is Kind.TIMESTAMP:
        return to_instant(text, mapping, datetime_format)
    if column.kind is Kind.BOOLEAN:
        return to_boolean(text, mapping)
    if column.kind is Kind.INTEGER:
        return to_minor_units(text, mapping, pl.col("currency")) if column.name.endswith("_cents") else to_integer(text, mapping)
    return text


def _far_rows(stream: DeliveredStream, rows: pl.DataFrame) -> list[str]:
    day = rows[stream.time_column].dt.date()
    _, far = plausible_days(day.unique().to_list())
    is_far = day.is_in(far)
    if not far:
        return []
    row = int(is_far.arg_max() or 0)
    which = f"{int(is_far.sum()):,} rows lie more than a year away from the others, first {day[row]} in row {row + 1}"
    return [f"{stream.name}.{stream.time_column}: {which}: runs leave their days out unless the setting first_day takes them in"]


def _shown(stream: DeliveredStream, mapped: MappedTable) -> list[str]:
    return [f"{stream.name}.{reading}" for reading in mapped.second_readings]


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
