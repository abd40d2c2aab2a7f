"""An event's amounts in the shop's currency: converted once, when the event is judged, and kept beside what was sent."""

from __future__ import annotations

from datetime import date

import msgspec

from returnml.errors import Refusal
from returnml.exchange.rates import Held, Rates
from returnml.ledger.events import AnyEvent, InspectionCompleted, LedgerEvent, OrderPlaced, ReturnReceived

RATE_MISSING = "rate_missing"
"""The rule that an amount in another currency has a rate."""


class Conversion(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What an event said before its amounts were converted.

    Attributes:
        currency: of the amounts as they were sent.
        rate: as it was delivered; ``is_inverse``: units of ``currency`` for one of the shop's.
        day: that the rate is of.
        amounts: as sent, minor units of ``currency``: of each order line its unit and its list price, of a return its refund.
    """

    currency: str
    rate: str
    is_inverse: bool
    day: date
    amounts: list[int | None]


class NoRate(Refusal):
    """The shop has rates of a currency, but none that holds; the message is for who sent the amount."""


def rate_for(currency: str, rates: Rates, known_at_us: int) -> Held:
    """
    Raises:
        NoRate: where none was known before the moment, or the latest is too old.
    """
    held = rates.at(currency, known_at_us)
    if held is None:
        raise NoRate(
            f"{currency}: no rate was known that is at most {rates.max_age_days} days old (shop.rate_max_age_days): "
            "record it with returnml rates import"
        )
    return held


def converted(event: AnyEvent, into: str, rates: Rates, known_at_us: int) -> tuple[AnyEvent, Conversion | None]:
    """The event in the shop's currency; as it is where it has no amount, or in a currency that the shop has no rates of.

    Raises:
        NoRate: where its currency has rates, and none of them holds.
    """
    if isinstance(event, InspectionCompleted) or event.currency == into or event.currency not in rates.currencies:
        return event, None
    held = rate_for(event.currency, rates, known_at_us)
    amounts = _amounts(event)
    conversion = Conversion(event.currency, held.rate.rate, held.rate.is_inverse, held.day, amounts)
    return _with(event, into, [None if amount is None else bounded(held.convert(amount)) for amount in amounts]), conversion


def as_sent(event: LedgerEvent, conversion: Conversion | None) -> LedgerEvent:
    """An event of the ledger with the amounts that were sent."""
    if conversion is None or not isinstance(event, OrderPlaced | ReturnReceived):
        return event
    return _with(event, conversion.currency, conversion.amounts)


def bounded(amount: int) -> int:
    """An amount, clipped to what a record of the ledger can hold. Every rule about amounts refuses values beyond that.

    >>> bounded(5), bounded(1 << 70) == (1 << 63) - 1
    (5, True)
    """
    return min(max(amount, -(1 << 63)), (1 << 63) - 1)


def _amounts(event: OrderPlaced | ReturnReceived) -> list[int | None]:
    if isinstance(event, ReturnReceived):
        return [event.refund_cents]
    return [amount for line in event.lines for amount in (line.unit_price_cents, line.list_price_cents)]


def _with(event: OrderPlaced | ReturnReceived, currency: str, amounts: list[int | None]) -> OrderPlaced | ReturnReceived:
    if isinstance(event, ReturnReceived):
        return msgspec.structs.replace(event, currency=currency, refund_cents=amounts[0])
    lines = [
        msgspec.structs.replace(line, unit_price_cents=unit, list_price_cents=listed)
        for line, unit, listed in zip(event.lines, amounts[::2], amounts[1::2], strict=True)
    ]
    return msgspec.structs.replace(event, currency=currency, lines=lines)
