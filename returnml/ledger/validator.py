"""Whether an event is accepted: one pure function, asked once, inside the transaction that applies the event.

Its verdict is logged beside the event; batch honours the logged verdict and never judges a second time. Rule names are
those of the quarantine tables.

An orphan (a return of a line that nobody knows yet) is accepted and marked. Where it names its customer and article it
counts in their raw return windows at once. When its line comes, the order's verdict says which waiting returns are linked
to it, and which contradict it and stay orphans.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol

import msgspec

from returnml.attributes import Attributes, Sent, sent_problem
from returnml.features.sets.shop import (
    ORDERS,
    RETURNS,
)
from returnml.instants import (
    instant,
    instant_us,
)
from returnml.ledger.events import SCHEMA_VERSION, AnyEvent, InspectionCompleted, OrderPlaced, ReturnReceived

VERDICTS = ("as_new", "worn", "damaged", "empty_box", "wrong_article")
MAX_AHEAD = timedelta(minutes=5)
CURRENCY_DIFFERS = "currency_differs"
EARLIEST = datetime(1990, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class KnownLine:
    """What the store knows of an order line: when it was ordered (microseconds), pieces, pieces returned so far."""

    ordered_at_us: int
    quantity: int
    returned_quantity: int


class WaitingReturn(msgspec.Struct, array_like=True, frozen=True):
    """An orphan that says of which line it is.

    Attributes:
        returned_at_us: when it happened.
        is_named: whether it names customer and article, and so counts in their windows already.
    """

    return_id: str
    returned_at_us: int
    quantity: int
    refund_cents: int
    reason: str | None
    is_named: bool


class Link(msgspec.Struct, frozen=True, omit_defaults=True):
    """A waiting return meets its line.

    Attributes:
        rule: why it stays an orphan; None where it is linked.
    """

    return_id: str
    line_id: str
    rule: str | None = None


class Known(Protocol):
    """What has been applied so far.

    Attributes:
        currency: the only one that amounts may be in; None before there is any.
    """

    @property
    def currency(self) -> str | None: ...

    def waiting(self, line_id: str) -> Sequence[WaitingReturn]:
        """The orphans of a line that is not known, in the order in which they came."""
        ...

    def line(self, line_id: str) -> KnownLine | None: ...

    def has_return(self, return_id: str) -> bool: ...

    def has_inspection(self, inspection_id: str) -> bool: ...


@dataclass(frozen=True)
class Verdict:
    """Accepted, or refused by a rule about a field (``lines[2].quantity``).

    Attributes:
        links: of an order: the returns that waited for its lines, by return id.
    """

    rule: str | None = None
    field: str | None = None
    message: str | None = None
    is_orphan: bool = False
    links: tuple[Link, ...] = ()

    @property
    def is_accepted(self) -> bool:
        return self.rule is None


ACCEPTED = Verdict()


def validate(event: AnyEvent, known: Known, now_us: int, attributes: Attributes = ()) -> Verdict:
    """Judge an event.

    Args:
        event: well-formed.
        known: the state just before it.
        now_us: the store's present, microseconds since the epoch.
        attributes: the shop's own fields that orders may carry.
    """
    if event.schema_version != SCHEMA_VERSION:
        return Verdict("unknown_schema_version", "schema_version", f"{event.schema_version}, not {SCHEMA_VERSION}")
    now = instant(now_us)
    if event.occurred_at > now + MAX_AHEAD:
        return Verdict("time_in_future", "occurred_at", f"{event.occurred_at.isoformat()} is after {now.isoformat()}")
    if event.occurred_at < EARLIEST:
        return Verdict("time_too_early", "occurred_at", f"{event.occurred_at.isoformat()} is before {EARLIEST.date()}")
    if not isinstance(event, InspectionCompleted) and known.currency not in (None, event.currency):
        return Verdict(CURRENCY_DIFFERS, "currency", other_currency(event.currency, known.currency))
    if isinstance(event, OrderPlaced):
        return _order(event, known, attributes)
    if isinstance(event, ReturnReceived):
        return _return(event, known)
    return _inspection(event, known)


def other_currency(found: str, shops: str | None) -> str:
    """What is said of an amount in another currency than the shop's."""
    return f"{found}, but the shop's amounts are in {shops}: different currencies are never added (setting shop.currency)"


def link(waiting: Sequence[WaitingReturn], line_id: str, ordered_at_us: int, quantity: int) -> list[Link]:
    """What becomes of the returns that waited for a line, first come first served."""
    links, left = [], quantity
    for one in waiting:
        rule = None
        if one.returned_at_us < ordered_at_us:
            rule = "return_before_order"
        elif one.quantity > left:
            rule = "return_larger_than_order"
        else:
            left -= one.quantity
        links.append(Link(one.return_id, line_id, rule))
    return links


