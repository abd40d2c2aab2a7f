"""The declared mapping of a shop's own tables (``mapping.toml``) to the delivered streams; ``docs/sources.md`` explains it."""

from __future__ import annotations

import tomllib
from datetime import date, datetime
from pathlib import Path
from typing import Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from returnml.contracts.columns import FALSE_WORDS, ORDERS, RETURNS, TRUE_WORDS, Column, DeliveredStream, Kind
from returnml.sources.import_error import SourceError
from returnml.sources.mapped.mapping_words import ROW_NUMBER, Condition, FillDown, Link, Lookup, Tested, Value

EPOCH_UNITS = {"epoch_s": 1_000_000, "epoch_ms": 1_000, "epoch_us": 1}
EVERYTHING = "*"
OF_LINES = ("quantity", "refund_cents", "currency")
"""Columns of returns that the lines give where a return is of a whole order."""


class TableMapping(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How one table becomes one stream.

    Attributes:
        columns: contract column -> column of the file, or several, joined by ``-``, or how its values are made.
        constants: contract column -> the value of every row.
        source: ``from``: the table that it is made of, where that is another one's (``orders`` for returns in the same file).
        unnest: arrays of a JSON document that rows are made of, from the outside in.
        sheet: of an Excel file; by default its first.
        query: what ``import database`` asks for the rows; it may name ``:mark``.
        mark: column of the answer whose greatest value is the next ``:mark``; ``mark_start``: the first one.
        fill_down: columns that only the first row of a group has.
        lookup: other tables whose columns are joined.
        where: what a row must fulfil to be one of the table's.
        link: how returns that do not name their line find it.
        guests: ``by_order``: an order without a customer gets one of its own, so that nobody else's history is seen or made.
        guest_values: texts of the customer's column that mean that there is none.
        may_be_absent: columns of the file that not every file has (only for contract columns that may be null).
        carry: columns of the file that are carried along as text; ``*``: all that are not used.
        datetime_format: of times, as in ``strptime``, or ``epoch_s``, ``epoch_ms``, ``epoch_us``; default ISO 8601.
    """

    columns: dict[str, str | list[str] | Value]
    constants: dict[str, str | int | bool] = {}
    source: str | None = msgspec.field(name="from", default=None)
    unnest: tuple[str, ...] = ()
    sheet: str | None = None
    query: str | None = None
    mark: str | None = None
    mark_start: Any = None
    fill_down: FillDown | None = None
    lookup: tuple[Lookup, ...] = ()
    where: tuple[Condition, ...] = ()
    link: Link | None = None
    guests: Literal["by_order"] | None = None
    guest_values: tuple[str, ...] = ()
    may_be_absent: tuple[str, ...] = ()
    carry: tuple[str, ...] = ()
    datetime_format: str | None = None

    def value(self, name: str) -> Value | None:
        """How a contract column is made; None where no column of the file is behind it."""
        declared = self.columns.get(name)
        return declared if declared is None or isinstance(declared, Value) else Value(column=declared)

    def sources(self, name: str) -> list[str]:
        """The file's columns behind a contract column, ``#`` included; none where it is not mapped."""
        value = self.value(name)
        return [] if value is None else value.sources

    @property
    def used(self) -> list[str]:
        """All columns that are needed, those of lookups (``table.column``) among them."""
        names = [name for column in self.columns for name in self.sources(column)]
        names += [condition.column for condition in self.where]
        names += [name for lookup in self.lookup for name in lookup.on]
        if self.fill_down is not None:
            names += [*self.fill_down.by, *self.fill_down.columns]
        if self.link is not None:
            names.append(self.link.order_id)
        if self.mark is not None:
            names.append(self.mark)
        return list(dict.fromkeys(name for name in names if name != ROW_NUMBER))


class Mapping(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How a shop's files are to be read.

    Attributes:
        shop: name, recorded as the source of what is delivered.
        timezone: IANA name; of times that carry no offset; default: the setting ``shop.timezone``.
        minor_digits: digits by which amounts are shifted to minor units; 0 where they are in minor units; default: those of
            each row's currency.
        decimal, thousands: separators in numbers; no thousands separator by default.
        blank_flag: what it means that ``is_returned`` is blank once a line's return window was over: ``kept``, or ``unknown``
            (such a line gets no label); by default files with such lines are refused.
        exported_at: when the files were written (ISO 8601; without an offset in ``timezone``); needed for ``is_returned``.
    """

    shop: str
    orders: TableMapping
    returns: TableMapping | None = None
    timezone: str = "UTC"
    minor_digits: int | None = None
    decimal: str = "."
    thousands: str = ""
    separator: str = ","
    encoding: str = "utf-8-sig"
    null_values: tuple[str, ...] = ("",)
    true_values: tuple[str, ...] = TRUE_WORDS
    false_values: tuple[str, ...] = FALSE_WORDS
    blank_flag: Literal["kept", "unknown"] | None = None
    exported_at: str | None = None


def load_mapping(path: Path, timezone: str = "UTC", exported_at: str | None = None) -> Mapping:
    """Read and check a mapping.

    Args:
        timezone: the shop's, where the mapping has none of its own.
        exported_at: overrules the mapping's.

    Raises:
        SourceError: naming the file, the field and the rule.
    """
    try:
        document = tomllib.loads(path.read_text())
    except OSError as error:
        raise SourceError(path, "unreadable_file", error.strerror or str(error)) from error
    except tomllib.TOMLDecodeError as error:
        raise SourceError(path, "mapping_syntax", str(error)) from error
    try:
        said = {} if exported_at is None else {"exported_at": exported_at}
        mapping = msgspec.convert({"timezone": timezone} | document | said, Mapping)
    except msgspec.ValidationError as error:
        raise SourceError(path, "mapping_field", str(error)) from error
    _check_values(path, mapping)
    _check_table(path, ORDERS, mapping.orders)
    if mapping.returns is not None:
        _check_table(path, RETURNS, mapping.returns)
    if has_flag(mapping) and mapping.returns is not None:
        message = "a table of returns says more than the flag: map one of the two"
        raise SourceError(path, "flag_and_returns", message, column="orders.columns.is_returned")
    if mapping.blank_flag is not None and not has_flag(mapping):
        raise SourceError(path, "mapping_field", "says what a blank is_returned means, which is not mapped", column="blank_flag")
    if has_flag(mapping) and mapping.exported_at is None:
        message = (
            "needed with is_returned: a line's flag counts once its return window was over when the file was written; here, or "
            "with --exported-at"
        )
        raise SourceError(path, "flag_without_export_time", message, column="exported_at")
    return mapping


def has_flag(mapping: Mapping) -> bool:
    """Whether the shop only says per line that it was returned."""
    return "is_returned" in mapping.orders.columns


def _check_values(path: Path, mapping: Mapping) -> None:
    try:
        ZoneInfo(mapping.timezone)
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise SourceError(path, "mapping_field", f"{mapping.timezone!r} is no IANA time zone", column="timezone") from error
    try:
        "".encode(mapping.encoding)
    except LookupError as error:
        raise SourceError(path, "mapping_field", f"{mapping.encoding!r} is no encoding", column="encoding") from error
    if mapping.minor_digits is not None and not 0 <= mapping.minor_digits <= 4:
        raise SourceError(path, "mapping_field", f"{mapping.minor_digits}: expected 0 to 4", column="minor_digits")
    for field, lengths in (("decimal", (1,)), ("thousands", (0, 1)), ("separator", (1,))):
        value = getattr(mapping, field)
        if len(value) not in lengths or value.isdigit():
            raise SourceError(path, "mapping_field", f"{value!r}: expected one character", column=field)
    if mapping.decimal == mapping.thousands:
        raise SourceError(path, "mapping_field", "is also the decimal separator", column="thousands")


def _check_table(path: Path, stream: DeliveredStream, table: TableMapping) -> None:
    for kind, names in (("columns", table.columns), ("constants", table.constants)):
        for name in names:
            if name not in stream.column_names:
                message = f"no column of the {stream.name} contract; known are {', '.join(stream.column_names)}"
                raise SourceError(path, "unknown_column", message, column=f"{stream.name}.{kind}.{name}")
    for index, condition in enumerate(table.where):
        _check_tests(path, condition, f"{stream.name}.where[{index}]")
    if (table.mark is None) != (table.mark_start is None) or (table.mark is not None and ":mark" not in (table.query or "")):
        message = "needs mark_start, and a query that names :mark"
        raise SourceError(path, "mapping_field", message, column=f"{stream.name}.mark")
    if not isinstance(table.mark_start, (datetime, date, int, str, type(None))):
        raise SourceError(path, "mapping_field", "expected a time, a day, a number or a text", column=f"{stream.name}.mark_start")
    if table.mark is not None and ROW_NUMBER in table.sources(stream.id_column):
        message = f"rows without ids of their own ({ROW_NUMBER!r}) cannot be read in parts: one is not told from another"
        raise SourceError(path, "mapping_field", message, column=f"{stream.name}.mark")
    if table.link is not None and (stream is not RETURNS or table.sources("line_id")):
        message = "is for returns that do not name their line: leave line_id out"
        raise SourceError(path, "link", message, column=f"{stream.name}.link")
    if table.link is not None and table.link.by == "order_article" and not table.sources("article_id"):
        raise SourceError(path, "link", "needs article_id", column="returns.columns.article_id")
    for column in stream.columns:
        _check_column(path, stream, column, table)


def _check_column(path: Path, stream: DeliveredStream, column: Column, table: TableMapping) -> None:
    field = f"{stream.name}.columns.{column.name}"
    value = table.value(column.name)
    if value is not None and column.name in table.constants:
        raise SourceError(path, "mapped_twice", "is a column and a constant", column=field)
    if not column.is_nullable and value is None and column.name not in table.constants and not _is_given(column, table):
        raise SourceError(path, "unmapped_column", "the contract needs it: map it or give a constant", column=field)
    if value is None:
        return
    has_guests = column.name == "customer_id" and table.guests is not None
    if not column.is_nullable and not has_guests and set(value.parts) & set(table.may_be_absent):
        raise SourceError(path, "unmapped_column", "the contract needs it: its column may not be absent", column=field)
    if not value.parts and not value.first_of:
        raise SourceError(path, "mapping_field", "names no column of the file", column=field)
    if value.parts and value.first_of:
        raise SourceError(path, "mapping_field", "column and first_of: say one of them", column=field)
    if len(value.parts) > 1 and column.kind not in (Kind.STRING, Kind.TIMESTAMP):
        raise SourceError(path, "joined_column", f"a {column.kind} cannot be joined from several columns", column=field)
    if ROW_NUMBER in value.parts[:-1] or value.parts == [ROW_NUMBER] or ROW_NUMBER in value.first_of:
        raise SourceError(path, "joined_column", f"{ROW_NUMBER!r} stands last, after a column", column=field)
    if value.is_number and column.kind is not Kind.INTEGER:
        raise SourceError(path, "mapping_field", f"a {column.kind} is not calculated with", column=field)
    if value.tests and column.kind is not Kind.BOOLEAN:
        raise SourceError(path, "mapping_field", f"{value.tests[0]} makes a boolean, this is a {column.kind}", column=field)
    if value.tests:
        _check_tests(path, value, field)


def _is_given(column: Column, table: TableMapping) -> bool:
    return table.link is not None and table.link.by == "order" and column.name in OF_LINES


def _check_tests(path: Path, tested: Tested, field: str) -> None:
    if len(tested.tests) != 1:
        said = " and ".join(tested.tests) or "nothing"
        raise SourceError(path, "mapping_field", f"{said}: say one of is, is_not, above, below, present", column=field)
