"""A small shop: frames of a few rows, delivered through the real landing format into a warehouse in memory."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pytest

from returnml.clock import VirtualClock
from returnml.contracts.columns import STREAMS, DeliveredStream, Kind
from returnml.settings import Settings
from returnml.sources.landing import LandingFile
from returnml.warehouse.ingest.raw_streams import (
    IngestReport,
    ingest_raw,
)
from returnml.warehouse.ingest.validate import (
    CoreReport,
    build_core,
)
from returnml.warehouse.partition import open_warehouse
from returnml_tests.landed import land_day
from returnml_tests.shared import SHARED, required

POLARS_TYPES = {Kind.STRING: pl.String, Kind.INTEGER: pl.Int64, Kind.TIMESTAMP: pl.Datetime("us"), Kind.BOOLEAN: pl.Boolean}
D1, D2, D3 = date(2024, 5, 1), date(2024, 5, 2), date(2024, 5, 3)


def us(at: datetime) -> int:
    return int(at.replace(tzinfo=UTC).timestamp()) * 1_000_000 + at.microsecond


def order(line_id: str | None = "l1", at: datetime = datetime(2024, 5, 1, 10), **changed: Any) -> dict[str, Any]:
    return {
        "line_id": line_id,
        "order_id": "o1",
        "ordered_at": at,
        "customer_id": "c1",
        "article_id": f"a-{line_id}",
        "quantity": 2,
        "unit_price_cents": 1000,
        "currency": "EUR",
        "size": "M",
    } | changed


def returned(
    return_id: str | None = "r1", line_id: str | None = "l1", at: datetime = datetime(2024, 5, 2, 9), **changed: Any
) -> dict[str, Any]:
    return {
        "return_id": return_id,
        "returned_at": at,
        "quantity": 1,
        "refund_cents": 1000,
        "currency": "EUR",
        "line_id": line_id,
        "customer_id": None,
        "article_id": None,
    } | changed


def frame(stream: DeliveredStream, rows: list[dict[str, Any]]) -> pl.DataFrame:
    types = {c.name: POLARS_TYPES[c.kind] for c in stream.columns}
    names = dict.fromkeys((*stream.column_names, *(name for row in rows for name in row)))
    present = [n for n in names if not rows or any(n in row for row in rows)]
    columns = {n: [row.get(n) for row in rows] for n in present}
    return pl.DataFrame([pl.Series(n, v, types.get(n), strict=n in types) for n, v in columns.items()])


class Shop:
    """One warehouse and one landing folder."""

    def __init__(self, con: duckdb.DuckDBPyConnection, landing: Path, settings: Settings | None = None) -> None:
        self.con, self.landing, self.settings = con, landing, settings or Settings()
        self.clock = VirtualClock(0)

    def deliver(self, stream: str, day: date, rows: list[dict[str, Any]], at_us: int | None = None, **how: Any) -> LandingFile:
        self.clock.advance_to(max(self.clock.now_us(), at_us or 0))
        return land_day(self.landing, STREAMS[stream], day, frame(STREAMS[stream], rows), self.clock, **how)

    def ingest(self, stream: str, first: date, last: date | None = None) -> IngestReport:
        return ingest_raw(self.con, STREAMS[stream], first, last or first, self.landing, self.settings)

    def build(self, stream: str, first: date, last: date | None = None) -> CoreReport:
        return build_core(self.con, STREAMS[stream], first, last or first, self.settings.shop.currency)

    def load(self, stream: str, first: date, last: date | None = None) -> CoreReport:
        self.ingest(stream, first, last)
        return self.build(stream, first, last)

    def rows(self, query: str, *params: Any) -> list[tuple]:
        return self.con.execute(query, list(params)).fetchall()

    def content(self) -> list[tuple]:
        return self.rows("SELECT table_name, day, rows, content_hash FROM ops.partitions ORDER BY ALL")


@pytest.fixture
def make_shop(tmp_path: Path) -> Iterator[Callable[..., Shop]]:
    opened: list[duckdb.DuckDBPyConnection] = []

    def make(settings: Settings | None = None, landing: Path | None = None) -> Shop:
        con = open_warehouse(":memory:", threads=1)
        opened.append(con)
        return Shop(con, landing or tmp_path / f"landing{len(opened)}", settings)

    yield make
    for con in opened:
        con.close()


@pytest.fixture
def shop(make_shop: Callable[..., Shop]) -> Shop:
    return make_shop()


def deliver_bytes(
    landing: Path,
    stream: str,
    day: date,
    content: bytes,
    version: int = 1,
    rows: int = 1,
    at_us: int = 0,
    digest: str | None = None,
) -> str:
    """Put any bytes into the landing folder under a valid name; returns the file's path relative to it."""
    digest = digest or hashlib.sha256(content).hexdigest()
    path = landing / stream / day.isoformat() / f"{version:04d}-{digest[:12]}.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    sidecar = {"stream": stream, "day": day.isoformat(), "version": version, "sha256": digest, "rows": rows}
    path.with_suffix(".json").write_text(json.dumps({**sidecar, "source": "test", "delivered_at_us": at_us}))
    return path.relative_to(landing).as_posix()


def parquet(table: pl.DataFrame) -> bytes:
    buffer = io.BytesIO()
    table.write_parquet(buffer)
    return buffer.getvalue()


def label_vectors() -> list[dict[str, Any]]:
    return json.loads(required(SHARED / "conformance" / "labels.json").read_text())
