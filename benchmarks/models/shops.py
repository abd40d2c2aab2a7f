"""The shops that models are measured on: real data and simulated, with return records and with a flag per line alone."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path

import duckdb
import numpy as np
import polars as pl

from returnml.clock import VirtualClock
from returnml.contracts.columns import OPEN_FLAG, ORDERS, RETURNS
from returnml.features.sets.order_line import ORDER_LINE
from returnml.privacy.customers import AS_DELIVERED
from returnml.settings import Settings, load_settings
from returnml.sources.delivery import deliver
from returnml.sources.delivery_plan import Draft
from returnml.sources.online_retail import read_files, to_streams
from returnml.sources.simulator.simulation import simulate_tables
from returnml.sources.simulator.simulation_plan import Plan
from returnml.tasks.declared import return_risk
from returnml.warehouse.features.order_line_vectors import build_order_lines
from returnml.warehouse.ingest.outcomes import build_outcomes
from returnml.warehouse.ingest.raw_streams import ingest_raw
from returnml.warehouse.ingest.validate import build_core
from returnml.warehouse.partition import open_warehouse

SIMULATED = Plan(date(2024, 1, 1), days=400, lines_per_day=200, seed=7)
MONTH_DAYS = 28
Tables = tuple[pl.DataFrame, pl.DataFrame | None]
"""Orders and returns as delivered; no returns: a flag per line."""


@dataclass(frozen=True)
class Shop:
    """A shop, and the months that are asked about (``MONTH_DAYS`` from their cut-off on).

    Attributes:
        tables: what it delivers; the argument is the shared folder.
        development: cut-off of the month that things may be chosen on.
        test: cut-off of the release whose next month is the test.
    """

    name: str
    tables: Callable[[Path], Tables]
    development: date
    test: date


def online_retail(shared: Path) -> Tables:
    orders, returns, _ = to_streams(read_files(shared / "data" / "online_retail_by_day"))
    return orders, returns


def simulated(shared: Path) -> Tables:
    tables = simulate_tables(SIMULATED)
    return tables.orders, tables.returns


def flag_only(tables: Callable[[Path], Tables]) -> Callable[[Path], Tables]:
    """The same shop, as if it only said of each line whether it came back within 30 days."""

    def convert(shared: Path) -> Tables:
        orders, returns = tables(shared)
        assert returns is not None
        counted = returns if "is_cancellation" not in returns.columns else returns.filter(~pl.col("is_cancellation"))
        came_back = (
            counted.join(orders.unique("line_id").select("line_id", "ordered_at"), on="line_id")
            .filter(pl.col("returned_at") - pl.col("ordered_at") <= timedelta(days=30))["line_id"]
            .unique()
        )
        end = orders["ordered_at"].max()
        assert isinstance(end, datetime)
        is_final = pl.col("ordered_at") + pl.duration(days=30) <= end
        flag = pl.col("line_id").is_in(came_back.implode())
        return orders.with_columns(pl.when(is_final).then(flag).alias("is_returned"), (~is_final).alias(OPEN_FLAG)), None

    return convert


def thinned(tables: Callable[[Path], Tables], share: Callable[[np.ndarray], np.ndarray]) -> Callable[[Path], Tables]:
    """The same shop with fewer returns: of the lines of day ``d`` (from 0) the share ``share(d)`` keeps its returns."""

    def convert(shared: Path) -> Tables:
        orders, returns = tables(shared)
        assert returns is not None
        lines = orders.unique("line_id", keep="first", maintain_order=True)
        day = (lines["ordered_at"].dt.date() - SIMULATED.start).dt.total_days().to_numpy()
        stays = lines["line_id"].filter(pl.Series(SIMULATED.generator("thinning").random(len(day)) < share(day)))
        return orders, returns.filter(pl.col("line_id").is_in(stays.implode()) | pl.col("line_id").is_null())

    return convert


def yearly(day: np.ndarray) -> np.ndarray:
    """From 0.4 in July to 1 in January."""
    return 0.7 + 0.3 * np.cos(2 * math.pi * day / 365.25)


def rising(day: np.ndarray) -> np.ndarray:
    """From 0.45 on the first day to 1 on the last."""
    return 0.45 + 0.55 * day / SIMULATED.days


_REAL: dict[str, date] = {
    "development": date(2011, 8, 15),
    "test": date(2011, 10, 9),
}
_MADE: dict[str, date] = {
    "development": SIMULATED.start + timedelta(days=277),
    "test": SIMULATED.start + timedelta(days=337),
}
SHOPS = (
    Shop("online_retail", online_retail, **_REAL),
    Shop("online_retail_flag_only", flag_only(online_retail), **_REAL),
    Shop("simulated", simulated, **_MADE),
    Shop("simulated_seasonal", thinned(simulated, yearly), **_MADE),
    Shop("simulated_flag_only", flag_only(simulated), **_MADE),
    Shop("simulated_moving_rate", thinned(simulated, rising), **_MADE),
)


def settings_of(shop: Shop, root: Path) -> Settings:
    return load_settings(environ={}, data=str(root / shop.name))


def warehouse_of(shop: Shop, root: Path, shared: Path) -> duckdb.DuckDBPyConnection:
    """The shop's warehouse with features of all of its lines, built unless it is there already."""
    settings = settings_of(shop, root)
    built = settings.paths.root / f"built-{ORDER_LINE.hash[:12]}"
    con = open_warehouse(settings.paths.warehouse)
    if built.exists():
        return con
    orders, returns = shop.tables(shared)
    span = orders["ordered_at"].dt.date()
    first, last = span.min(), span.max()
    assert isinstance(first, date)
    assert isinstance(last, date)
    days = pl.date_range(first, last, "1d", eager=True).to_list()
    if returns is None:
        returns = _no_returns()
    drafts = [Draft(stream, frame, has_own_ids=True, covered=days) for stream, frame in ((ORDERS, orders), (RETURNS, returns))]
    deliver(settings.paths.landing, drafts, shop.name, VirtualClock(0), AS_DELIVERED)
    for stream in (ORDERS, RETURNS):
        ingest_raw(con, stream, first, last, settings.paths.landing, settings)
        build_core(con, stream, first, last)
    build_outcomes(con, first, last + timedelta(days=34), settings.label)
    build_order_lines(con, ORDER_LINE, first, last)
    built.touch()
    return con


def _no_returns() -> pl.DataFrame:
    kinds: dict[str, pl.DataType] = {"quantity": pl.Int64(), "refund_cents": pl.Int64(), "returned_at": pl.Datetime("us")}
    names = ("return_id", "returned_at", "quantity", "refund_cents", "currency", "line_id", "customer_id", "article_id")
    return pl.DataFrame(schema={name: kinds.get(name, pl.String()) for name in names})


TASK = return_risk.TASK
