"""Which rate holds when, and exact conversion."""

from datetime import date
from decimal import ROUND_HALF_EVEN, Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from returnml.exchange.rates import Rate, Rates
from returnml.instants import day_us

DAY_US = 86_400_000_000
MONDAY = date(2025, 3, 3)


def rate(day: date, known_at_us: int, text: str = "0.9", currency: str = "USD", is_inverse: bool = False) -> Rate:
    return Rate(currency, "EUR", day, text, is_inverse, known_at_us, "rates.csv")


def after(day: date, days: int) -> int:
    return day_us(day) + days * DAY_US


def test_the_latest_day_that_was_known_before_holds():
    first, second = rate(MONDAY, after(MONDAY, 1)), rate(date(2025, 3, 4), after(MONDAY, 2), "0.8")
    rates = Rates([second, first], 7)
    assert rates.at("USD", after(MONDAY, 1)) is None, "known before, not at, the moment"
    assert rates.at("USD", after(MONDAY, 1) + 1).rate is first
    assert rates.at("USD", after(MONDAY, 2)).rate is first
    assert rates.at("USD", after(MONDAY, 2) + 1).rate is second
    assert rates.at("GBP", after(MONDAY, 2) + 1) is None


def test_a_rate_corrected_or_delivered_later_changes_nothing_before():
    first = rate(MONDAY, after(MONDAY, 1))
    corrected, older = rate(MONDAY, after(MONDAY, 5), "0.7"), rate(date(2025, 3, 1), after(MONDAY, 6), "0.6")
    rates = Rates([first, corrected, older], 30)
    assert rates.at("USD", after(MONDAY, 5)).rate is first
    assert rates.at("USD", after(MONDAY, 5) + 1).rate is corrected
    assert rates.at("USD", after(MONDAY, 9)).rate is corrected, "an older day's is never the latest"


def test_a_rate_grows_too_old():
    rates = Rates([rate(MONDAY, after(MONDAY, 1))], 7)
    assert rates.at("USD", after(MONDAY, 8) - 1) is not None
    assert rates.at("USD", after(MONDAY, 8)) is None


@pytest.mark.parametrize(
    ("currency", "text", "is_inverse", "sent", "converted"),
    [
        ("USD", "0.5", False, 1, 0),  # ties to even
        ("USD", "0.5", False, 3, 2),
        ("USD", "0.5", False, -3, -2),
        ("USD", "2", True, 5, 2),
        ("JPY", "0.0061", False, 1000, 610),  # 1,000 yen are 6.10
        ("JPY", "163.93", True, 1000, 610),
        ("KWD", "3.05", False, 1500, 458),  # 1.500 dinars are 4.575
    ],
)
def test_minor_units_are_those_of_each_currency(currency, text, is_inverse, sent, converted):
    held = Rates([rate(MONDAY, 0, text, currency, is_inverse)], 365).at(currency, day_us(MONDAY))
    assert held.convert(sent) == converted


@given(st.integers(0, (1 << 63) - 1), st.decimals("0.000001", "30000", places=6))
def test_conversion_is_that_of_decimals(cents, quoted):
    held = Rates([rate(MONDAY, 0, str(quoted))], 365).at("USD", day_us(MONDAY))
    exact = (Decimal(cents) * quoted).quantize(Decimal(1), ROUND_HALF_EVEN) if cents * quoted < 10**20 else None
    if exact is not None:
        assert held.convert(cents) == int(exact)
    assert abs(held.convert(cents) * held.denominator - cents * held.numerator) * 2 <= held.denominator
