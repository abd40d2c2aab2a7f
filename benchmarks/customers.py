"""The features of every Online Retail customer at the last cut-off: the table, and one customer at a time from the store.

    python -m benchmarks.customers [--shared ../shared]

Beside the table, in the same run: the same aggregates from one hand-written statement (a plain GROUP BY with filters, which
can answer for one cut-off only), compared value by value. Beside one customer from the store: the same customer asked of
DuckDB with that statement. Every vector from the store is compared with its row in the table, bit for bit.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from datetime import date, datetime, timedelta
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any, TypeVar

import duckdb
import numpy as np

from returnml.clock import VirtualClock
from returnml.features.declarations import Aggregate, Operation
from returnml.features.sets.customer import CUSTOMER
from returnml.instants import instant_us
from returnml.privacy.customers import AS_DELIVERED
from returnml.settings import DataPaths
from returnml.sources.online_retail import import_online_retail
from returnml.store.lmdb.embedded import LmdbBackend
from returnml.store.reading.online import OnlineFeatures
from returnml.tasks.live_sets import FEATURE_SETS, TILE_GROUPS
from returnml.warehouse.features.customer_vectors import (
    TABLE,
    build_customers,
    customer_spine,
)
from returnml.warehouse.features.tile_tables import build_tiles
from returnml.warehouse.features.window_aggregates import compute_windows
from returnml.warehouse.partition import open_warehouse
from returnml.warehouse.publishing.generation_content import publish_generation
from returnml_tests.warehouse.line import build_line

FIRST, LAST = date(2010, 12, 1), date(2011, 12, 9)
CUT_OFF = datetime.combine(LAST + timedelta(days=1), datetime.min.time())
ASKED_BY_HAND = 100
T = TypeVar("T")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shared", type=Path, default=Path(os.environ.get("SHARED_DIR", "../shared")))
    files = parser.parse_args().shared / "data" / "online_retail_by_day"
    with tempfile.TemporaryDirectory() as folder:
        con = warehouse(files, Path(folder))
        table(con)
        one_at_a_time(con, Path(folder))


def warehouse(files: Path, root: Path) -> duckdb.DuckDBPyConnection:
    landing = DataPaths(root).landing
    import_online_retail(files, landing, VirtualClock(1_800_000_000_000_000), AS_DELIVERED)
    con = open_warehouse(root / "warehouse.duckdb")
    build_line(con, landing, FIRST, LAST)
    return con


def table(con: duckdb.DuckDBPyConnection) -> None:
    """The table from streams and from tiles, and its aggregates by hand."""
    streams_s, report = timed(lambda: build_customers(con, CUSTOMER, CUT_OFF))
    for group in TILE_GROUPS:
        if group.is_tiled:
            build_tiles(con, group, FIRST, LAST)
    tiles_s, again = timed(lambda: build_customers(con, CUSTOMER, CUT_OFF))
    if again.content_hash != report.content_hash:
        raise SystemExit("tiles and streams give different tables")
    hand_s, _ = timed(lambda: con.execute(f"CREATE OR REPLACE TEMP TABLE by_hand AS {by_hand()}"))
    compute_windows(con, CUSTOMER, customer_spine(CUSTOMER, CUT_OFF), into="ours", held=TILE_GROUPS)
    # Who has no event in a stream has no row there: nothing is 0, and no last event is none.
    values = ", ".join(
        a.name if a.aggregation.operation is Operation.SINCE_LAST else f"coalesce({a.name}, 0)" for a in CUSTOMER.aggregates
    )
    differing = con.execute(
        f"SELECT count(*) FROM (SELECT moment_id, {values} FROM ours EXCEPT SELECT customer_id, {values} FROM by_hand)"
    ).fetchall()[0][0]
    print(f"{report.rows} customers, {len(CUSTOMER.aggregates)} aggregates, {len(CUSTOMER.outputs)} features")
    print(f"table: {streams_s:.2f} s from the streams, {tiles_s:.2f} s from tiles; aggregates by hand: {hand_s:.2f} s")
    print(f"customers whose aggregates differ from those by hand: {differing}")


def one_at_a_time(con: duckdb.DuckDBPyConnection, root: Path) -> None:
    """Every customer asked of the store, and some of DuckDB."""
    generation = publish_generation(con, FEATURE_SETS, instant_us(CUT_OFF), LmdbBackend(root / "store"))
    online = OnlineFeatures(CUSTOMER, generation)
    columns = ", ".join(CUSTOMER.outputs)
    rows = con.execute(f"SELECT customer_id, {columns} FROM {TABLE} WHERE day = ?", [CUT_OFF.date()]).fetchall()
    took, identical = [], 0
    for customer, *values in rows:
        seconds, served = timed(partial(online.vectors, {"customer_id": [customer]}, generation.cut_off_us))
        took.append(seconds)
        batch = np.array([np.nan if value is None else value for value in values], np.float32)
        identical += served.matrix[0].tobytes() == batch.tobytes()
    asked = [row[0] for row in rows[:ASKED_BY_HAND]]

    def ask_duckdb(customer: str) -> list[Any]:
        return con.execute(by_hand(f"customer_id = '{customer}'")).fetchall()

    by_query = [timed(partial(ask_duckdb, customer))[0] for customer in asked]
    p50, p99 = np.percentile(np.array(took) * 1e6, [50, 99])
    print(f"one customer from the store: p50 {p50:.0f} us, p99 {p99:.0f} us")
    print(f"one customer by hand from DuckDB: p50 {median(by_query) * 1e6:.0f} us")
    print(f"identical to the table in every bit: {identical} of {len(rows)}")


def by_hand(where: str = "true") -> str:
    """The reference: every aggregate of every customer who has an event, at the one cut-off."""
    streams = {a.aggregation.stream.name: a.aggregation.stream for a in CUSTOMER.aggregates}
    parts = []
    for i, stream in enumerate(streams.values()):
        own = [a for a in CUSTOMER.aggregates if a.aggregation.stream.name == stream.name]
        columns = ", ".join(f"{_expression(a)} AS {a.name}" for a in own)
        parts.append(
            f"(SELECT customer_id, {columns} FROM {stream.table} WHERE known_at < TIMESTAMP '{CUT_OFF}' "
            f"AND customer_id IS NOT NULL AND {where} GROUP BY customer_id) AS p{i}" + (" USING (customer_id)" if i else "")
        )
    return f"SELECT * FROM {' FULL JOIN '.join(parts)}"


def _expression(aggregate: Aggregate) -> str:
    a = aggregate.aggregation
    if a.operation is Operation.SINCE_LAST:
        return f"{instant_us(CUT_OFF)} - epoch_us(max(known_at))"
    start_us = aggregate.window.start_us(instant_us(CUT_OFF))
    value = {
        Operation.COUNT: "count(*)",
        Operation.SUM: f"sum({a.column})",
        Operation.DISTINCT: f"count(DISTINCT nullif({a.column}::VARCHAR, ''))",
    }[a.operation]
    return value if start_us is None else f"{value} FILTER (known_at >= make_timestamp({start_us}))"


def timed(action: Callable[[], T]) -> tuple[float, T]:
    begun = time.perf_counter()
    found = action()
    return time.perf_counter() - begun, found


if __name__ == "__main__":
    main()
