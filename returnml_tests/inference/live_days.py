"""A shop that goes live: history as landing files, then days of scores and events by the clock, with nightly runs."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from litestar.testing import TestClient

from returnml.clock import (
    FileClockDriver,
    VirtualClock,
)
from returnml.commands.line import LineRun, run_job
from returnml.contracts.columns import ORDERS, RETURNS
from returnml.features.windows import DAY_US
from returnml.modeling.data.drift_reference import (
    Reference,
    describe,
)
from returnml.privacy.customers import AS_DELIVERED
from returnml.release.folder import write_release
from returnml.settings import DataPaths, DriftSettings, PrivacySettings, ServingSettings, Settings
from returnml.sources.simulator.simulation import simulate
from returnml.sources.simulator.simulation_plan import Plan
from returnml.warehouse.ingest.raw_streams import ingest_raw
from returnml.warehouse.ingest.validate import build_core
from returnml.warehouse.partition import open_warehouse
from returnml_tests.inference.conftest import OF_LINE, OF_ORDER, OF_RETURN, present
from returnml_tests.roots import rooted
from returnml_tests.serving import shop
from returnml_tests.waiting import PATIENT_LIMITS
from serving.app import create_app

FIRST = date(2025, 1, 1)
HISTORY_DAYS, LIVE_DAYS = 40, 3
GO_LIVE = FIRST + timedelta(days=HISTORY_DAYS)
NIGHT_US = 4 * 3_600_000_000
Event = dict[str, Any]


def start_us(day: date) -> int:
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()) * 1_000_000


def day_of_live(n: int) -> date:
    """The n-th day after going live, from 0."""
    return GO_LIVE + timedelta(days=n)


@dataclass
class Moment:
    """What happens at one instant: orders are scored, then all is sent."""

    at_us: int
    orders: list[Event] = field(default_factory=list)
    others: list[Event] = field(default_factory=list)


def world(root: Path) -> list[Moment]:
    """What a simulated shop would have delivered on the live days, as events, with an inspection of every third return."""
    plan = Plan(days=HISTORY_DAYS + LIVE_DAYS, lines_per_day=40, seed=11, start=FIRST)
    simulate(plan, DataPaths(root), VirtualClock(0), AS_DELIVERED)
    con = open_warehouse(":memory:", threads=1)
    last = day_of_live(LIVE_DAYS - 1)
    for stream in (ORDERS, RETURNS):
        ingest_raw(con, stream, FIRST, last, DataPaths(root).landing, Settings())
        build_core(con, stream, FIRST, last)
    names = (*OF_ORDER, *OF_LINE)
    found: dict[int, Moment] = {}
    rows = con.execute(
        f"SELECT epoch_us(known_at) AS at_us, order_id, {', '.join(names)} FROM core.orders WHERE known_day >= ? "
        "ORDER BY at_us, order_id, line_id",
        [GO_LIVE],
    ).fetchall()
    for (at_us, _), lines in groupby(rows, key=itemgetter(0, 1)):
        records = [dict(zip(names, line[2:], strict=True)) for line in lines]
        order = present(records[0], OF_ORDER) | {"lines": [present(r, OF_LINE) for r in records]}
        found.setdefault(at_us, Moment(at_us)).orders.append(order)
    returns = con.execute(
        f"SELECT epoch_us(known_at), {', '.join(OF_RETURN)} FROM core.returns WHERE known_day >= ? ORDER BY known_at, return_id",
        [GO_LIVE],
    ).fetchall()
    con.close()
    for n, (at_us, *values) in enumerate(returns):
        event = _event("return", at_us, present(dict(zip(OF_RETURN, values, strict=True)), OF_RETURN))
        moment = found.setdefault(at_us, Moment(at_us))
        moment.others.append(event)
        if n % 3 == 0:
            about = {"inspection_id": f"i-{event['return_id']}", "return_id": event["return_id"], "verdict": "worn"}
            moment.others.append(_event("inspection", at_us, about))
    return [found[at_us] for at_us in sorted(found)]


def _event(kind: str, at_us: int, body: Event) -> Event:
    event_id = f"{kind}:{body[f'{kind}_id']}"
    return {"type": kind, "event_id": event_id, "occurred_at": instant(at_us), **body}


def instant(at_us: int) -> str:
    return datetime.fromtimestamp(at_us / 1e6, UTC).isoformat()


class LiveDays:
    """The shop: its data root, its clock, and what its service answered."""

    def __init__(self, data: Path, source: Path) -> None:
        self.moments = world(source)
        self.clock = FileClockDriver(DataPaths(rooted(data)).replay_clock, start_us(GO_LIVE) - 1)
        self.settings = Settings(
            data=str(data),
            go_live=f"{GO_LIVE}T00:00:00+00:00",
            replay_clock=str(DataPaths(data).replay_clock),
            serving=ServingSettings(log_policy="require", limits=PATIENT_LIMITS),
            privacy=PrivacySettings("as_delivered"),
            drift=DriftSettings(min_rows=1_000_000),
        )
        self.paths = self.settings.paths
        # What was handed over, too: a file of a delivery without its record is not seen.
        shutil.copytree(DataPaths(source).landing / "deliveries", self.paths.landing / "deliveries")
        for day in DataPaths(source).landing.glob("*/????-??-??"):
            if date.fromisoformat(day.name) < GO_LIVE:
                shutil.copytree(day, self.paths.landing / day.parent.name / day.name)
        self.statuses: dict[str, str] = {}
        self.duplicates = 0
        self.order: Event = {}
        self.sent: Event = {}
        self.marks: list[int] = []
        _deploy(data)

    def live(self, until_us: int) -> None:
        """Score each order just before it is sent, and send everything, as long as it happens before ``until_us``."""
        with TestClient(create_app(self.settings, self.clock)) as client:
            while self.moments and self.moments[0].at_us < until_us:
                moment = self.moments.pop(0)
                if moment.orders:
                    self.order = moment.orders[0]
                    self.sent = _event("order", moment.at_us, self.order)
                self.reach(moment.at_us - 1)
                for order in moment.orders:
                    answer = client.post("/v1/score", json=order)
                    assert answer.status_code == 200, answer.text
                    self.marks.append(answer.json()["features"]["seq"])
                self.reach(moment.at_us)
                self.send(client, *(_event("order", moment.at_us, order) for order in moment.orders), *moment.others)

    def dirt(self) -> None:
        """What else a shop sends: twice the same, orphans, late news, and what is refused."""
        at_us = n = self.clock.now_us()
        yesterday, late = instant(at_us - DAY_US), instant(at_us - 9 * DAY_US)
        known = self.order
        money = {"quantity": 1, "refund_cents": 100, "currency": "EUR"}
        orphan = {"type": "return", "event_id": f"orphan:{n}", "return_id": f"orphan-{n}", "line_id": None, **money}
        line = {"article_id": known["lines"][0]["article_id"], "quantity": 1, "unit_price_cents": 100}
        order = {"customer_id": known["customer_id"], "currency": "EUR", "occurred_at": yesterday, "type": "order"}
        with TestClient(create_app(self.settings, self.clock)) as client:
            self.send(
                client,
                self.sent,
                orphan | {"occurred_at": late, "customer_id": known["customer_id"], "article_id": line["article_id"]},
                orphan | {"occurred_at": late, "event_id": f"nobody:{n}", "return_id": f"nobody-{n}"},
                order | {"event_id": f"late:{n}", "order_id": f"late-{n}", "lines": [line | {"line_id": f"late-{n}"}]},
                order | {"event_id": f"no:{n}", "order_id": f"no-{n}", "lines": [line | {"line_id": f"no-{n}", "quantity": 0}]},
                {"type": "inspection", "event_id": f"i:{n}", "inspection_id": f"i{n}", "return_id": "no", "verdict": "worn"}
                | {"occurred_at": yesterday},
            )

    def send(self, client: TestClient, *events: Event) -> None:
        if not events:
            return
        answer = client.post("/v1/events", json=list(events))
        assert answer.status_code == 202, answer.text
        for event, item in zip(events, answer.json()["events"], strict=True):
            if item["status"] == "duplicate":
                assert self.statuses[event["event_id"]] == "accepted"
                self.duplicates += 1
            else:
                self.statuses[event["event_id"]] = item["status"]

    def night(self, first: date, last: date, after_us: int = NIGHT_US) -> LineRun:
        """The daily job for days that have ended, so long after the end of the last one."""
        self.reach(start_us(last) + DAY_US + after_us)
        return run_job(self.settings, "daily_job", first, last, is_quiet=True)

    def reach(self, at_us: int) -> None:
        self.clock.advance_to(max(at_us, self.clock.now_us()))

    def rows(self, query: str) -> list[tuple]:
        con = open_warehouse(self.paths.warehouse, read_only=True)
        try:
            return con.execute(query).fetchall()
        finally:
            con.close()


def _deploy(data: Path) -> None:
    """A release that the test can work out; no drift is measured against it."""
    reference = Reference(rows=1, features={}, score=describe(np.array([0.5]), 2))
    files = {"model.onnx": shop.graph(), "reference.json": msgspec.json.encode(reference)}
    release = write_release(DataPaths(data).releases, shop.manifest(), files)
    shop.make_champion_of(data, release.version)
