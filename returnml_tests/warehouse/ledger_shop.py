"""Events judged by the real writer, in a data root whose landing files and ledger a warehouse reads."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec

from returnml.clock import VirtualClock
from returnml.contracts.columns import STREAMS
from returnml.features.sets.order_line import ORDER_LINE
from returnml.instants import instant_us
from returnml.ledger.events import AnyEvent
from returnml.privacy.customers import AS_DELIVERED
from returnml.settings import DataPaths
from returnml.store.backend import Backend
from returnml.store.event_writer import (
    Applied,
    EventWriter,
)
from returnml.store.generation import Generation
from returnml.store.live import LiveStore
from returnml.store.lmdb.embedded import LmdbBackend
from returnml.store.reading.online import OnlineFeatures
from returnml.warehouse.answers.inference_tables import INPUTS as REQUEST_COLUMNS
from returnml.warehouse.ingest.outcomes import build_outcomes
from returnml.warehouse.ingest.raw_events import (
    EventsReport,
    ingest_events,
)
from returnml.warehouse.publishing.publication import publish_warehouse
from returnml_tests.warehouse.conftest import Shop


def placed(n: int | str, at: datetime, lines: int | list[dict[str, Any]] = 1, **changed: Any) -> dict[str, Any]:
    """An order of lines ``<n>-1``, ``<n>-2``…, of 2 pieces each, 20.00 a line; or of the given lines, changed so."""
    first = {"article_id": "a1", "quantity": 2, "unit_price_cents": 1000, "size": "M", "brand": "acme"}
    ids = [{"line_id": f"{n}-{i + 1}"} for i in range(lines)] if isinstance(lines, int) else lines
    shared = {"type": "order", "event_id": f"e-{n}", "occurred_at": at.isoformat() + "Z", "order_id": f"o-{n}"}
    about = {"customer_id": "c1", "currency": "EUR", "country": "DE", "lines": [first | line for line in ids]}
    return shared | about | changed


def came_back(n: int | str, line_id: str | None, at: datetime, **changed: Any) -> dict[str, Any]:
    shared = {"type": "return", "event_id": f"e-{n}", "occurred_at": at.isoformat() + "Z", "return_id": f"r-{n}"}
    return shared | {"line_id": line_id, "quantity": 1, "refund_cents": 1000, "currency": "EUR"} | changed


def inspected(n: int | str, return_id: str, at: datetime, **changed: Any) -> dict[str, Any]:
    shared = {"type": "inspection", "event_id": f"e-{n}", "occurred_at": at.isoformat() + "Z", "inspection_id": f"i-{n}"}
    return shared | {"return_id": return_id, "verdict": "as_new"} | changed


class LedgerShop:
    """Sends events by a virtual clock and reads them into the warehouse of a ``Shop``."""

    def __init__(self, shop: Shop, root: Path, start: datetime, backend: Backend | None = None) -> None:
        self.shop, self.con, self.paths = shop, shop.con, DataPaths(root)
        self.clock = VirtualClock(instant_us(start))
        self.backend = backend or LmdbBackend(self.paths.store)
        self.writer = EventWriter(self.backend, ORDER_LINE, self.clock, AS_DELIVERED)

    def publish(self, cut_off: datetime) -> Generation:
        """Of what was ingested, with the outcomes of the day before the cut-off."""
        day = (cut_off - timedelta(microseconds=1)).date()
        build_outcomes(self.con, day, day, self.shop.settings.label)
        return publish_warehouse(self.con, [ORDER_LINE], instant_us(cut_off), self.backend)

    def seen(self, at: datetime, **order: Any) -> tuple[int, dict[str, list[int | None]]]:
        """The mark and the exact raw features of an order, as the service would see it now."""
        columns = {name: [order.get(name)] for name in (*REQUEST_COLUMNS,)}
        vectors = OnlineFeatures(ORDER_LINE, LiveStore(self.backend, ORDER_LINE)).vectors(columns, instant_us(at))
        return vectors.seen.seq, vectors.raw()

    def send(self, at: datetime, *events: dict[str, Any]) -> list[Applied]:
        self.clock.advance_to(max(instant_us(at), self.clock.now_us()))
        return self.writer.submit([msgspec.convert(event, AnyEvent) for event in events])

    def ingest(self, first: date, last: date | None = None) -> EventsReport:
        """``raw.events`` and then every stream up to core, a range at once."""
        report = ingest_events(self.con, self.paths.ledger, first, last or first)
        for stream in STREAMS:
            self.shop.load(stream, first, last)
        return report
