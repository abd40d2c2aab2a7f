"""``features.returns``: which returns have a vector, what was known before each, and the oracle's vectors for a shop."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Any

import duckdb
import numpy as np
import pytest

from returnml.clock import VirtualClock
from returnml.features.request_inputs import RequestPlan
from returnml.features.sets.return_request import (
    RETURN_REQUEST,
    SHARED_GROUPS,
)
from returnml.features.union import holder
from returnml.features.vector import assemble
from returnml.pipeline.checks import feature_checks as checks
from returnml.privacy.customers import AS_DELIVERED
from returnml.settings import DataPaths
from returnml.sources.simulator.simulation import simulate
from returnml.sources.simulator.simulation_plan import Plan
from returnml.tasks.live_sets import FEATURE_SETS, TILE_GROUPS
from returnml.warehouse.features.feature_errors import FeatureError
from returnml.warehouse.features.return_vectors import build_returns
from returnml.warehouse.features.tile_tables import build_tiles
from returnml_tests.oracle import Event, Moment, group_aggregates, request_and_basket
from returnml_tests.store.test_parity import build_warehouse
from returnml_tests.warehouse.conftest import D1, D2, D3, Shop, order, returned

FIRST, DAYS = date(2024, 1, 1), 40
LAST = FIRST + timedelta(days=DAYS - 1)


def inspected(return_id: str, at: datetime, verdict: str) -> dict[str, Any]:
    return {"inspection_id": f"i-{return_id}", "return_id": return_id, "inspected_at": at, "verdict": verdict}


def load(shop: Shop, returns: list[dict[str, Any]], inspections: list[dict[str, Any]]) -> None:
    """Orders on the first day, returns and inspections on the day of each."""
    lines = [order(f"l{i}", order_id=f"o{i}", product_group="shoes") for i in range(5)]
    for stream, column, rows in (
        ("orders", "ordered_at", lines),
        ("returns", "returned_at", returns),
        ("inspections", "inspected_at", inspections),
    ):
        for day in (D1, D2, D3):
            shop.deliver(stream, day, [row for row in rows if row[column].date() == day])
        shop.load(stream, D1, D3)


def values(shop: Shop, *names: str) -> dict[str, tuple]:
    return {key: tuple(rest) for key, *rest in shop.rows(f"SELECT return_id, {', '.join(names)} FROM features.returns")}


def test_a_return_sees_what_was_known_strictly_before_it(shop: Shop):
    noon = datetime(2024, 5, 2, 12)
    second = datetime(2024, 5, 3, 12)
    returns = [
        returned("r0", "l0", noon, quantity=1, reason="quality"),
        returned("r1", "l1", noon, quantity=2, refund_cents=2000),  # at the same instant: neither sees the other
        returned("r2", "l0", second, quantity=1),
        returned("r3", "l2", second + timedelta(microseconds=1)),
    ]
    inspections = [
        inspected("r0", datetime(2024, 5, 2, 18), "worn"),
        inspected("r1", second, "empty_box"),  # at the instant of r2: seen by r3 only
        inspected("r2", datetime(2024, 5, 3, 18), "worn"),
    ]
    load(shop, returns, inspections)
    report = build_returns(shop.con, RETURN_REQUEST, D1, D3)
    assert report.rows == 4
    found = values(
        shop,
        "customer_returns_count_30d",
        "line_returns_count_lifetime",
        "share_of_line_returned",
        "share_of_line_returned_before",
        "inspected_customer_inspections_count_lifetime",
        "inspected_customer_inspections_is_abuse_sum_lifetime",
        "days_since_order",
    )
    assert found == {
        "r0": (0, 0, 0.5, 0, 0, 0, pytest.approx(26 / 24)),
        "r1": (0, 0, 1.0, 0, 0, 0, pytest.approx(26 / 24)),
        "r2": (2, 1, 0.5, 0.5, 1, 1, pytest.approx(50 / 24)),
        "r3": (3, 0, 0.5, 0, 2, 2, pytest.approx(50 / 24)),
    }
    assert values(shop, "reason IS NULL") == {"r0": (False,), "r1": (True,), "r2": (True,), "r3": (True,)}


def test_cancellations_and_orphans_are_no_rows(shop: Shop):
    at = datetime(2024, 5, 2, 12)
    returns = [
        returned("kept", "l0", at),
        returned("cancelled", "l1", at, quantity=2, is_cancellation=True),
        returned("orphan", None, at, customer_id="c1", article_id="a"),
    ]
    load(shop, returns, [])
    build_returns(shop.con, RETURN_REQUEST, D1, D3)
    assert list(values(shop, "quantity")) == ["kept"]
    results = checks.vector_results(checks.RETURNS, shop.con, RETURN_REQUEST, D1, D3)
    assert all(r.passed for r in results), results
    shop.con.execute("DELETE FROM features.returns")
    found = {r.check_name: r.passed for r in checks.vector_results(checks.RETURNS, shop.con, RETURN_REQUEST, D1, D3)}
    assert not found["one_row_per_key"]


def test_inspections_of_an_older_version_are_named(shop: Shop):
    at = datetime(2024, 5, 2, 12)
    load(shop, [returned("r0", "l0", at)], [inspected("r0", at + timedelta(hours=1), "worn")])
    shop.con.execute("UPDATE core.inspections SET is_abuse = NULL")
    with pytest.raises(FeatureError, match=r"core\.inspections has no is_abuse from 2024-05-02 to 2024-05-02"):
        build_returns(shop.con, RETURN_REQUEST, D3, D3)
    assert build_returns(shop.con, RETURN_REQUEST, D1, D1).rows == 0


def test_groups_over_orders_read_the_tiles_of_the_live_feature_sets():
    for group in SHARED_GROUPS:
        assert holder(group, TILE_GROUPS) in TILE_GROUPS, group.name


def test_what_is_not_served_is_in_no_generation_and_refused_online():
    assert RETURN_REQUEST not in FEATURE_SETS
    with pytest.raises(ValueError, match="request input 'reason': text is read in batch only"):
        RequestPlan(RETURN_REQUEST)


@pytest.fixture(scope="module")
def simulated(tmp_path_factory) -> duckdb.DuckDBPyConnection:
    data = DataPaths(tmp_path_factory.mktemp("returns"))
    simulate(Plan(days=DAYS, lines_per_day=30, seed=4, start=FIRST), data, VirtualClock(1_800_000_000_000_000), AS_DELIVERED)
    return build_warehouse(data.landing, FIRST, LAST)


def expected(con: duckdb.DuckDBPyConnection, return_id: str) -> np.ndarray:
    """By the oracle, from the events of the return's keys."""
    asked = con.execute(
        "SELECT epoch_us(r.known_at) AS at, epoch_us(r.ordered_at) AS ordered_at, r.quantity AS returned_quantity, r.* EXCLUDE "
        "(ordered_at, quantity), o.quantity, o.unit_price_cents, o.list_price_cents, o.line_value_cents, o.voucher_code "
        "FROM core.returns r JOIN core.orders o USING (line_id) WHERE return_id = ?",
        [return_id],
    )
    request = dict(zip([column[0] for column in asked.description], asked.fetchall()[0], strict=True)) | {"order_id": None}
    keys = {key: request[key] for group in RETURN_REQUEST.groups for key in group.keys}
    moment = Moment(return_id, request["at"], request["at"], request["at"], keys, request)
    raw = request_and_basket(RETURN_REQUEST, [], moment)
    for group in RETURN_REQUEST.groups:
        streams = {}
        for stream in group.streams:
            columns = [*stream.columns, *stream.texts]
            same = " AND ".join(f"{key} = ?" for key in group.keys)
            rows = con.execute(
                f"SELECT seq, epoch_us(known_at), {', '.join(columns)} FROM {stream.table} WHERE {same}",
                [keys[key] for key in group.keys],
            ).fetchall()
            streams[stream.name] = [
                Event(seq, at, {key: keys[key] for key in group.keys}, dict(zip(columns, found, strict=True)))
                for seq, at, *found in rows
            ]
        raw |= group_aggregates(group, streams, moment)
    return assemble(RETURN_REQUEST, {n: np.array([np.nan if v is None else float(v)]) for n, v in raw.items()})[0]


