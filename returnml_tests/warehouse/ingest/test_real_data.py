"""Every row of the real shop is accounted for, and the validated lines are those that an independent filter finds."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import polars as pl
import pytest

from returnml.clock import VirtualClock
from returnml.contracts.columns import ORDERS, RETURNS
from returnml.privacy.customers import AS_DELIVERED
from returnml.settings import LabelSettings, Settings
from returnml.sources.online_retail import import_online_retail
from returnml.warehouse.ingest.outcomes import build_outcomes
from returnml.warehouse.ingest.raw_streams import ingest_raw
from returnml.warehouse.ingest.validate import build_core
from returnml.warehouse.partition import open_warehouse
from returnml_tests.shared import ONLINE_RETAIL, required

pytestmark = pytest.mark.slow

FIRST, LAST = date(2010, 12, 1), date(2011, 12, 9)


@pytest.fixture
def folder() -> Path:
    return required(ONLINE_RETAIL)


def _valid_sales(folder: Path) -> pl.DataFrame:
    """Goods sold to a known customer at a price, each exact duplicate once (the reference's own rule)."""
    types = {"InvoiceNo": pl.String, "StockCode": pl.String, "CustomerID": pl.Float64}
    goods = pl.col("StockCode").str.contains(r"^\d{5}") & ~pl.col("InvoiceNo").str.starts_with("C")
    paid = (pl.col("UnitPrice") > 0) & (pl.col("Quantity") > 0) & pl.col("CustomerID").is_not_null()
    return pl.scan_csv(f"{folder}/*.csv", schema_overrides=types).filter(goods & paid).unique().collect()


def test_all_305_days_in_one_range(folder: Path, tmp_path: Path):
    imported = import_online_retail(folder, tmp_path / "landing", VirtualClock(0), AS_DELIVERED)
    with open_warehouse(tmp_path / "w.duckdb") as con:
        for stream, delivered in ((ORDERS, imported.orders.rows), (RETURNS, imported.returns.rows)):
            raw = ingest_raw(con, stream, FIRST, LAST, tmp_path / "landing", Settings())
            core = build_core(con, stream, FIRST, LAST)
            assert (raw.rows, raw.refused) == (delivered, ())
            assert (core.rows_in, core.good + core.quarantined) == (delivered, delivered)
        matured = build_outcomes(con, FIRST, date(2012, 1, 12), LabelSettings())

        sales = _valid_sales(folder)
        assert matured.rows == sales.height == 391_150
        value = con.execute("SELECT sum(line_value_cents)::BIGINT FROM core.orders").fetchall()[0][0]
        assert value == int((sales["Quantity"] * (sales["UnitPrice"] * 100).round(0).cast(pl.Int64)).sum())
        assert con.execute("SELECT sum(quantity)::BIGINT FROM core.orders").fetchall() == [(sales["Quantity"].sum(),)]
