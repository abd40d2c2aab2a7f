"""Numbers, booleans and times from strings: exact values."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Decimal
from zoneinfo import ZoneInfo

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from returnml.sources.mapped.mapping import Mapping, TableMapping
from returnml.sources.mapped.values import to_boolean, to_instant, to_integer, to_minor_units

ORDERS = TableMapping(columns={})
ENGLISH = Mapping(shop="s", orders=ORDERS)
GERMAN = Mapping(
    shop="s", orders=ORDERS, decimal=",", thousands=".", timezone="Europe/Berlin", true_values=("J",), false_values=("N",)
)


def _one(expression: pl.Expr) -> object:
    return pl.select(expression).item()


@pytest.mark.parametrize(
    ("text", "mapping", "cents"),
    [
        ("2.55", ENGLISH, 255),
        (" 7 ", ENGLISH, 700),
        ("+0.1", ENGLISH, 10),
        ("-1.005", ENGLISH, -101),
        ("1.005", ENGLISH, 101),
        ("1.0049999", ENGLISH, 100),
        ("3.", ENGLISH, 300),
        ("1,234.50", ENGLISH, None),
        ("1.234,50", GERMAN, 123_450),
        ("1.234", GERMAN, 123_400),
        ("12.34", GERMAN, None),
        ("1234,5", GERMAN, 123_450),
        ("1e3", ENGLISH, None),
        ("", ENGLISH, None),
        ("nan", ENGLISH, None),
        ("9999999999999999", ENGLISH, None),
    ],
)
def test_minor_units(text: str, mapping: Mapping, cents: int | None) -> None:
    assert _one(to_minor_units(pl.lit(text), mapping, pl.lit("EUR"))) == cents


@given(st.decimals(-(10**9), 10**9, places=4), st.integers(0, 4))
def test_minor_units_equal_decimal_arithmetic(amount: Decimal, digits: int) -> None:
    mapping = Mapping(shop="s", orders=ORDERS, minor_digits=digits)
    expected = int((amount * 10**digits).quantize(Decimal(1), ROUND_HALF_UP))
    assert _one(to_minor_units(pl.lit(format(amount, "f")), mapping, pl.lit("JPY"))) == expected


@pytest.mark.parametrize(("text", "number"), [("3", 3), ("-3", -3), ("3.00", 3), ("3.5", None), ("three", None), ("0x3", None)])
def test_integer(text: str, number: int | None) -> None:
    assert _one(to_integer(pl.lit(text), ENGLISH)) == number


@pytest.mark.parametrize(
    ("text", "mapping", "value"),
    [("Yes", ENGLISH, True), ("0", ENGLISH, False), ("maybe", ENGLISH, None), ("j", GERMAN, True), ("yes", GERMAN, None)],
)
def test_boolean(text: str, mapping: Mapping, value: bool | None) -> None:
    assert _one(to_boolean(pl.lit(text), mapping)) is value


@pytest.mark.parametrize(
    ("text", "datetime_format", "utc"),
    [
        ("2025-07-01 10:00:00", None, datetime(2025, 7, 1, 8)),
        ("2025-01-01T10:00", None, datetime(2025, 1, 1, 9)),
        ("2025-01-01", None, datetime(2024, 12, 31, 23)),
        ("2025-01-01T10:00:00.123456Z", None, datetime(2025, 1, 1, 10, 0, 0, 123456)),
        ("2025-01-01T10:00:00+05:30", None, datetime(2025, 1, 1, 4, 30)),
        ("2025-01-01 10:00-0100", None, datetime(2025, 1, 1, 11)),
        ("2025-03-01 10:00:00+01", None, datetime(2025, 3, 1, 9)),
        ("2025-03-01 10:00:00.5-03", None, datetime(2025, 3, 1, 13, 0, 0, 500000)),
        ("2025-03-01 10:00:00 UTC", None, datetime(2025, 3, 1, 10)),
        ("2025-03-01 10:00:00 +0100", None, datetime(2025, 3, 1, 9)),
        ("1740823200.25", "epoch_s", datetime(2025, 3, 1, 10, 0, 0, 250000)),
        ("-1.5", "epoch_s", datetime(1969, 12, 31, 23, 59, 58, 500000)),
        ("1740823200250.125", "epoch_ms", datetime(2025, 3, 1, 10, 0, 0, 250125)),
        ("2025-10-26 02:30:00", None, datetime(2025, 10, 26, 0, 30)),
        ("2025-03-30 02:30:00", None, None),
        ("2025-02-30 10:00:00", None, None),
        ("01.07.2025 10:00", "%d.%m.%Y %H:%M", datetime(2025, 7, 1, 8)),
        ("01.07.2025", "%d.%m.%Y", datetime(2025, 6, 30, 22)),
        ("2025-07-01 10:00:00 +0000", "%Y-%m-%d %H:%M:%S %z", datetime(2025, 7, 1, 10)),
        ("1751364000", "epoch_s", datetime(2025, 7, 1, 10)),
        ("1751364000123", "epoch_ms", datetime(2025, 7, 1, 10, 0, 0, 123000)),
        ("soon", "epoch_us", None),
        ("1751364000123", "epoch_s", None),
        ("1751364000123000", "epoch_s", None),
        ("-9223372036854775808", "epoch_ms", None),
        ("9223372036854775807", "epoch_us", None),
        ("0000-12-31", None, None),
        ("9999-12-31T23:59:59-23:00", None, None),
        ("99999-01-01", "%Y-%m-%d", None),
        ("-0044-03-15", "%Y-%m-%d", None),
        ("", None, None),
    ],
)
def test_instant(text: str, datetime_format: str | None, utc: datetime | None) -> None:
    assert _one(to_instant(pl.lit(text), GERMAN, datetime_format)) == utc


@given(st.datetimes(datetime(1990, 1, 1), datetime(2035, 1, 1)), st.sampled_from(["Europe/Berlin", "America/New_York", "UTC"]))
def test_instant_with_offset_equals_the_standard_library(local: datetime, zone: str) -> None:
    moment = local.replace(tzinfo=ZoneInfo(zone))
    expected = moment.astimezone(UTC).replace(tzinfo=None)
    assert _one(to_instant(pl.lit(moment.isoformat(timespec="microseconds")), ENGLISH, None)) == expected


@pytest.mark.parametrize(
    ("text", "currency", "minor"),
    [
        ("1500", "JPY", 1500),
        ("1500.5", "JPY", 1501),
        ("1.5", "KWD", 1500),
        ("1.5", "CLF", 15_000),
        ("1.5", "USD", 150),
        ("2", None, 200),
    ],
)
def test_minor_units_by_currency(text: str, currency: str | None, minor: int) -> None:
    assert _one(to_minor_units(pl.lit(text), ENGLISH, pl.lit(currency, pl.String))) == minor
