"""``features.customers``: every customer known before the cut-off, exact, from streams and from tiles."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from pathlib import Path

import duckdb
import numpy as np
import pytest

from returnml.clock import VirtualClock
from returnml.features.sets.customer import CUSTOMER
from returnml.features.vector import assemble
from returnml.pipeline.checks import feature_checks as checks
from returnml.privacy.customers import AS_DELIVERED
from returnml.settings import DataPaths
from returnml.sources.simulator.simulation import simulate
from returnml.sources.simulator.simulation_plan import Plan
from returnml.tasks.live_sets import TILE_GROUPS
from returnml.warehouse.features.customer_vectors import build_customers
from returnml.warehouse.features.tile_tables import build_tiles
from returnml_tests.oracle import Event, Moment, group_aggregates, request_and_basket
from returnml_tests.store.test_parity import build_warehouse

FIRST, DAYS = date(2024, 1, 1), 50
LAST = FIRST + timedelta(days=DAYS - 1)
CUT_OFF = datetime(2024, 2, 20)
EPOCH = datetime(1970, 1, 1)


def build_shop(folder: Path) -> duckdb.DuckDBPyConnection:
    data = DataPaths(folder)
    simulate(Plan(days=DAYS, lines_per_day=40, seed=3, start=FIRST), data, VirtualClock(1_800_000_000_000_000), AS_DELIVERED)
    return build_warehouse(data.landing, FIRST, LAST)


@pytest.fixture(scope="module")
def shop(tmp_path_factory) -> duckdb.DuckDBPyConnection:
    return build_shop(tmp_path_factory.mktemp("customers"))


def rows(con, cut_off):
    columns = ", ".join(f'"{name}"' for name in CUSTOMER.outputs)
    found = con.execute(
        f"SELECT customer_id, {columns} FROM features.customers WHERE day = ? ORDER BY customer_id", [cut_off.date()]
    ).fetchall()
    return {key: np.array([np.nan if v is None else v for v in values], np.float32) for key, *values in found}


def expected(con, customer, cut_off):
    """By the oracle, from the customer's own events."""
    streams = {}
    for stream in CUSTOMER.groups[0].streams:
        columns = [*stream.columns, *stream.texts]
        events = con.execute(
            f"SELECT seq, epoch_us(known_at), {', '.join(columns)} FROM {stream.table} WHERE customer_id = ?", [customer]
        ).fetchall()
        streams[stream.name] = [
            Event(seq, at, {"customer_id": customer}, dict(zip(columns, values, strict=True))) for seq, at, *values in events
        ]
    at = (cut_off - EPOCH) // timedelta(microseconds=1)
    moment = Moment(customer, at, at, at, {"customer_id": customer}, {"order_id": None})
    raw = request_and_basket(CUSTOMER, [], moment)
    for group in CUSTOMER.groups:
        raw |= group_aggregates(group, streams, moment)
    return assemble(CUSTOMER, {n: np.array([np.nan if v is None else float(v)]) for n, v in raw.items()})[0]


def test_every_known_customer_has_the_oracles_vector(shop):
    report = build_customers(shop, CUSTOMER, CUT_OFF)
    found = rows(shop, CUT_OFF)
    known = {row[0] for row in shop.execute("SELECT DISTINCT customer_id FROM core.orders").fetchall()}
    assert set(found) == known
    assert report.rows == len(known) > 100
    assert sum(vector[CUSTOMER.outputs.index("customer_returns_count_30d")] > 0 for vector in found.values()) > 20
    for customer in sorted(known)[::10]:
        assert found[customer].tobytes() == expected(shop, customer, CUT_OFF).tobytes(), customer


def test_a_cut_off_inside_a_day_and_another_partition(shop):
    build_customers(shop, CUSTOMER, CUT_OFF)
    earlier = datetime(2024, 1, 10, 13, 30)
    report = build_customers(shop, CUSTOMER, earlier)
    found = rows(shop, earlier)
    assert 0 < report.rows == len(found) < len(rows(shop, CUT_OFF))
    for customer in sorted(found)[::10]:
        assert found[customer].tobytes() == expected(shop, customer, earlier).tobytes(), customer
    assert build_customers(shop, CUSTOMER, earlier) == report


def test_tiles_that_serve_all_feature_sets_give_the_same_bits(shop):
    plain = build_customers(shop, CUSTOMER, CUT_OFF)
    [group] = [g for g in TILE_GROUPS if g.name == "customer"]
    build_tiles(shop, group, FIRST, LAST)
    assert build_customers(shop, CUSTOMER, CUT_OFF).content_hash == plain.content_hash
    # The tiles are what is read: other totals give other vectors.
    shop.execute("UPDATE features.tiles_customer SET orders_count = orders_count + 1")
    assert build_customers(shop, CUSTOMER, CUT_OFF).content_hash != plain.content_hash
    shop.execute("DROP TABLE features.tiles_customer")
    shop.execute("DELETE FROM ops.partitions WHERE table_name = 'features.tiles_customer'")


def verdicts(con):
    return {r.check_name: r.passed for r in checks.customer_results(con, CUSTOMER, CUT_OFF)}


@pytest.mark.parametrize(
    ("damage", "failing"),
    [
        ("DELETE FROM features.customers WHERE customer_id = (SELECT min(customer_id) FROM features.customers)", "one_row"),
        ("INSERT INTO features.customers SELECT * FROM features.customers LIMIT 1", "one_row"),
        (
            "UPDATE features.customers SET customer_id = 'nobody' WHERE rowid = 0",
            "one_row",
        ),
        ("UPDATE features.customers SET derived_until = derived_until - INTERVAL 1 DAY", "one_moment"),
        ("UPDATE features.customers SET feature_set_hash = 'other'", "one_moment"),
    ],
    ids=["lost", "twice", "unknown", "moment", "hash"],
)
def test_the_checks_catch_what_is_wrong(shop, damage, failing):
    shop.execute("DROP TABLE IF EXISTS features.customers")
    build_customers(shop, CUSTOMER, CUT_OFF)
    assert verdicts(shop) == {"one_row_per_customer": True, "one_moment": True}
    shop.execute(damage)
    assert next(name for name, passed in verdicts(shop).items() if not passed).startswith(failing)
