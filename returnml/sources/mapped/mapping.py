"""The declared mapping of a shop's own tables (``mapping.toml``) to the delivered streams; ``docs/sources.md`` explains it."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from returnml.contracts.columns import FALSE_WORDS, ORDERS, RETURNS, TRUE_WORDS, DeliveredStream
from returnml.sources.import_error import SourceError

ROW_NUMBER = "#"
EPOCH_UNITS = {"epoch_s": 1_000_000, "epoch_ms": 1_000, "epoch_us": 1}


class TableMapping(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How one table becomes one stream.

    Attributes:
        columns: contract column -> column of the file, or several, joined by ``-``; ``#`` stands for the row's rank among
            the rows that agree in the columns before it, in file order.
        constants: contract column -> the value of every row.
        may_be_absent: columns of the file that not every file has (only for contract columns that may be null).
        ignore: columns of the file that are not carried along.
        datetime_format: of times, as in ``strptime``, or ``epoch_s``, ``epoch_ms``, ``epoch_us``; default ISO 8601.
    """

    columns: dict[str, str | list[str]]
    constants: dict[str, str | int | bool] = {}
    may_be_absent: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    datetime_format: str | None = None

    def sources(self, name: str) -> list[str]:
        """The file's columns behind a contract column, ``#`` included; none where it is not mapped."""
        columns = self.columns.get(name, [])
        return [columns] if isinstance(columns, str) else columns


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


def load_mapping(path: Path, timezone: str = "UTC") -> Mapping:
    """Read and check a mapping.

    Args:
        timezone: the shop's, where the mapping has none of its own.

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
        mapping = msgspec.convert({"timezone": timezone} | document, Mapping)
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
        message = "needed with is_returned: a line's flag counts once its return window was over when the file was written"
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
    for column in stream.columns:
        field = f"{stream.name}.columns.{column.name}"
        sources = table.sources(column.name)
        if sources and column.name in table.constants:
            raise SourceError(path, "mapped_twice", "is a column and a constant", column=field)
        if not column.is_nullable and not sources and column.name not in table.constants:
            raise SourceError(path, "unmapped_column", "the contract needs it: map it or give a constant", column=field)
        if not column.is_nullable and set(sources) & set(table.may_be_absent):
            raise SourceError(path, "unmapped_column", "the contract needs it: its column may not be absent", column=field)
        if len(sources) > 1 and column.kind != "string":
            raise SourceError(path, "joined_column", f"a {column.kind} cannot be joined from several columns", column=field)
        if ROW_NUMBER in sources[:-1] or sources == [ROW_NUMBER]:
            raise SourceError(path, "joined_column", f"{ROW_NUMBER!r} stands last, after a column", column=field)
