"""One table of texts as a stream's delivered columns."""

from __future__ import annotations

from collections.abc import Mapping as Tables
from dataclasses import dataclass, field

import polars as pl

from returnml.contracts.columns import OPEN_FLAG, RETURNS, Column, DeliveredStream, Kind
from returnml.contracts.delivered import name_failures
from returnml.contracts.rules import EARLIEST, LATEST
from returnml.sources.exports.csv_rows import BadRow
from returnml.sources.exports.table_reading import FILE, ROW
from returnml.sources.import_error import SourceError
from returnml.sources.mapped.chosen_rows import ChosenRows, choose_rows, tested
from returnml.sources.mapped.mapping import EVERYTHING, Mapping, TableMapping
from returnml.sources.mapped.mapping_words import ROW_NUMBER, Value
from returnml.sources.mapped.refusals import BadRows, Refusals
from returnml.sources.mapped.second_readings import SecondReading, second_readings
from returnml.sources.mapped.values import (
    currency_digits,
    to_boolean,
    to_instant,
    to_integer,
    to_minor_units,
    to_quotient,
)

GUEST = "guest-"
ORDER = "__order"
"""Column of returns that are to be linked: the order that they name."""


@dataclass(frozen=True)
class MappedTable:
    """A stream's delivered columns, with ``FILE`` and ``ROW``, and what became of the table.

    Attributes:
        chosen: the table's rows, and which were left out.
        refusals: rows that were set aside.
        guests: rows without a customer that got one of their own.
        carried: columns of the file that are carried along; ``left_out``: those that are not used.
        second_readings: what could be read in another way.
    """

    rows: pl.DataFrame
    chosen: ChosenRows
    refusals: Refusals
    guests: int
    carried: tuple[str, ...]
    left_out: tuple[str, ...]
    second_readings: tuple[SecondReading, ...] = field(default=())


def map_table(
    raw: pl.DataFrame,
    stream: DeliveredStream,
    table: TableMapping,
    mapping: Mapping,
    *,
    tables: Tables[str, pl.DataFrame] | None = None,
    bad_rows: BadRows = "refuse",
    unplaced: dict[str, list[BadRow]] | None = None,
) -> MappedTable:
    """Map a table of texts to a stream's delivered columns.

    Args:
        raw: with ``FILE`` and ``ROW``.
        tables: what lookups may name.
        bad_rows: what becomes of rows with values that cannot be read.
        unplaced: rows that have no place in the table at all.

    Raises:
        SourceError: naming the file's column (and row) and the rule.
    """
    file = _file_of(raw, stream)
    missing_values = {**(tables or {}), "": raw}
    cleaned = {name: _without_null_values(frame, mapping) for name, frame in missing_values.items()}
    raw = cleaned.pop("")
    _check_columns(raw, table, file)
    refusals = Refusals(stream.name)
    refusals.add_unplaced(unplaced or {})
    chosen = choose_rows(raw, table, mapping, cleaned, refusals)
    rows = chosen.rows
    _check_looked_up(rows, table, file)
    carried = _carried(raw, table, file)
    _check_carried(carried, stream, file)
    columns: list[pl.Series] = []
    others: list[SecondReading] = []
    for column in stream.columns:
        value = table.value(column.name)
        if column.name in table.constants or (value is not None and _is_there(value, rows)):
            series, found = _read_column(rows, column, table, mapping, stream, refusals)
            columns.append(series)
            others += found
        elif column.is_required:
            columns.append(pl.Series(column.name, [None] * rows.height, pl.String))
    mapped = pl.DataFrame([*columns, *(rows[name] for name in (*carried, FILE, ROW))])
    if table.link is not None:
        mapped = mapped.with_columns(rows[table.link.order_id].alias(ORDER))
    mapped, guests = _with_guests(mapped, table, stream)
    stays = refusals.settle(mapped, bad_rows)
    used = {*table.used, *carried, FILE, ROW}
    left_out = tuple(name for name in raw.columns if name not in used)
    return MappedTable(mapped.filter(stays), chosen, refusals, guests, carried, left_out, tuple(others))


