"""The events a shop sends: orders, returns and inspection verdicts, as msgspec structs with a schema version.

Shapes only. Whether a well-formed event is *accepted* is decided by ``returnml.ledger.validator``.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import msgspec

SCHEMA_VERSION = 1

MAX_ID_LENGTH = 200

Identifier = Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_ID_LENGTH)]
Text = Annotated[str, msgspec.Meta(min_length=1, max_length=256)]
Currency = Annotated[str, msgspec.Meta(pattern="^[A-Z]{3}$", description="ISO 4217 code.")]
Whole = Annotated[int, msgspec.Meta(ge=-(1 << 63), le=(1 << 63) - 1)]
"""Bounded, so that a record of the ledger is."""
Sentence = Annotated[str, msgspec.Meta(max_length=10_000)]
SentAttributes = Annotated[dict[Identifier, Sentence | Whole | float | bool | None], msgspec.Meta(max_length=200)]
"""The shop's own fields by name; which there are and what they hold, its settings declare (``returnml.attributes``)."""
Instant = Annotated[datetime, msgspec.Meta(tz=True)]
"""RFC 3339 with an offset."""


class Event(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="type"):
    """What every event has. ``event_id`` makes sending it twice harmless."""

    event_id: Identifier
    occurred_at: Instant
    schema_version: Whole = SCHEMA_VERSION


class OrderLine(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One article in an order. Money in minor units of the order's currency."""

    line_id: Identifier
    article_id: Identifier
    quantity: Whole
    unit_price_cents: Whole
    size: Text | None = None
    color: Text | None = None
    product_group: Text | None = None
    brand: Text | None = None
    list_price_cents: Whole | None = None
    attributes: SentAttributes | None = None


class OrderPlaced(Event, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="order"):
    """An order with its lines; accepted or refused as a whole."""

    order_id: Identifier
    customer_id: Identifier
    currency: Currency
    lines: Annotated[list[OrderLine], msgspec.Meta(min_length=1, max_length=1000)]
    country: Text | None = None
    payment_method: Text | None = None
    device: Text | None = None
    voucher_code: Text | None = None
    attributes: SentAttributes | None = None


class ReturnReceived(Event, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="return"):
    """Goods that came back. ``line_id`` is null where the shop cannot say; then customer and article are needed."""

    return_id: Identifier
    quantity: Whole
    refund_cents: Whole
    currency: Currency
    line_id: Identifier | None = None
    customer_id: Identifier | None = None
    article_id: Identifier | None = None
    reason: Text | None = None
    is_cancellation: bool = False


class InspectionCompleted(Event, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="inspection"):
    """What the inspection of a return found."""

    inspection_id: Identifier
    return_id: Identifier
    verdict: Text


class CustomerErased(Event, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="erasure"):
    """A customer was forgotten. Written by us, never taken from outside; ``customer_id`` is the pseudonym."""

    customer_id: Identifier


AnyEvent = OrderPlaced | ReturnReceived | InspectionCompleted
"""What a shop may send."""

LedgerEvent = AnyEvent | CustomerErased
"""What the ledger may hold."""