def _order(event: OrderPlaced, known: Known, attributes: Attributes) -> Verdict:
    blank = _blank("order_id", event.order_id) or _blank("customer_id", event.customer_id)
    if blank is not None:
        return blank
    unfit = _unfit(attributes, event.attributes, is_of_order=True)
    if unfit is not None:
        return unfit
    seen: set[str] = set()
    for i, line in enumerate(event.lines):
        at = f"lines[{i}]"
        blank = _blank("line_id", line.line_id, at) or _blank("article_id", line.article_id, at)
        if blank is not None:
            return blank
        if line.line_id in seen or known.line(line.line_id) is not None:
            return Verdict("duplicate_id", f"{at}.line_id", f"line {line.line_id!r} is there already")
        seen.add(line.line_id)
        if line.quantity < 1:
            return Verdict("quantity_not_positive", f"{at}.quantity", f"{line.quantity}")
        if line.unit_price_cents < 1:
            return Verdict("unit_price_not_positive", f"{at}.unit_price_cents", f"{line.unit_price_cents}")
        if line.list_price_cents is not None and line.list_price_cents < 0:
            return Verdict("list_price_negative", f"{at}.list_price_cents", f"{line.list_price_cents}")
        if _too_wide(line.quantity, ORDERS.columns["quantity"]):
            return Verdict("quantity_too_large", f"{at}.quantity", f"{line.quantity}")
        if _too_wide(line.quantity * line.unit_price_cents, ORDERS.columns["line_value_cents"]):
            return Verdict("line_value_too_large", f"{at}.unit_price_cents", f"{line.quantity} x {line.unit_price_cents}")
        unfit = _unfit(attributes, line.attributes, is_of_order=False, within=f"{at}.")
        if unfit is not None:
            return unfit
    at_us = instant_us(event.occurred_at)
    links = [one for n in event.lines for one in link(known.waiting(n.line_id), n.line_id, at_us, n.quantity)]
    return Verdict(links=tuple(sorted(links, key=lambda one: one.return_id))) if links else ACCEPTED


def _return(event: ReturnReceived, known: Known) -> Verdict:
    blank = _blank("return_id", event.return_id)
    if blank is not None:
        return blank
    if known.has_return(event.return_id):
        return Verdict("duplicate_id", "return_id", f"return {event.return_id!r} is there already")
    if event.quantity < 1:
        return Verdict("quantity_not_positive", "quantity", f"{event.quantity}")
    if event.refund_cents < 0:
        return Verdict("refund_negative", "refund_cents", f"{event.refund_cents}")
    if _too_wide(event.quantity, RETURNS.columns["quantity"]):
        return Verdict("quantity_too_large", "quantity", f"{event.quantity}")
    if _too_wide(event.refund_cents, RETURNS.columns["refund_cents"]):
        return Verdict("refund_too_large", "refund_cents", f"{event.refund_cents}")
    line = known.line(event.line_id) if event.line_id is not None else None
    if line is None:
        if not (event.line_id or "").strip() and not is_named(event):
            return Verdict("unknown_order_line", "line_id", "no line is given, and customer_id and article_id are not both")
        return Verdict(is_orphan=True)
    if event.occurred_at < instant(line.ordered_at_us):
        return Verdict("return_before_order", "occurred_at", f"{event.occurred_at.isoformat()} is before the order")
    if line.returned_quantity + event.quantity > line.quantity:
        message = f"{event.quantity} pieces, but {line.quantity - line.returned_quantity} of {line.quantity} are left"
        return Verdict("return_larger_than_order", "quantity", message)
    return ACCEPTED


def is_named(event: ReturnReceived) -> bool:
    """Whether a return says by itself in whose windows it counts."""
    return bool((event.customer_id or "").strip() and (event.article_id or "").strip())


def _inspection(event: InspectionCompleted, known: Known) -> Verdict:
    blank = _blank("inspection_id", event.inspection_id)
    if blank is not None:
        return blank
    if known.has_inspection(event.inspection_id):
        return Verdict("duplicate_id", "inspection_id", f"inspection {event.inspection_id!r} is there already")
    if not known.has_return(event.return_id):
        return Verdict("unknown_return", "return_id", f"return {event.return_id!r} is unknown")
    if event.verdict not in VERDICTS:
        return Verdict("verdict_unknown", "verdict", f"{event.verdict!r}: expected one of {', '.join(VERDICTS)}")
    return ACCEPTED


def _blank(name: str, value: str, within: str = "") -> Verdict | None:
    if value.strip():
        return None
    return Verdict(f"{name}_missing", f"{within}.{name}" if within else name, "a value is required")


def _unfit(attributes: Attributes, sent: Mapping[str, Sent] | None, *, is_of_order: bool, within: str = "") -> Verdict | None:
    problem = sent_problem(attributes, sent, is_of_order)
    return None if problem is None else Verdict(problem.rule, f"{within}{problem.field}", problem.message)


def _too_wide(value: int, bits: int) -> bool:
    return abs(value) >> bits != 0
