"""A simulated shop whose last day was scored over HTTP, each order just before it was placed."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import groupby
from operator import itemgetter
from pathlib import Path

import duckdb
import pytest
from litestar.testing import TestClient

from returnml.clock import VirtualClock
from returnml.contracts.columns import ORDERS, RETURNS
from returnml.privacy.customers import AS_DELIVERED
from returnml.settings import DataPaths, Settings
from returnml.sources.simulator.simulation import simulate
from returnml.sources.simulator.simulation_plan import Plan
from returnml.store.lmdb.embedded import LmdbBackend
from returnml.tasks.live_sets import FEATURE_SETS
from returnml.warehouse.ingest.outcomes import build_outcomes
from returnml.warehouse.ingest.raw_streams import ingest_raw
from returnml.warehouse.ingest.validate import build_core
from returnml.warehouse.partition import open_warehouse
from returnml.warehouse.publishing.generation_content import publish_generation
from returnml_tests.roots import rooted, same_root
from returnml_tests.serving import shop
from serving.app import create_app

FIRST = date(2025, 1, 1)
DAYS = 45
LAST = FIRST + timedelta(days=DAYS - 1)
LAST_US = int(datetime(LAST.year, LAST.month, LAST.day, tzinfo=UTC).timestamp()) * 1_000_000
OF_ORDER = ("order_id", "customer_id", "currency", "country", "payment_method", "device", "voucher_code")
OF_RETURN = (
    "return_id",
    "quantity",
    "refund_cents",
    "currency",
    "line_id",
    "customer_id",
    "article_id",
    "reason",
    "is_cancellation",
)
OF_LINE = ("line_id", "article_id", "quantity", "unit_price_cents", "size", "color", "product_group", "brand", "list_price_cents")


@dataclass
class Scored:
    """The shop: its data root, its warehouse, and every answer's JSON by request id."""

    data: Path
    con: duckdb.DuckDBPyConnection
    answers: dict[str, dict]

    @property
    def paths(self) -> DataPaths:
        return DataPaths(self.data)


def build(data: Path) -> duckdb.DuckDBPyConnection:
    """Landing files to core tables, published and with a release."""
    settings = Settings(data=str(rooted(data)))
    simulate(Plan(days=DAYS, lines_per_day=40, seed=7, start=FIRST), settings.paths, VirtualClock(LAST_US), AS_DELIVERED)
    con = open_warehouse(settings.paths.warehouse)
    for stream in (ORDERS, RETURNS):
        ingest_raw(con, stream, FIRST, LAST, settings.paths.landing, settings)
        build_core(con, stream, FIRST, LAST)
    build_outcomes(con, FIRST, LAST, settings.label)
    publish_generation(con, FEATURE_SETS, LAST_US, LmdbBackend(settings.paths.store))
    shop.deploy(data)
    return con


def score_day(
    data: Path, con: duckdb.DuckDBPyConnection, orders: int | None = None, alter: Callable[[dict], dict] = lambda order: order
) -> dict[str, dict]:
    """Post the last day's orders, each a microsecond before it became known; returns the answers by request id.

    Args:
        orders: how many; default: all.
        alter: what the customer changes between being scored and ordering, applied to the request.
    """
    names = (*OF_ORDER, *OF_LINE)
    rows = con.execute(
        f"SELECT order_id, min(epoch_us(known_at)) OVER (PARTITION BY order_id) AS placed_us, {', '.join(names)} "
        f"FROM core.orders WHERE known_day = DATE '{LAST}' ORDER BY placed_us, order_id, line_id"
    ).fetchall()
    placed = [(at_us, list(lines)) for (_, at_us), lines in groupby(rows, key=itemgetter(0, 1))][:orders]
    clock = VirtualClock(LAST_US)
    settings = shop.settings(data, "require")
    answers = {}
    with TestClient(create_app(settings, clock)) as client:
        for at_us, lines in placed:
            clock.advance_to(max(at_us - 1, clock.now_us()))
            records = [dict(zip(names, line[2:], strict=True)) for line in lines]
            body = present(records[0], OF_ORDER) | {"lines": [present(r, OF_LINE) for r in records]}
            response = client.post("/v1/score", json=alter(body))
            assert response.status_code == 200, response.text
            answers[response.json()["request_id"]] = response.json()
    return answers


def present(record: dict, names: tuple[str, ...]) -> dict:
    return {name: record[name] for name in names if record[name] is not None}


@pytest.fixture(scope="session")
def scored(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scored]:
    data = tmp_path_factory.mktemp("scored")
    con = build(data)
    yield Scored(data, con, score_day(data, con))
    con.close()


@pytest.fixture
def root(scored: Scored, tmp_path: Path) -> Path:
    """A data root with a copy of the warehouse, which is open for writing in ``scored``; its serving tables are empty."""
    same_root(tmp_path, scored.data)
    for part in ("logs", "releases"):
        shutil.copytree(scored.data / part, tmp_path / part)
    copy_warehouse(scored, tmp_path)
    return tmp_path


def copy_warehouse(scored: Scored, data: Path) -> None:
    (data / "warehouse").mkdir()
    scored.con.execute(f"ATTACH '{data / 'warehouse' / 'returnml.duckdb'}' AS copied")
    (name,) = scored.con.execute("SELECT current_database()").fetchall()[0]
    scored.con.execute(f'COPY FROM DATABASE "{name}" TO copied')
    scored.con.execute("DROP SCHEMA IF EXISTS copied.serving CASCADE")
    scored.con.execute("DETACH copied")
