"""What goes over the wire. Unknown fields, wrong types and values out of bounds are refused while decoding."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Literal

from msgspec import Meta, Struct

from returnml.ledger.events import Currency, Identifier, SentAttributes, Text
from returnml.policy.document import Action
from returnml.reasons.ordering import Reason
from returnml.streaming.score_stream import StreamStatus

Quantity = Annotated[int, Meta(ge=1, lt=1 << 24, description="Pieces.")]
PriceCents = Annotated[int, Meta(gt=0, lt=1 << 36, description="Price paid for one piece, minor units.")]
ListPriceCents = Annotated[int, Meta(ge=0, lt=1 << 36, description="List price of one piece, minor units.")]


class OrderLine(Struct, frozen=True, forbid_unknown_fields=True):
    """One article in an order, as it would be ordered. Optional fields that are absent are missing, not empty."""

    line_id: Identifier
    article_id: Identifier
    quantity: Quantity
    unit_price_cents: PriceCents
    size: Text | None = None
    color: Text | None = None
    product_group: Text | None = None
    brand: Text | None = None
    list_price_cents: ListPriceCents | None = None
    attributes: SentAttributes | None = None


class Order(Struct, frozen=True, forbid_unknown_fields=True):
    """An order to be scored.

    ``ordered_at`` is what the shop's clock says. It never is the moment of the features, which the service's own
    clock decides; it is checked against it, so that a shop with a wrong clock hears of it.
    ``reasons``: whether each line shall say why.
    ``attributes``: the shop's own fields of the order and its customer, as its settings declare them; each line has its own.
    """

    order_id: Identifier
    customer_id: Identifier
    currency: Currency
    lines: Annotated[list[OrderLine], Meta(min_length=1)]
    country: Text | None = None
    payment_method: Text | None = None
    device: Text | None = None
    voucher_code: Text | None = None
    ordered_at: Annotated[datetime, Meta(tz=True)] | None = None
    reasons: bool = False
    attributes: SentAttributes | None = None


class LineScore(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One line's answer.

    Attributes:
        probability: that any piece of the line comes back.
        expected_cost_cents: of its returns, if it is allowed.
        action: what the policy says to do.
        is_explored: allowed by the exploration draw, whatever the policy's rule says.
        reasons: what raises the line's risk most, the strongest first; only if they were asked for.
    """

    line_id: str
    probability: float
    expected_cost_cents: int
    action: Action
    is_explored: bool
    reasons: list[Reason] | None = None


class FeatureTime(Struct, frozen=True, kw_only=True):
    """What the features were made from: every event known before ``cut_off``, as published in ``generation``, and the
    ledger's events up to ``seq``. ``stale``: there is more, which could not be read."""

    generation: str
    cut_off: datetime
    seq: int
    stale: bool = False


class Converted(Struct, frozen=True, kw_only=True):
    """How the order's amounts were converted.

    Attributes:
        currency: of the order.
        rate: what one unit of it is worth in the shop's currency, as it was delivered; ``1/1.0843`` where the other way round.
        day: that the rate is of.
    """

    currency: str
    rate: str
    day: date


class Scores(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The answer: one score for each line, in the order of the request.

    ``currency``: of the costs, the shop's. ``converted``: where the order is in another one.
    """

    request_id: str
    order_id: str
    release: str
    feature_set_hash: str
    requested_at: datetime
    features: FeatureTime
    currency: str
    lines: list[LineScore]
    converted: Converted | None = None


class CustomerFeatures(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is known of a customer at ``requested_at``.

    ``known``: whether any event of the customer is visible. ``values``: every feature by name, float32 (to the bit, once read
    back as float32), null where missing. ``raw``: the exact aggregates and inputs behind them, if they were asked for.
    """

    customer_id: str
    known: bool
    feature_set: str
    feature_set_hash: str
    requested_at: datetime
    features: FeatureTime
    values: dict[str, float | None]
    raw: dict[str, int | None] | None = None


class CustomerRisk(Struct, frozen=True, kw_only=True):
    """Whether any line that a customer orders in the next days will come back, as of now.

    Attributes:
        known: whether the customer has an event at all.
        expected_cost_cents: of one such return, minor units of the shop's currency.
        value_cents: what a line of theirs is usually worth.
        action: what the task's policy says to do.
    """

    customer_id: str
    known: bool
    probability: float
    expected_cost_cents: int
    value_cents: int
    action: Action
    release: str
    feature_set_hash: str
    requested_at: datetime
    features: FeatureTime


class EventAnswer(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What became of one event of the request, in its order.

    ``accepted``: durable, and applied. ``duplicate``: the same event was accepted before, at ``seq``. ``conflict``: the event at
    ``seq`` has its ``event_id`` and other content; that one stands, nothing of this one is kept: send it under an id of its own.
    ``refused``: by ``rule``, about ``field``; the ledger keeps it (at ``seq``) unless it is ``malformed``. Sending a refused
    event again refuses it again.
    """

    status: Literal["accepted", "duplicate", "refused", "conflict"]
    event_id: str | None = None
    seq: int | None = None
    rule: str | None = None
    field: str | None = None
    message: str | None = None


class EventAnswers(Struct, frozen=True, kw_only=True):
    """How many events were accepted, duplicates, refused and conflicts, and each one's answer."""

    accepted: int
    duplicates: int
    refused: int
    events: list[EventAnswer]
    conflicts: int = 0


class Live(Struct, frozen=True):
    """The process answers."""

    status: str = "live"


class LogStatus(Struct, frozen=True, kw_only=True):
    """The worker's inference log since its start, in answers.

    Attributes:
        shed: answered, but not logged.
        waiting_lines: order lines of answers that are to be written.
        failure: why the last attempt to write failed; null when it did not.
    """

    policy: str
    worker: str
    written: int
    shed: int
    waiting_lines: int
    failure: str | None


class EventStatus(Struct, frozen=True, kw_only=True):
    """Events that the worker took in since its start.

    Attributes:
        refused: events that broke a rule. Malformed ones are not counted.
        conflicts: came under the id of an event of other content.
        unavailable: answered 503.
        waiting: to be written.
        failure: why the last attempt to write failed; null when it did not. Tried again every second.
    """

    accepted: int
    duplicates: int
    refused: int
    unavailable: int
    waiting: int
    failure: str | None
    conflicts: int = 0


class Answering(Struct, frozen=True, kw_only=True):
    """What answers a task's questions in a role; ``release`` is null while nothing does."""

    task: str
    role: str
    release: str | None


class Ready(Struct, frozen=True, kw_only=True):
    """What the service scores with. ``warnings`` say what could not be loaded since, is not logged, not sent on or taken in.

    Attributes:
        release: that of ``POST /v1/score``.
        roster: what answers each task that is asked online.
    """

    release: str
    feature_set_hash: str
    features: FeatureTime
    warnings: list[str]
    inference_log: LogStatus
    roster: list[Answering]
    score_stream: StreamStatus | None = None
    events: EventStatus | None = None
    status: str = "ready"


class Problem(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Problem details (RFC 9457). ``errors`` name each field as a path into the request body, ``request_id`` is that of the
    header ``X-Request-Id`` and of the service's log."""

    title: str
    status: int
    detail: str
    instance: str = ""
    request_id: str = ""
    type: str = "about:blank"
    errors: list[FieldError] = []


class FieldError(Struct, frozen=True, kw_only=True):
    """One field that breaks a rule, as a path into the request body."""

    field: str
    message: str
