"""Online Retail as a shop would send it while it happens: orders to be scored and events to be pushed, in order of time.

What real traffic does to events is injected, seeded: orders and returns that arrive days late, events sent twice, returns
that contradict their order, come from the future or have an unknown schema version, and what is no event at all.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any

import polars as pl

from returnml.features.windows import DAY_US, HOUR_US, MINUTE_US
from returnml.instants import (
    instant,
    instant_us,
)
from returnml.sources.online_retail import read_files, to_streams

LATE_ORDERS, LATE_RETURNS, SENT_TWICE, CONTRADICTORY, INSPECTED = 0.02, 0.1, 0.03, 0.02, 0.1
_LINE = ("line_id", "article_id", "quantity", "unit_price_cents", "product_group", "color")
VERDICTS = ("as_new", "worn", "damaged", "unheard_of")


@dataclass(frozen=True)
class Sending:
    """What the shop does at one moment.

    Attributes:
        order: to be scored, as ``POST /v1/score`` takes it.
        events: to be pushed after that, as one batch.
    """

    at_us: int
    order: dict[str, Any] | None = None
    events: tuple[dict[str, Any], ...] = ()


@dataclass
class Traffic:
    """Everything that is sent, ascending in time, and how often something was injected."""

    sendings: list[Sending]
    lines: int
    injected: Counter[str] = field(default_factory=Counter)


def traffic(folder: Path, first: date, last: date, seed: int) -> Traffic:
    """The days ``first`` to ``last`` (inclusive) of the shop in ``folder``.

    Left out is what a shop's checkout does not sell: rows without a customer, without a price, or that are no goods.
    """
    orders, returns, _ = to_streams(read_files(folder))
    made = _Injecting(random.Random(seed), last)
    sold = orders.filter("is_goods", pl.col("customer_id").is_not_null(), pl.col("quantity") > 0, pl.col("unit_price_cents") > 0)
    lines = 0
    for rows in _by_order(_between(sold, "ordered_at", first, last)):
        lines += len(rows)
        made.order(rows)
    came_back = returns.filter("is_goods", pl.col("quantity") > 0)
    for row in _between(came_back, "returned_at", first, last).iter_rows(named=True):
        made.came_back(row)
    return Traffic(sorted(made.sendings, key=lambda s: s.at_us), lines, made.injected)


class _Injecting:
    """Turns rows into sendings, some of them late, doubled or wrong; nothing is sent after the last day."""

    def __init__(self, chance: random.Random, last: date) -> None:
        self._chance = chance
        self._end_us = instant_us(datetime(last.year, last.month, last.day)) + DAY_US
        self.sendings: list[Sending] = []
        self.injected: Counter[str] = Counter()

    def order(self, rows: Sequence[dict[str, Any]]) -> None:
        """An order of these lines: scored at its time, pushed right after that or late."""
        chance, row = self._chance, rows[0]
        at_us = instant_us(row["ordered_at"]) + chance.randrange(MINUTE_US)
        shared = {name: row[name] for name in ("order_id", "customer_id", "currency", "country")}
        lines = [{name: line[name] for name in _LINE if line[name] is not None} for line in rows]
        scored = shared | {"lines": lines}
        events = (self._event("order", row["line_id"], row["ordered_at"], scored),)
        if chance.random() < LATE_ORDERS:
            self._send(at_us, order=scored)
            self._late("order, hours to days after it was scored", at_us + chance.randrange(HOUR_US, 3 * DAY_US), events)
        else:
            self._send(at_us, scored, events)
        self._twice(at_us, events)

    def came_back(self, row: dict[str, Any]) -> None:
        chance, name = self._chance, row["return_id"]
        at_us = instant_us(row["returned_at"]) + chance.randrange(MINUTE_US)
        about = ("return_id", "quantity", "refund_cents", "currency", "line_id", "customer_id", "article_id")
        body = {field_name: row[field_name] for field_name in about if row[field_name] is not None}
        event = self._event("return", name, row["returned_at"], body)
        if chance.random() < CONTRADICTORY:
            self._contradict(at_us, event)
        if chance.random() < LATE_RETURNS:
            at_us += chance.randrange(DAY_US, 10 * DAY_US)
            self._late("return, days late", at_us, (event,))
        else:
            self._send(at_us, events=(event,))
        self._twice(at_us, (event,))
        if chance.random() < INSPECTED:
            inspected_us = at_us + chance.randrange(DAY_US)
            verdict = {"inspection_id": f"i-{name}", "return_id": name, "verdict": chance.choice(VERDICTS)}
            inspection = self._event("inspection", f"i-{name}", instant(inspected_us), verdict)
            self._send(inspected_us, events=(inspection,))

    def _contradict(self, at_us: int, event: dict[str, Any]) -> None:
        kind = self._chance.choice(("too many pieces", "from the future", "before its order", "of an unknown schema", "no event"))
        wrong = event | {"event_id": f"wrong-{event['event_id']}", "return_id": f"wrong-{event['return_id']}"}
        if kind == "too many pieces":
            wrong |= {"quantity": 100_000}
        elif kind == "from the future":
            wrong |= {"occurred_at": _text(instant(at_us + HOUR_US))}
        elif kind == "before its order":
            wrong |= {"occurred_at": "2009-01-01T00:00:00+00:00"}
        elif kind == "of an unknown schema":
            wrong |= {"schema_version": 99}
        else:
            wrong |= {"quantity": "many"}
        self.injected[f"return {kind}"] += self._send(at_us, events=(wrong,))

    def _late(self, what: str, at_us: int, events: tuple[dict[str, Any], ...]) -> None:
        self.injected[what] += self._send(at_us, events=events)

    def _twice(self, at_us: int, events: tuple[dict[str, Any], ...]) -> None:
        if self._chance.random() < SENT_TWICE:
            again_us = at_us + self._chance.randrange(2 * DAY_US)
            self.injected["sent twice"] += self._send(again_us, events=events)

    def _send(self, at_us: int, order: dict[str, Any] | None = None, events: tuple[dict[str, Any], ...] = ()) -> bool:
        if at_us >= self._end_us:
            return False
        self.sendings.append(Sending(at_us, order, events))
        return True

    @staticmethod
    def _event(kind: str, name: str, at: datetime, body: dict[str, Any]) -> dict[str, Any]:
        return {"type": kind, "event_id": f"{kind}-{name}", "occurred_at": _text(at)} | body


def _between(rows: pl.DataFrame, column: str, first: date, last: date) -> pl.DataFrame:
    return rows.filter(pl.col(column).dt.date().is_between(first, last)).sort(column, maintain_order=True)


def _by_order(rows: pl.DataFrame) -> Iterator[list[dict[str, Any]]]:
    """The lines of each order; one whose lines are of two minutes or two customers is two."""
    keys = itemgetter("ordered_at", "order_id", "customer_id", "country")
    for _, lines in groupby(sorted(rows.iter_rows(named=True), key=keys), key=keys):
        yield list(lines)


def _text(at: datetime) -> str:
    return at.replace(tzinfo=UTC).isoformat()
