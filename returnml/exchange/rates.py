"""Daily exchange rates as they became known, and amounts converted by them, exactly.

A rate says what one unit of a currency is worth in the shop's currency. Which one holds at a moment is the latest day's among
those that were known *before* it: a rate that is corrected or delivered later changes no amount that was converted before.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from fractions import Fraction

import msgspec

from returnml.exchange.minor_units import MINOR_DIGITS, USUAL_DIGITS
from returnml.instants import day_of

EXACT_BELOW = 1 << 62
"""Numerator and denominator of a factor: an amount of 64 bits times one of them stays below 128 bits."""


class Rate(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One day's rate of a currency, as it is recorded.

    Attributes:
        currency: ISO 4217 code of what is converted.
        into: the shop's currency.
        day: that the rate is of.
        rate: decimal text; units of ``into`` for one of ``currency``, or the other way round.
        is_inverse: whether ``rate`` says how many units of ``currency`` one unit of ``into`` is worth.
        known_at_us: amounts known later than this are converted by it; microseconds since the epoch.
        source: file that it came from.
    """

    currency: str
    into: str
    day: date
    rate: str
    is_inverse: bool
    known_at_us: int
    source: str

    @property
    def factor(self) -> Fraction:
        """Minor units of ``into`` for one minor unit of ``currency``."""
        quoted = Fraction(self.rate)
        whole = 1 / quoted if self.is_inverse else quoted
        shift = MINOR_DIGITS.get(self.into, USUAL_DIGITS) - MINOR_DIGITS.get(self.currency, USUAL_DIGITS)
        return whole * Fraction(10) ** shift

    @property
    def as_written(self) -> str:
        """What one unit of the currency is worth, as tables show it: ``0.9223``, or ``1/1.0843`` where it is inverse."""
        return f"1/{self.rate}" if self.is_inverse else self.rate


@dataclass(frozen=True)
class Held:
    """A rate with its factor, as ``Rates`` looks it up: from ``known_at_us`` on, until the next one of its currency."""

    known_at_us: int
    day: date
    rate: Rate
    numerator: int
    denominator: int

    def convert(self, minor_units: int) -> int:
        """An amount in minor units of the shop's currency, ties to even.

        >>> from datetime import date
        >>> yen = Rate("JPY", "EUR", date(2025, 3, 3), "0.0061", False, 0, "rates.csv")
        >>> Rates([yen], 7).at("JPY", 1_741_046_400_000_000).convert(2500)
        1525
        """
        quotient, rest = divmod(abs(minor_units) * self.numerator, self.denominator)
        if 2 * rest > self.denominator or (2 * rest == self.denominator and quotient % 2):
            quotient += 1
        return quotient if minor_units >= 0 else -quotient


class Rates:
    """What is known of rates.

    Args:
        rates: all that were recorded, in the order in which they were.
        max_age_days: a rate converts nothing more than so many days after its own.
    """

    def __init__(self, rates: Iterable[Rate], max_age_days: int) -> None:
        self.max_age_days = max_age_days
        self._of: dict[str, list[Held]] = {}
        for rate in sorted(rates, key=lambda one: (one.known_at_us, one.day)):
            held = self._of.setdefault(rate.currency, [])
            if not held or rate.day >= held[-1].day:  # of an older day: never the latest from its moment on
                factor = rate.factor
                held.append(Held(rate.known_at_us, rate.day, rate, factor.numerator, factor.denominator))

    @property
    def currencies(self) -> frozenset[str]:
        """Those that have a rate at all."""
        return frozenset(self._of)

    def at(self, currency: str, known_at_us: int) -> Held | None:
        """The rate by which an amount that became known at a moment is converted; None where there is none, or it is too old."""
        held = self._of.get(currency, [])
        i = bisect_left(held, known_at_us, key=lambda one: one.known_at_us)
        if i == 0 or (day_of(known_at_us) - held[i - 1].day).days > self.max_age_days:
            return None
        return held[i - 1]

    def held(self) -> Iterable[tuple[str, Held]]:
        """Every currency's rates in the order in which each came to hold."""
        for currency, rates in self._of.items():
            for one in rates:
                yield currency, one
