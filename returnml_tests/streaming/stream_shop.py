"""A published shop, events for it as messages, and consumers of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from returnml.clock import VirtualClock
from returnml.features.sets.order_line import ORDER_LINE
from returnml.ledger.event_records import (
    Judged,
    decode_payload,
)
from returnml.ledger.record_log import read
from returnml.settings import DataPaths, KafkaSettings, Settings
from returnml.store.inlet import EventInlet
from returnml.streaming.consumer import EventConsumer, Taken
from returnml.streaming.dead_letters import dead_letters
from returnml_tests.serving import shop

TOPIC = "events"
GROUP = "shop"
AT = "2011-06-15T11:59:00Z"
QUICK = {"session.timeout.ms": 10_000, "heartbeat.interval.ms": 100, "reconnect.backoff.max.ms": 200}


def placed(number: int, **changed: Any) -> bytes:
    """Order ``e<number>`` of customer c1, one piece of a1."""
    line = {"line_id": f"n{number}-1", "article_id": "a1", "quantity": 1, "unit_price_cents": 2000, "size": "M"}
    event = {"type": "order", "event_id": f"e{number}", "occurred_at": AT, "order_id": f"n{number}", "customer_id": "c1"}
    return msgspec.json.encode(event | {"currency": "EUR", "lines": [line]} | changed)


def returned(number: int, line_id: str, **changed: Any) -> bytes:
    event = {"type": "return", "event_id": f"r{number}", "occurred_at": AT, "return_id": f"back{number}", "line_id": line_id}
    return msgspec.json.encode(event | {"quantity": 1, "refund_cents": 2000, "currency": "EUR"} | changed)


def inspected(number: int, return_id: str) -> bytes:
    event = {"type": "inspection", "event_id": f"i{number}", "occurred_at": AT, "inspection_id": f"i{number}"}
    return msgspec.json.encode(event | {"return_id": return_id, "verdict": "worn"})


def settings(data: Path, servers: str, **changed: Any) -> Settings:
    kafka = {"bootstrap_servers": servers, "topic": TOPIC, "group_id": GROUP, "options": QUICK} | changed
    return msgspec.structs.replace(shop.settings(data), kafka=KafkaSettings(**kafka))


def consumer(chosen: Settings, changed: Callable[[Taken], None] = lambda _: None) -> EventConsumer:
    clock = VirtualClock(shop.now_us())
    inlet = EventInlet(chosen, ORDER_LINE, clock)
    return EventConsumer(chosen.kafka, inlet, dead_letters(chosen, clock, lambda _: None), changed)


def consume(chosen: Settings) -> EventConsumer:
    """Take everything in that is there."""
    found = consumer(chosen)
    found.run(lambda: False, until_end=True)
    return found


def ledger(data: Path) -> list[Judged]:
    return [decode_payload(record) for record in read(DataPaths(data).ledger)]


def ids(data: Path) -> list[str]:
    return [judged.event.event_id for judged in ledger(data)]
