"""A file of rates as a shop delivers it, read whole or refused, and from when on each rate is known."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from fractions import Fraction
from pathlib import Path

import polars as pl

from returnml.exchange.rate_file import RatesError
from returnml.exchange.rates import EXACT_BELOW, Rate, Rates
from returnml.instants import day_of, day_us

_CURRENCY = re.compile("[A-Z]{3}")
_DECIMAL = re.compile(r"[0-9]+(\.[0-9]+)?")
ABSENT = ("", "N/A")
"""Texts of a cell without a rate, as the European Central Bank's file has them."""
_SHOWN = 5


@dataclass(frozen=True)
class Quoted:
    """A rate as a file has it, before its moment is known."""

    currency: str
    day: date
    rate: str


@dataclass(frozen=True)
class Admitted:
    """What is to be recorded of a file.

    Attributes:
        rates: new ones, with their moments.
        repeated: rates that are recorded already, as they are.
        late: of ``rates``, those of days for which another rate was held: they hold from now on only.
    """

    rates: tuple[Rate, ...]
    repeated: int
    late: int


def read_quotes(file: Path, into: str, today: date) -> list[Quoted]:
    """The rates of a CSV file: columns ``day`` (or ``Date``), ``currency``, ``rate``; or ``Date`` and a column for each currency.

    Args:
        into: the shop's currency; its own column is refused.
        today: later days are refused.

    Raises:
        RatesError: naming file, row, column and rule of the first failures, and how many there are.
    """
    try:
        frame = pl.read_csv(file, infer_schema=False, truncate_ragged_lines=False)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise RatesError(f"{file}: {str(error).partition(chr(10))[0]}") from error
    frame = frame.rename({name: name.strip() for name in frame.columns})
    day_column = next((name for name in frame.columns if name.lower() in ("day", "date")), None)
    if day_column is None:
        raise RatesError(f"{file}: no column 'day' or 'date' among {', '.join(frame.columns)} [column_missing]")
    problems: list[str] = []
    found: dict[tuple[str, date], str] = {}
    for row, day_text, currency, rate in _cells(frame, day_column, file):
        where = f"{file}, row {row}, {currency or 'currency'}"
        problem, day = _problem(day_text, currency, rate, into, today)
        if problem is None and day is not None and found.setdefault((currency, day), rate) != rate:
            problem = f"{rate!r}: the same day has {found[currency, day]!r} [two_rates]"
        if problem is not None:
            problems.append(f"{where}: {problem}")
    if problems:
        more = f"; and {len(problems) - _SHOWN:,} more" if len(problems) > _SHOWN else ""
        raise RatesError(f"{len(problems):,} of the file's rates are refused: {'; '.join(problems[:_SHOWN])}{more}")
    if not found:
        raise RatesError(f"{file}: no rate in it [empty]")
    return [Quoted(currency, day, rate) for (currency, day), rate in sorted(found.items())]


def admit(
    quotes: Sequence[Quoted], recorded: Sequence[Rate], into: str, is_inverse: bool, source: str, now_us: int, max_age_days: int
) -> Admitted:
    """From when on each rate is known.

    A rate fills a hole: where the shop had none at the end of its day, it holds from there on, so that history can be
    converted. Where it had one, amounts were converted by that, and the new rate holds from now on.

    Raises:
        RatesError: where a factor is not exact in 62 bits.
    """
    before = Rates(recorded, max_age_days)
    latest = {(rate.currency, rate.day): rate for rate in recorded}
    new: list[Rate] = []
    repeated = late = 0
    for quote in quotes:
        held = latest.get((quote.currency, quote.day))
        if held is not None and (Fraction(held.rate), held.is_inverse) == (Fraction(quote.rate), is_inverse):
            repeated += 1
            continue
        ended_us = min(day_us(quote.day + timedelta(days=1)), now_us)
        is_late = before.at(quote.currency, ended_us + 1) is not None
        late += is_late and day_of(now_us) > quote.day + timedelta(days=1)
        rate = Rate(quote.currency, into, quote.day, quote.rate, is_inverse, now_us if is_late else ended_us, source)
        if max(rate.factor.numerator, rate.factor.denominator) >= EXACT_BELOW:
            raise RatesError(f"{source}: {quote.currency} on {quote.day}: {quote.rate} has too many digits [not_exact]")
        new.append(rate)
    return Admitted(tuple(new), repeated, late)


def _cells(frame: pl.DataFrame, day_column: str, file: Path) -> Iterable[tuple[int, str, str, str]]:
    by_name = {name.lower(): name for name in frame.columns}
    days = frame[day_column].fill_null("").to_list()
    if "rate" in by_name:
        if "currency" not in by_name:
            raise RatesError(f"{file}: no column 'currency' beside 'rate' [column_missing]")
        currencies = frame[by_name["currency"]].fill_null("").to_list()
        rates = frame[by_name["rate"]].fill_null("").to_list()
        for row, (day, currency, rate) in enumerate(zip(days, currencies, rates, strict=True), 1):
            yield row, day.strip(), currency.strip(), rate.strip()
        return
    for name in frame.columns:
        if name == day_column or not name:
            continue
        for row, (day, rate) in enumerate(zip(days, frame[name].fill_null("").to_list(), strict=True), 1):
            if rate.strip() not in ABSENT:
                yield row, day.strip(), name, rate.strip()


def _problem(day_text: str, currency: str, rate: str, into: str, today: date) -> tuple[str | None, date | None]:
    try:
        day = date.fromisoformat(day_text)
    except ValueError:
        return f"{day_text!r} is no day YYYY-MM-DD [not_a_day]", None
    if day > today:
        return f"{day} has not come yet [day_in_future]", None
    if not _CURRENCY.fullmatch(currency):
        return f"{currency!r} is no ISO 4217 code [currency_unknown]", None
    if currency == into:
        return f"{into} is the shop's own currency [own_currency]", None
    if not _DECIMAL.fullmatch(rate) or not Fraction(rate):
        return f"{rate!r} is no decimal number above 0 [not_a_rate]", None
    return None, day