def vectors(con: duckdb.DuckDBPyConnection) -> dict[str, np.ndarray]:
    columns = ", ".join(f'"{name}"' for name in RETURN_REQUEST.outputs)
    found = con.execute(f"SELECT return_id, {columns} FROM features.returns ORDER BY day, return_id").fetchall()
    return {key: np.array([np.nan if v is None else v for v in rest], np.float32) for key, *rest in found}


def test_vectors_are_the_oracles(simulated: duckdb.DuckDBPyConnection):
    report = build_returns(simulated, RETURN_REQUEST, FIRST, LAST)
    found = vectors(simulated)
    assert report.rows == len(found) > 150
    # Histories, not blanks, are compared.
    for name in ("inspected_customer_inspections_count_lifetime", "inspected_product_group_inspections_is_abuse_sum_365d"):
        assert sum(vector[RETURN_REQUEST.outputs.index(name)] > 0 for vector in found.values()) > 20, name
    for key in list(found)[::8]:
        assert found[key].tobytes() == expected(simulated, key).tobytes(), key


def test_day_by_day_and_from_tiles_the_bits_are_the_same(simulated: duckdb.DuckDBPyConnection):
    whole = build_returns(simulated, RETURN_REQUEST, FIRST, LAST)
    last_days = [LAST - timedelta(days=n) for n in (2, 1, 0)]
    query = "SELECT day, content_hash FROM ops.partitions WHERE table_name = 'features.returns' ORDER BY day"
    before = simulated.execute(query).fetchall()
    for group in TILE_GROUPS:
        if group.name in {shared.name for shared in SHARED_GROUPS}:
            build_tiles(simulated, group, FIRST, LAST)
    for day in last_days:
        build_returns(simulated, RETURN_REQUEST, day, day)
    assert simulated.execute(query).fetchall() == before
    assert build_returns(simulated, RETURN_REQUEST, FIRST, LAST) == whole
    # The tiles are what is read: other totals give other vectors.
    simulated.execute("UPDATE features.tiles_customer SET orders_count = orders_count + 1")
    assert build_returns(simulated, RETURN_REQUEST, FIRST, LAST).content_hash != whole.content_hash
