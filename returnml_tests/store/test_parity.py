"""Online equals batch: every line of a day and every customer, bit for bit, at the day's start and inside it.

The whole way: landing files through core tables, a generation at each cut-off, and both engines.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from itertools import groupby
from operator import itemgetter
from pathlib import Path

import duckdb
import numpy as np
import pytest

from returnml.clock import VirtualClock
from returnml.features.sets.customer import CUSTOMER
from returnml.features.sets.order_line import ORDER_LINE
from returnml.privacy.customers import AS_DELIVERED
from returnml.settings import DataPaths
from returnml.sources.online_retail import import_online_retail
from returnml.sources.simulator.simulation import simulate
from returnml.sources.simulator.simulation_plan import Plan
from returnml.store.backend import Backend
from returnml.store.live import LiveStore
from returnml.store.lmdb.embedded import LmdbBackend
from returnml.store.reading.online import OnlineFeatures
from returnml.tasks.live_sets import FEATURE_SETS
from returnml.warehouse.features.customer_vectors import build_customers
from returnml.warehouse.partition import open_warehouse
from returnml.warehouse.publishing.generation_content import publish_generation
from returnml_tests.features.vectors import compute_vectors
from returnml_tests.shared import ONLINE_RETAIL, required
from returnml_tests.warehouse.line import build_line

pytestmark = pytest.mark.slow

CLOCK = VirtualClock(1_800_000_000_000_000)
REQUEST_COLUMNS = (
    "order_id, customer_id, country, payment_method, device, voucher_code, line_id, article_id, size, color, product_group, "
    "brand, quantity, unit_price_cents, list_price_cents, line_value_cents"
)


def build_warehouse(landing: Path, first: date, last: date) -> duckdb.DuckDBPyConnection:
    con = open_warehouse(":memory:")
    build_line(con, landing, first, last)
    return con


def online_vectors(online: OnlineFeatures, con: duckdb.DuckDBPyConnection, spine: str) -> dict[str, bytes]:
    """By line the vector's bytes; each order is one request at its own instant."""
    rows = con.execute(
        f"SELECT epoch_us(known_at), {REQUEST_COLUMNS} FROM {spine} ORDER BY order_id, known_at, line_id"
    ).fetchall()
    names = REQUEST_COLUMNS.split(", ")
    found = {}
    for (at_us, _), order in groupby(rows, key=itemgetter(0, 1)):
        columns = dict(zip(names, list(zip(*order, strict=True))[1:], strict=True))
        matrix = online.vectors(columns, at_us).matrix
        found |= {line: row.tobytes() for line, row in zip(columns["line_id"], matrix, strict=True)}
    return found


def assert_parity(con: duckdb.DuckDBPyConnection, day: date, cut_off_hours: tuple[float, ...], backend: Backend) -> int:
    """Compare all lines of a day that were ordered after each cut-off; returns how many vectors were compared."""
    start = datetime(day.year, day.month, day.day, tzinfo=UTC)
    compared = 0
    for hours in cut_off_hours:
        cut_off_us = int((start + timedelta(hours=hours)).timestamp() * 1_000_000)
        publish_generation(con, FEATURE_SETS, cut_off_us, backend)
        store = LiveStore(backend, ORDER_LINE)
        assert_customers(con, store, cut_off_us)
        online = OnlineFeatures(ORDER_LINE, store)
        lines = f"core.orders WHERE known_day = DATE '{day}' AND known_at >= make_timestamp({cut_off_us})"
        spine = (
            f"(SELECT *, line_id AS moment_id, known_at AS requested_at, make_timestamp({cut_off_us}) AS visible_until, "
            f"make_timestamp({cut_off_us}) AS derived_until FROM {lines})"
        )
        ids, batch = compute_vectors(con, ORDER_LINE, spine)
        served = online_vectors(online, con, lines)
        assert len(ids) == len(served) > 0
        # Histories, not blanks, are compared: most lines are of known customers and articles.
        known = [ORDER_LINE.outputs.index(f"{key}_orders_count_365d") for key in ("customer", "article")]
        assert (batch[:, known] > 0).mean() > 0.5
        for line, row in zip(ids, batch, strict=True):
            if row.tobytes() != served[line]:
                other = np.frombuffer(served[line], np.float32)
                differing = [n for n, a, b in zip(ORDER_LINE.outputs, row, other, strict=True) if a.tobytes() != b.tobytes()]
                raise AssertionError(f"cut-off {hours} h, line {line}: {differing[:5]} differ")
        compared += len(ids)
    return compared


def assert_customers(con: duckdb.DuckDBPyConnection, store: LiveStore, cut_off_us: int) -> None:
    """Compare every customer known before the cut-off: the table's row, and what is served at that instant."""
    cut_off = datetime.fromtimestamp(cut_off_us / 1e6, UTC).replace(tzinfo=None)
    build_customers(con, CUSTOMER, cut_off)
    columns = ", ".join(f'"{name}"' for name in CUSTOMER.outputs)
    rows = con.execute(
        f"SELECT customer_id, {columns} FROM features.customers WHERE day = ? AND requested_at = ?", [cut_off.date(), cut_off]
    ).fetchall()
    assert len(rows) > 100
    online = OnlineFeatures(CUSTOMER, store)
    for customer, *values in rows:
        served = online.vectors({"customer_id": [customer]}, cut_off_us)
        assert served.requested_at_us == cut_off_us
        batch = np.array([np.nan if value is None else value for value in values], np.float32)
        assert served.matrix[0].tobytes() == batch.tobytes(), customer


def test_simulated_day(tmp_path, redis):
    first = date(2024, 1, 1)
    simulate(Plan(days=60, lines_per_day=60, seed=5, start=first), DataPaths(tmp_path), CLOCK, AS_DELIVERED)
    last = first + timedelta(days=59)
    con = build_warehouse(DataPaths(tmp_path).landing, first, last)
    for backend in (LmdbBackend(tmp_path / "lmdb" / "store"), redis.backend(tmp_path / "redis" / "store")):
        assert assert_parity(con, last, (0, 12.5), backend) > 60
    counts = con.execute("SELECT count(*) FROM core.outcomes").fetchall()
    assert counts[0][0] > 500


def test_real_day(tmp_path):
    source = required(ONLINE_RETAIL)
    until = tmp_path / "until"
    until.mkdir()
    for file in sorted(source.glob("*.csv")):
        if file.stem <= "2011-06-15":
            (until / file.name).symlink_to(file)
    import_online_retail(until, DataPaths(tmp_path).landing, CLOCK, AS_DELIVERED)
    day = date(2011, 6, 15)
    con = build_warehouse(DataPaths(tmp_path).landing, date(2010, 12, 1), day)
    assert assert_parity(con, day, (0, 9.5, 13 + 1 / 3), LmdbBackend(tmp_path / "store")) > 1000
