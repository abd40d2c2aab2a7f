"""The fixed shop's vectors by every engine, a digest for each feature; and the file of what they must be.

python -m returnml_tests.features.golden.vectors    writes the file anew (only where a hash was changed on purpose)
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import numpy as np

from returnml.clock import VirtualClock
from returnml.features.feature_set import FeatureSet
from returnml.features.sets.customer import CUSTOMER
from returnml.features.sets.order_line import ORDER_LINE
from returnml.features.sets.return_request import RETURN_REQUEST
from returnml.instants import instant_us
from returnml.privacy.customers import AS_DELIVERED
from returnml.store.event_writer import EventWriter
from returnml.store.live import LiveStore
from returnml.store.lmdb.embedded import LmdbBackend
from returnml.store.reading.online import OnlineFeatures
from returnml.tasks.live_sets import FEATURE_SETS, TILE_GROUPS
from returnml.warehouse.features.customer_vectors import build_customers
from returnml.warehouse.features.return_vectors import build_returns
from returnml.warehouse.features.tile_tables import build_tiles
from returnml.warehouse.ingest.outcomes import build_outcomes
from returnml.warehouse.partition import open_warehouse
from returnml.warehouse.publishing.generation_content import publish_generation
from returnml_tests.features.golden.shop import DAYS, FIRST, LAST, inspections, order_lines, returns
from returnml_tests.features.vectors import compute_vectors
from returnml_tests.store.live_shop import event
from returnml_tests.store.test_parity import online_vectors
from returnml_tests.warehouse.conftest import Shop

FILE = Path(__file__).with_name("golden.json")
SINCE = LAST - timedelta(days=20)
"""First day of the moments; those before are history."""
CUT_OFF = datetime.combine(LAST - timedelta(days=1), datetime.min.time(), UTC)
COLUMNS = {"orders": "ordered_at", "returns": "returned_at", "inspections": "inspected_at"}
SETS = (ORDER_LINE, CUSTOMER, RETURN_REQUEST)
Digests = dict[str, str]


def hashes() -> dict[str, str]:
    """By feature set the hash of today's code."""
    return {feature_set.name: feature_set.hash for feature_set in SETS}


def warehouse(landing: Path) -> duckdb.DuckDBPyConnection:
    """The shop from landing files to outcomes."""
    con = open_warehouse(":memory:", threads=1)
    shop = Shop(con, landing)
    lines = list(order_lines())
    sent_back = list(returns(lines))
    for stream, rows in (("orders", lines), ("returns", sent_back), ("inspections", list(inspections(sent_back)))):
        for number in range(DAYS):
            day = FIRST + timedelta(days=number)
            shop.deliver(stream, day, [row for row in rows if row[COLUMNS[stream]].date() == day])
        shop.load(stream, FIRST, LAST)
    build_outcomes(con, FIRST, LAST, shop.settings.label)
    return con


def batch(con: duckdb.DuckDBPyConnection) -> dict[str, Digests]:
    """Of lines from the streams alone and from tiles, of returns, of customers."""
    spine = (
        "(select *, line_id as moment_id, known_at as requested_at, known_at as visible_until, known_at as derived_until "
        f"from core.orders where known_day >= date '{SINCE}')"
    )
    before = "requested_at - interval 31 hour as visible_until, requested_at - interval 2 day as derived_until"
    earlier = f"(select * replace ({before}) from {spine})"
    found = {
        "order_line from streams": _of(ORDER_LINE, compute_vectors(con, ORDER_LINE, spine)),
        "order_line as of earlier": _of(ORDER_LINE, compute_vectors(con, ORDER_LINE, earlier)),
    }
    for group in TILE_GROUPS:
        if group.is_tiled:
            build_tiles(con, group, FIRST, LAST)
    found["order_line from tiles"] = _of(ORDER_LINE, compute_vectors(con, ORDER_LINE, spine))
    found["order_line as of earlier from tiles"] = _of(ORDER_LINE, compute_vectors(con, ORDER_LINE, earlier))
    build_returns(con, RETURN_REQUEST, SINCE, LAST)
    found["return_request"] = _of_table(con, RETURN_REQUEST, "features.returns", "return_id")
    build_customers(con, CUSTOMER, CUT_OFF.replace(tzinfo=None))
    found["customer"] = _of_table(con, CUSTOMER, "features.customers", "customer_id")
    return found


