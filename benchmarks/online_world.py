"""The shop that the online benchmarks read: a published generation with a year of history, and a live part after it."""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import duckdb
import msgspec

from returnml.clock import VirtualClock
from returnml.features.declarations import KeyGroup
from returnml.features.feature_set import FeatureSet
from returnml.features.sets.shop import activity
from returnml.features.windows import DAY_US
from returnml.ledger.events import AnyEvent
from returnml.privacy.customers import AS_DELIVERED
from returnml.store.backend import Backend
from returnml.store.event_writer import EventWriter
from returnml.warehouse.ingest.schema import ensure_schema
from returnml.warehouse.partition import open_warehouse
from returnml.warehouse.publishing.generation_content import publish_generation

CUSTOMERS, ARTICLES, LINES = 10_000, 4_000, 500_000
LIVE_EVENTS = 5_000
CUT_OFF_US = 1_735_689_600_000_000  # 2025-01-01T00:00:00Z
NOW_US = CUT_OFF_US + DAY_US // 2

_WINDOWS = ("7d", "30d", "90d", "365d")
TWO_STREAMS = FeatureSet(
    "two_streams",
    1,
    (),
    (),
    (
        KeyGroup("customer", ("customer_id",), activity(*_WINDOWS)),
        KeyGroup("article", ("article_id",), activity(*_WINDOWS)),
    ),
    (),
)
"""What the peers' benchmark reads: six counters of orders and returns over four windows, by customer and by article."""

_KEYS = """
    'c' || floor({customers} * pow(random(), 2))::INTEGER AS customer_id,
    'a' || floor({articles} * pow(random(), 1.5))::INTEGER AS article_id,
    ['S', 'M', 'L'][1 + floor(3 * random())::INTEGER] AS size
"""
_ATTRIBUTES = """
    'g' || (substr(article_id, 2)::INTEGER % 20) AS product_group,
    'b' || (substr(article_id, 2)::INTEGER % 50) AS brand,
    ['DE', 'AT', 'CH'][1 + substr(customer_id, 2)::INTEGER % 3] AS country,
    ['invoice', 'card'][1 + substr(customer_id, 2)::INTEGER % 2] AS payment_method
"""


def warehouse() -> duckdb.DuckDBPyConnection:
    """A year of order lines, of which every fourth came back after ten days and every one matured after 33."""
    con = open_warehouse(":memory:", threads=2)
    ensure_schema(con)
    con.execute("SELECT setseed(0.5)")
    keys = _KEYS.format(customers=CUSTOMERS, articles=ARTICLES)
    con.execute(
        f"CREATE TEMP TABLE lines AS SELECT *, {_ATTRIBUTES} FROM (SELECT n, {keys}, "
        "1 + floor(3 * random())::BIGINT AS quantity, "
        f"make_timestamp(({CUT_OFF_US} - (1 - n / {LINES}::DOUBLE) * 365 * {DAY_US}::DOUBLE)::BIGINT) AS known_at "
        f"FROM range({LINES}) t(n))"
    )
    shared = (
        "size, product_group, brand, country, payment_method, customer_id, article_id, quantity, 'l' || n AS line_id, n AS seq"
    )
    con.execute(
        f"INSERT INTO core.orders BY NAME SELECT {shared}, known_at, known_at::DATE AS known_day, known_at AS ordered_at, "
        "quantity * 1999 AS line_value_cents FROM lines"
    )
    for table, days, columns, rows in (
        ("returns", 10, "'r' || n AS return_id, quantity * 1999 AS refund_cents, false AS is_orphan", "n % 4 = 0"),
        ("outcomes", 33, "(n % 4 = 0)::BIGINT AS returned, quantity AS returned_quantity, 0 AS refund_cents", "true"),
    ):
        known_at = f"known_at + INTERVAL {days} DAY"
        con.execute(
            f"INSERT INTO core.{table} BY NAME SELECT {shared}, {known_at} AS known_at, ({known_at})::DATE AS known_day, "
            f"{columns} FROM lines WHERE {rows} AND {known_at} < make_timestamp({CUT_OFF_US})"
        )
    con.execute("DROP TABLE lines")
    return con


def live_events(seed: int = 2) -> list[AnyEvent]:
    """Half a day of orders of one line; every fourth event is the return of an earlier line."""
    chance = random.Random(seed)
    made: list[dict[str, Any]] = []
    for i in range(LIVE_EVENTS):
        at = datetime.fromtimestamp(CUT_OFF_US // 1_000_000, UTC) + timedelta(hours=12) * (i / LIVE_EVENTS)
        head = {"event_id": f"e{i}", "occurred_at": at, "currency": "EUR"}
        if i % 4 == 3:
            returned = {"type": "return", "return_id": f"live-{i}", "line_id": f"live-{i - 3}", "quantity": 1}
            made.append(head | returned | {"refund_cents": 1999})
            continue
        order = request(chance, 1)
        line = {name: order[name][0] for name in ("article_id", "size", "product_group", "brand")}
        of_order = {name: order[name][0] for name in ("customer_id", "country", "payment_method")}
        line |= {"line_id": f"live-{i}", "quantity": 1, "unit_price_cents": 1999}
        made.append(head | {"type": "order", "order_id": f"o{i}", "lines": [line]} | of_order)
    return msgspec.convert(made, list[AnyEvent])


def request(chance: random.Random, lines: int = 5) -> dict[str, list[Any]]:
    """An order's columns: one customer and ``lines`` different articles, drawn as the history was."""
    customer = int(CUSTOMERS * chance.random() ** 2)
    articles: set[int] = set()
    while len(articles) < lines:
        articles.add(int(ARTICLES * chance.random() ** 1.5))
    of_order = {
        "order_id": "o",
        "customer_id": f"c{customer}",
        "country": ("DE", "AT", "CH")[customer % 3],
        "payment_method": ("invoice", "card")[customer % 2],
        "device": None,
        "voucher_code": None,
    }
    of_line = [
        {
            "line_id": f"l{a}",
            "article_id": f"a{a}",
            "size": chance.choice("SML"),
            "color": None,
            "product_group": f"g{a % 20}",
            "brand": f"b{a % 50}",
            "quantity": 1,
            "unit_price_cents": 1999,
            "list_price_cents": 2499,
            "line_value_cents": 1999,
        }
        for a in sorted(articles)
    ]
    return {name: [value] * lines for name, value in of_order.items()} | {
        name: [line[name] for line in of_line] for name in of_line[0]
    }


def requests(n: int = 2_000, seed: int = 1) -> list[dict[str, list[Any]]]:
    chance = random.Random(seed)
    return [request(chance) for _ in range(n)]


def publish(con: duckdb.DuckDBPyConnection, feature_set: FeatureSet, backend: Backend, events: Sequence[AnyEvent]) -> None:
    """A generation of the history, and ``events`` after it."""
    publish_generation(con, [feature_set], CUT_OFF_US, backend)
    clock = VirtualClock(CUT_OFF_US)
    writer = EventWriter(backend, feature_set, clock, AS_DELIVERED)
    for i in range(0, len(events), 500):
        clock.advance_to(CUT_OFF_US + DAY_US // 2 * i // max(len(events), 1))
        writer.submit(events[i : i + 500])
    writer.close()
