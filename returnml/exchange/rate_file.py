"""Where a shop's rates are recorded: one file of the data root that only grows, a JSON object a line."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path

import msgspec

from returnml.errors import Refusal
from returnml.exchange.rates import Rate, Rates
from returnml.files import UNDECODABLE, locked, replace_file
from returnml.settings import Settings

_ENCODE = msgspec.json.Encoder().encode
_DECODE = msgspec.json.Decoder(Rate).decode


class RatesError(Refusal):
    """Rates that cannot be read or recorded; the message names file, line and rule."""


def read_rates(file: Path, into: str | None) -> list[Rate]:
    """All recorded rates, in the order in which they were recorded; none where there is no file.

    Args:
        into: the shop's currency; None where it declares none.

    Raises:
        RatesError: for a line that is no rate, or one into another currency than the shop's.
    """
    try:
        content = file.read_bytes()
    except FileNotFoundError:
        return []
    rates = []
    for number, line in enumerate(content.splitlines(), 1):
        try:
            rate = _DECODE(line)
        except UNDECODABLE as error:
            raise RatesError(f"{file}, line {number}: {error}") from error
        if rate.into != into:
            shops = "none is declared" if into is None else f"it is {into}"
            raise RatesError(
                f"{file}, line {number}: a rate into {rate.into}, but of the shop's currency (shop.currency) {shops}"
            )
        rates.append(rate)
    return rates


def record_rates(file: Path, rates: Sequence[Rate]) -> None:
    """Add rates; a kill leaves all of them recorded or none."""
    before = file.read_bytes() if file.exists() else b""
    replace_file(file, before + b"".join(_ENCODE(rate) + b"\n" for rate in rates))


def recording(file: Path) -> AbstractContextManager[None]:
    """One recorder at a time: to be held from reading what there is to recording more."""
    return locked(file.with_name(f"{file.name}.lock"))


class Exchange:
    """The recorded rates for a process that goes on while more are recorded. For one thread.

    Args:
        file: see :func:`read_rates`.
        into: the shop's currency.
    """

    def __init__(self, file: Path, into: str, max_age_days: int) -> None:
        self.into = into
        self._file = file
        self._max_age_days = max_age_days
        self._mark: tuple[int, int, int] | None = None
        self._rates = Rates([], max_age_days)

    def rates(self) -> Rates:
        """What is recorded now.

        Raises:
            RatesError: as :func:`read_rates`.
        """
        try:
            found = os.stat(self._file)
        except FileNotFoundError:
            return self._rates
        mark = (found.st_ino, found.st_size, found.st_mtime_ns)
        if mark != self._mark:
            self._rates = Rates(read_rates(self._file, self.into), self._max_age_days)
            self._mark = mark
        return self._rates


def exchange_of(settings: Settings) -> Exchange | None:
    """The rates that the settings name; None where no currency is declared to convert into."""
    shop = settings.shop
    return None if shop.currency is None else Exchange(settings.paths.exchange_rates, shop.currency, shop.rate_max_age_days)


def rates_of(settings: Settings) -> Rates | None:
    """What is recorded now; None where no currency is declared to convert into.

    Raises:
        RatesError: as :func:`read_rates`.
    """
    exchange = exchange_of(settings)
    return None if exchange is None else exchange.rates()