def _file_of(raw: pl.DataFrame, stream: DeliveredStream) -> str:
    return str(raw[FILE][0]) if raw.height else stream.name


def _without_null_values(frame: pl.DataFrame, mapping: Mapping) -> pl.DataFrame:
    texts = pl.col(pl.String)
    return frame.with_columns(pl.when(~texts.is_in(mapping.null_values)).then(texts).name.keep())


def _check_columns(raw: pl.DataFrame, table: TableMapping, file: str) -> None:
    joined = tuple(f"{lookup.table}." for lookup in table.lookup)
    for name in sorted(table.used):
        if name not in raw.columns and name not in table.may_be_absent and not (joined and name.startswith(joined)):
            there = ", ".join(n for n in raw.columns if n not in (FILE, ROW))
            raise SourceError(file, "required_column", f"the mapping names it, the file has {there}", column=name)


def _check_looked_up(rows: pl.DataFrame, table: TableMapping, file: str) -> None:
    for name in sorted(table.used):
        if name not in rows.columns and name not in table.may_be_absent:
            raise SourceError(file, "required_column", "the mapping names it, the table that is looked up lacks it", column=name)


def _carried(raw: pl.DataFrame, table: TableMapping, file: str) -> tuple[str, ...]:
    if EVERYTHING in table.carry:
        return tuple(name for name in raw.columns if name not in table.used and name not in (FILE, ROW))
    for name in table.carry:
        if name not in raw.columns and name not in table.may_be_absent:
            there = ", ".join(n for n in raw.columns if n not in (FILE, ROW))
            raise SourceError(file, "required_column", f"the mapping carries it along, the file has {there}", column=name)
    return tuple(name for name in table.carry if name in raw.columns)


def _check_carried(carried: tuple[str, ...], stream: DeliveredStream, file: str) -> None:
    """What the contract of landing files says about names is said here already: each delivery would be refused as a whole."""
    contract = {name.lower() for name in (*stream.column_names, OPEN_FLAG)}
    for name in carried:
        if name.lower() in contract:
            raise SourceError(file, "unmapped_column", "is named like a contract column: map it or leave it out", column=name)
    for failure in name_failures(carried):
        raise SourceError(file, failure.rule, f"{failure.message}: leave it out", column=failure.column)


def _is_there(value: Value, rows: pl.DataFrame) -> bool:
    return any(name == ROW_NUMBER or name in rows.columns for name in (*value.parts, *value.first_of))


def _text(rows: pl.DataFrame, column: Column, table: TableMapping) -> pl.Expr:
    """The texts behind a contract column, one a row."""
    if column.name in table.constants:
        return pl.lit(_constant(table.constants[column.name]), pl.String)
    value = table.value(column.name)
    if value is None:
        return pl.lit(None, pl.String)
    if value.first_of:
        text = pl.coalesce(name for name in value.first_of if name in rows.columns)
    else:
        names = [name for name in value.parts if name == ROW_NUMBER or name in rows.columns]
        joined_by = value.join if value.join is not None else " " if column.kind is Kind.TIMESTAMP else "-"
        text = _joined(names, joined_by) if names else pl.lit(None, pl.String)
    if value.words:
        text = text.replace(value.words)
    if column.name == "customer_id" and table.guest_values:
        text = pl.when(~text.is_in(table.guest_values)).then(text)
    if value.otherwise is not None:
        text = text.fill_null(_constant(value.otherwise))
    return text


