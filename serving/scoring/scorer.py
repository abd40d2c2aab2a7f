"""The data plane: an order in, scores out. Knows no HTTP, reads no clock."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np

from returnml.attributes import UNKNOWN, Attribute, Attributes, read_value, sent_problem
from returnml.exchange.rate_file import RatesError, exchange_of
from returnml.features.sets.shop import ORDERS
from returnml.instants import instant
from returnml.ledger.conversion import RATE_MISSING, NoRate, rate_for
from returnml.ledger.validator import CURRENCY_DIFFERS, other_currency
from returnml.policy.document import Policy
from returnml.reasons.ordering import Reason, Reasoner
from returnml.settings import Settings
from returnml.store.backend import Snapshot
from returnml.store.generation_manifest import StoreError
from returnml.store.keys import CURRENCY
from returnml.store.live import LiveStore
from returnml.store.reading.online import (
    OnlineFeatures,
    Vectors,
)
from serving.scoring.roster import Member
from serving.service_errors import InvalidOrder, NotReady
from serving.wire import (
    Converted,
    FeatureTime,
    LineScore,
    Order,
    Scores,
)

MAX_CLOCK_DIFFERENCE = timedelta(days=1)
MAX_LINE_VALUE_CENTS = 1 << ORDERS.columns["line_value_cents"]


@dataclass(frozen=True, slots=True)
class Scored:
    """An answer and what it was made from, for the log.

    Attributes:
        role: whose release gave it.
        columns: the order's lines by column.
    """

    scores: Scores
    role: str
    columns: dict[str, list[Any]]
    vectors: Vectors
    policy: Policy


class Scorer:
    """Scores orders with one release on the features of the store."""

    def __init__(self, member: Member, store: LiveStore, settings: Settings) -> None:
        self._declared = settings.shop.currency
        self._exchange = exchange_of(settings)
        self._held: tuple[str, str | None] = ("", None)
        self._model = member.model
        self._role = member.role
        self._decider = member.decider
        self._store = store
        self._features = OnlineFeatures(member.task.feature_set, store)
        self._attributes = settings.shop_attributes
        limits = settings.serving.limits
        self._max_lines = limits.lines
        self._max_explained_lines = limits.explained_lines

    def score(self, order: Order, now_us: int) -> Scored:
        """Score every line of an order as of now.

        Raises:
            InvalidOrder: naming the field that breaks a rule.
        """
        check_order(order, instant(max(now_us, self._store.generation.cut_off_us)), self._max_lines)
        check_attributes(order, self._attributes)
        currency = self._currency()
        reasoner = self._reasoner(order) if order.reasons else None
        columns = order_columns(order, self._attributes)
        converted = None
        if currency not in (None, order.currency):
            converted = self._converted(order, columns, currency, now_us)
        vectors = self._features.vectors(columns, now_us)
        probability = self._model.probability(vectors.matrix)
        decided = self._decider.decide(probability, np.array(columns["line_value_cents"], np.int64), columns)
        reasons: list[list[Reason] | None] = [None] * len(order.lines)
        if reasoner is not None:
            reasons = list(reasoner.reasons(vectors.matrix))
        scores = Scores(
            request_id=uuid.uuid4().hex,
            order_id=order.order_id,
            release=self._model.version,
            feature_set_hash=self._model.feature_set_hash,
            requested_at=instant(vectors.requested_at_us),
            features=feature_time(vectors.seen),
            currency=currency or order.currency,
            converted=converted,
            lines=[
                LineScore(
                    line_id=line_id,
                    probability=chance,
                    expected_cost_cents=cost_cents,
                    action=action,
                    is_explored=is_explored,
                    reasons=why,
                )
                for line_id, chance, cost_cents, action, is_explored, why in zip(
                    columns["line_id"],
                    probability.tolist(),
                    decided.expected_cost_cents.tolist(),
                    decided.action_names(),
                    decided.is_explored.tolist(),
                    reasons,
                    strict=True,
                )
            ],
        )
        return Scored(scores, self._role, columns, vectors, self._decider.policy)

    def _converted(self, order: Order, columns: dict[str, list[Any]], into: str, now_us: int) -> Converted:
        """Replace the columns' amounts by those in the shop's currency.

        Raises:
            InvalidOrder: where there is no rate, or an amount is too large for the features.
            NotReady: where the recorded rates cannot be read.
        """
        try:
            rates = None if self._exchange is None else self._exchange.rates()
        except RatesError as error:
            raise NotReady(str(error)) from error
        if rates is None or order.currency not in rates.currencies:
            raise InvalidOrder("currency", f"{other_currency(order.currency, into)} [{CURRENCY_DIFFERS}]")
        try:
            held = rate_for(order.currency, rates, now_us)
        except NoRate as error:
            raise InvalidOrder("currency", f"{error} [{RATE_MISSING}]") from error
        for i, line in enumerate(order.lines):
            price = held.convert(line.unit_price_cents)
            if not 0 < price * line.quantity < MAX_LINE_VALUE_CENTS:
                at_most = f"in {into} quantity times price must lie above 0 and below {MAX_LINE_VALUE_CENTS}"
                raise InvalidOrder(f"lines[{i}].unit_price_cents", f"{price * line.quantity}: {at_most}")
            columns["unit_price_cents"][i] = price
            columns["line_value_cents"][i] = price * line.quantity
            columns["list_price_cents"][i] = None if line.list_price_cents is None else held.convert(line.list_price_cents)
        return Converted(currency=order.currency, rate=held.rate.as_written, day=held.day)

    def _currency(self) -> str | None:
        """That of the amounts which the features are made from; None before there are any.

        Raises:
            StoreError: where it is not the one that the shop declares.
        """
        generation, held = self._held
        if held is None or generation != self._store.generation.name:
            seen, published, live = self._store.read([CURRENCY])
            value = (live or published)[0] or published[0]
            generation, held = self._held = seen.generation.name, None if value is None else value.decode()
        if self._declared is not None and held not in (None, self._declared):
            raise StoreError(f"shop.currency is {self._declared}, generation {generation} has amounts in {held}")
        return held or self._declared

    def _reasoner(self, order: Order) -> Reasoner:
        if self._model.reasoner is None:
            raise InvalidOrder("reasons", f"release {self._model.version} holds no explainer; train a new one")
        if len(order.lines) > self._max_explained_lines:
            at_most = self._max_explained_lines
            raise InvalidOrder("reasons", f"{len(order.lines)} lines: reasons are given for at most {at_most}")
        return self._model.reasoner


def feature_time(seen: Snapshot) -> FeatureTime:
    """What the features of a snapshot were made from."""
    generation = seen.generation
    return FeatureTime(generation=generation.name, cut_off=instant(generation.cut_off_us), seq=seen.seq, stale=seen.is_stale)


def check_order(order: Order, requested_at: datetime, max_lines: int) -> None:
    """The rules that the contract's types cannot say.

    Raises:
        InvalidOrder: naming the first field that breaks one.
    """
    if len(order.lines) > max_lines:
        raise InvalidOrder("lines", f"{len(order.lines)} lines: at most {max_lines}")
    if order.ordered_at is not None and abs(order.ordered_at - requested_at) > MAX_CLOCK_DIFFERENCE:
        raise InvalidOrder("ordered_at", f"more than a day away from the moment of scoring, {requested_at.isoformat()}")
    seen: set[str] = set()
    for i, line in enumerate(order.lines):
        if line.line_id in seen:
            raise InvalidOrder(f"lines[{i}].line_id", f"{line.line_id!r} stands twice in the order")
        seen.add(line.line_id)
        if line.quantity * line.unit_price_cents >= MAX_LINE_VALUE_CENTS:
            raise InvalidOrder(f"lines[{i}].unit_price_cents", f"quantity times price must stay below {MAX_LINE_VALUE_CENTS}")


def check_attributes(order: Order, attributes: Attributes) -> None:
    """
    Raises:
        InvalidOrder: naming the first attribute that the shop does not declare, or whose value is not of its type.
    """
    for within, sent, is_of_order in [
        ("", order.attributes, True),
        *((f"lines[{i}].", line.attributes, False) for i, line in enumerate(order.lines)),
    ]:
        if sent is not None and not attributes:
            raise InvalidOrder(f"{within}attributes", f"the shop declares no attributes [{UNKNOWN}]")
        problem = sent_problem(attributes, sent, is_of_order)
        if problem is not None:
            raise InvalidOrder(f"{within}{problem.field}", f"{problem.message} [{problem.rule}]")


def order_columns(order: Order, attributes: Attributes = ()) -> dict[str, list[Any]]:
    """The lines by column, named as in ``contracts.columns.ORDERS``, with ``line_value_cents`` and the attributes that the
    model may use: a protected one that it may not is not kept.
    """
    lines = order.lines
    n = len(lines)
    return {
        "order_id": [order.order_id] * n,
        "customer_id": [order.customer_id] * n,
        "country": [order.country] * n,
        "payment_method": [order.payment_method] * n,
        "device": [order.device] * n,
        "voucher_code": [order.voucher_code] * n,
        "line_id": [line.line_id for line in lines],
        "article_id": [line.article_id for line in lines],
        "size": [line.size for line in lines],
        "color": [line.color for line in lines],
        "product_group": [line.product_group for line in lines],
        "brand": [line.brand for line in lines],
        "quantity": [line.quantity for line in lines],
        "unit_price_cents": [line.unit_price_cents for line in lines],
        "list_price_cents": [line.list_price_cents for line in lines],
        "line_value_cents": [line.quantity * line.unit_price_cents for line in lines],
        **{a.name: _attribute_values(order, a) for a in attributes if a.is_used},
    }


def _attribute_values(order: Order, attribute: Attribute) -> list[int | str | None]:
    if attribute.entity.is_of_order:
        return [read_value(attribute, (order.attributes or {}).get(attribute.name))] * len(order.lines)
    return [read_value(attribute, (line.attributes or {}).get(attribute.name)) for line in order.lines]