def online(con: duckdb.DuckDBPyConnection, folder: Path) -> dict[str, Digests]:
    """Of the lines after a cut-off: from its generation, and again after events of the morning."""
    cut_off_us = instant_us(CUT_OFF)
    backend = LmdbBackend(folder)
    publish_generation(con, FEATURE_SETS, cut_off_us, backend)
    store = LiveStore(backend, ORDER_LINE)
    lines = f"core.orders where known_at >= make_timestamp({cut_off_us})"
    found = {"order_line online": _of_lines(online_vectors(OnlineFeatures(ORDER_LINE, store), con, lines))}
    writer = EventWriter(backend, ORDER_LINE, VirtualClock(cut_off_us + 3_600_000_000), AS_DELIVERED)
    applied = writer.submit([event(body, cut_off_us) for body in _events(con)])
    writer.close()
    refused = [one.outcome for one in applied if one.outcome.rule is not None]
    if refused:
        raise AssertionError(f"events of the shop were refused: {refused}")
    later = f"core.orders where known_at >= make_timestamp({cut_off_us + 7_200_000_000})"
    found["order_line live"] = _of_lines(online_vectors(OnlineFeatures(ORDER_LINE, store), con, later))
    customers = OnlineFeatures(CUSTOMER, LiveStore(backend, CUSTOMER))
    served = {
        f"c{i}": customers.vectors({"customer_id": [f"c{i}"]}, cut_off_us + 7_200_000_001).matrix[0].tobytes() for i in range(14)
    }
    found["customer live"] = _of_lines(served, CUSTOMER)
    return found


def _events(con: duckdb.DuckDBPyConnection) -> list[dict[str, Any]]:
    """Orders of customers and articles that the shop knows, and returns of lines of the days before."""
    sent: list[dict[str, Any]] = []
    for i in range(10):
        line = {
            "line_id": f"e{i}-1",
            "article_id": f"a{i * 2}",
            "size": ("M", "38,5", None)[i % 3],
            "quantity": 1 + i % 2,
            "unit_price_cents": 1_990 + i,
        }
        order = {
            "type": "order",
            "event_id": f"e{i}",
            "order_id": f"e{i}",
            "customer_id": f"c{i}",
            "country": "DE",
            "lines": [line],
        }
        sent.append(order | {"payment_method": ("card", "invoice")[i % 2]})
    rows = con.execute(
        "select o.line_id, o.unit_price_cents from core.orders as o anti join core.returns as r using (line_id) "
        f"where o.known_day between date '{SINCE}' and date '{CUT_OFF.date()}' - 1 order by o.line_id limit 8"
    ).fetchall()
    for i, (line_id, price) in enumerate(rows):
        back = {
            "type": "return",
            "event_id": f"b{i}",
            "return_id": f"b{i}",
            "line_id": line_id,
            "quantity": 1,
            "refund_cents": price,
        }
        sent.append(back | {"reason": "too_small" if i % 2 else "broken"})
    return sent


def _of(feature_set: FeatureSet, computed: tuple[list[Any], np.ndarray]) -> Digests:
    ids, matrix = computed
    return _digests(feature_set, matrix[np.argsort(np.array(ids))])


def _of_table(con: duckdb.DuckDBPyConnection, feature_set: FeatureSet, table: str, key: str) -> Digests:
    names = ", ".join(f'"{name}"' for name in feature_set.outputs)
    rows = con.execute(f"select {names} from {table} order by {key}").fetchall()
    return _digests(feature_set, np.array([[np.nan if v is None else v for v in row] for row in rows], np.float32))


def _of_lines(vectors: dict[str, bytes], feature_set: FeatureSet = ORDER_LINE) -> Digests:
    return _digests(feature_set, np.array([np.frombuffer(vectors[line], np.float32) for line in sorted(vectors)]))


def _digests(feature_set: FeatureSet, matrix: np.ndarray) -> Digests:
    if not len(matrix):
        raise AssertionError(f"{feature_set.name}: no vectors")
    clean = np.where(np.isnan(matrix), np.float32(np.nan), matrix).astype("<f4")
    digests = {n: hashlib.sha256(clean[:, j].tobytes()).hexdigest()[:12] for j, n in enumerate(feature_set.outputs)}
    return {"rows": str(len(matrix)), **digests}


def computed() -> dict[str, Any]:
    """Everything that the file holds, by today's code."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        con = warehouse(folder / "landing")
        try:
            return {"hashes": hashes(), "vectors": batch(con) | online(con, folder / "store")}
        finally:
            con.close()


def main() -> None:
    FILE.write_text(json.dumps(computed(), indent=1) + "\n")
    print(f"{FILE.name}: {', '.join(f'{name} {found[:12]}' for name, found in hashes().items())}")


if __name__ == "__main__":
    main()