def _read_column(
    rows: pl.DataFrame, column: Column, table: TableMapping, mapping: Mapping, stream: DeliveredStream, refusals: Refusals
) -> tuple[pl.Series, list[SecondReading]]:
    [currency] = (_text(rows, c, table) for c in stream.columns if c.name == "currency")
    value = table.value(column.name) or Value()
    read = rows.with_columns(__text=_text(rows, column, table), __currency=currency.cast(pl.String))
    typed = read.select(value=_typed(column, value, table, mapping))["value"]
    text = read["__text"]
    at = "-".join(value.sources) or column.name
    bad = typed.is_null() & text.is_not_null()
    if value.tests:
        bad = read.with_columns(__bad=tested(value, pl.col("__text"), mapping)[1].fill_null(False))["__bad"]
    if column.name == stream.time_column:
        bad = typed.is_null()
    if bad.any():
        shown = pl.DataFrame({"text": text}).select(
            pl.when(pl.col("text").is_null())
            .then(pl.lit("there is no value"))
            .otherwise(pl.lit("cannot read '") + pl.col("text") + pl.lit("'"))
            + pl.lit(f" as {column.name}")
        )
        refusals.add(rows, bad, f"{column.kind}_value", at, shown.to_series())
    if column.kind is Kind.TIMESTAMP:
        _refuse_implausible(rows, typed, text, at, refusals)
    found = second_readings(column, text, mapping, read["__currency"], rows[ROW])
    return typed.alias(column.name), list(found)


def _refuse_implausible(rows: pl.DataFrame, value: pl.Series, text: pl.Series, column: str, refusals: Refusals) -> None:
    """Every day from the first that was landed on is a partition: one mistyped year would make thousands of empty ones."""
    for rule, bad, message in (
        ("time_too_early", value < EARLIEST, f"is before {EARLIEST:%Y}"),
        ("time_in_future", value >= LATEST, f"is not before {LATEST:%Y}"),
    ):
        told = (
            pl.DataFrame({"text": text}).select(pl.lit("'") + pl.col("text").fill_null("") + pl.lit(f"' {message}")).to_series()
        )
        refusals.add(rows, bad.fill_null(False), rule, column, told)


def _typed(column: Column, value: Value, table: TableMapping, mapping: Mapping) -> pl.Expr:
    text = pl.col("__text")
    if column.kind is Kind.TIMESTAMP:
        return to_instant(text, mapping, value.datetime_format or table.datetime_format)
    if column.kind is Kind.BOOLEAN:
        return tested(value, text, mapping)[0] if value.tests else to_boolean(text, mapping)
    if column.kind is not Kind.INTEGER:
        return text
    is_money = column.name.endswith("_cents")
    if not value.is_number:
        return to_minor_units(text, mapping, pl.col("__currency")) if is_money else to_integer(text, mapping)
    digits = currency_digits(mapping, pl.col("__currency")) if is_money else pl.lit(0, pl.Int64)
    divisor, factor = (_operand(operand, mapping) for operand in (value.divided_by, value.times))
    number = to_quotient(text, divisor, factor, mapping, digits, must_be_whole=not is_money)
    if value.absolute:
        number = number.abs()
    return -number if value.negated else number


def _operand(operand: str | int | None, mapping: Mapping) -> pl.Expr:
    if isinstance(operand, str):
        return to_integer(pl.col(operand), mapping)
    return pl.lit(1 if operand is None else operand, pl.Int64)


def _joined(names: list[str], joined_by: str) -> pl.Expr:
    """Null where one of the columns has no value."""
    if ROW_NUMBER in names:
        keys = [name for name in names if name != ROW_NUMBER]
        rank = pl.int_range(1, pl.len() + 1).over(keys).cast(pl.String).str.zfill(4)
        return pl.concat_str(*(pl.col(name) for name in keys), rank, separator=joined_by)
    return pl.concat_str(*(pl.col(name) for name in names), separator=joined_by)


def _constant(value: str | int | bool) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _with_guests(mapped: pl.DataFrame, table: TableMapping, stream: DeliveredStream) -> tuple[pl.DataFrame, int]:
    """An order without a customer gets one of its own; a return takes that of its line."""
    if table.guests is None or stream is RETURNS:
        return mapped, 0
    customer = pl.col("customer_id") if "customer_id" in mapped.columns else pl.lit(None, pl.String)
    is_guest = mapped.select(g=customer.is_null() | (customer.str.strip_chars() == ""))["g"]
    own = pl.lit(GUEST) + pl.col("order_id")
    return mapped.with_columns(customer_id=pl.when(pl.lit(is_guest)).then(own).otherwise(customer)), int(is_guest.sum())
