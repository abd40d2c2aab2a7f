"""Backtest of the maturity model on simulated shops and on Online Retail: coverage, bias and width of nowcasts and forecasts.

Every cut-off reads only what was known before it; the interval's width comes from errors known then. Truth is what the
same tables hold once the cohort is mature. Beside the nowcast's error stands that of the rate so far, which a report
without a nowcast would show.

    python -m benchmarks.nowcast_backtest [--days 300] [--lines-per-day 500] [--seeds 3] [--shared ../shared]
"""

from __future__ import annotations

import argparse
import os
import tempfile
from datetime import date, timedelta
from pathlib import Path

import duckdb
import numpy as np

from returnml.clock import VirtualClock
from returnml.contracts.columns import ORDERS, RETURNS
from returnml.maturity.forecast import outlook
from returnml.maturity.intervals import (
    WHOLE_SHOP,
    Cells,
    intervals,
    join,
)
from returnml.maturity.nowcast import (
    nowcast_cells,
    rate_intervals,
)
from returnml.privacy.customers import AS_DELIVERED
from returnml.settings import Settings, load_settings
from returnml.sources.online_retail import import_online_retail
from returnml.sources.simulator.simulation import simulate
from returnml.sources.simulator.simulation_plan import (
    Plan,
    Scenario,
)
from returnml.warehouse.forecasts.run_off import (
    RunOffs,
    largest_groups,
    read_run_offs,
)
from returnml.warehouse.ingest.raw_streams import ingest_raw
from returnml.warehouse.ingest.validate import build_core
from returnml.warehouse.partition import open_warehouse

START = date(2025, 1, 1)
RETAIL = (date(2010, 12, 1), date(2011, 12, 9))
SCENARIOS = (Scenario.NONE, Scenario.NEW_MARKET, Scenario.SIZING_CHANGE)


def ingest(con: duckdb.DuckDBPyConnection, settings: Settings, first: date, last: date) -> None:
    for stream in (ORDERS, RETURNS):
        ingest_raw(con, stream, first, last, settings.paths.landing, settings)
        build_core(con, stream, first, last)


def shop(plan: Plan | None, folder: Path | None, settings: Settings) -> RunOffs:
    """The run-off tables of a simulated shop, or of Online Retail."""
    with tempfile.TemporaryDirectory() as scratch:
        here = load_settings(data=scratch, quality={"max_quarantined_share": 0.95}, environ={})
        if plan is not None:
            simulate(plan, here.paths, VirtualClock(0), AS_DELIVERED)
            first, last = plan.start, plan.end - timedelta(days=1)
        else:
            assert folder is not None
            import_online_retail(folder, here.paths.landing, VirtualClock(0), AS_DELIVERED)
            first, last = RETAIL
        with open_warehouse(":memory:", memory_limit="2GB") as con:
            ingest(con, here, first, last)
            groups = largest_groups(con, last, settings.forecast.product_groups)
            return read_run_offs(con, first, last, groups, settings.label, settings.forecast.longest_delay_days)


def judged(cells: Cells, cut_offs: range, of_rates: bool) -> tuple[Cells, np.ndarray, np.ndarray]:
    """Cells with a truth and an interval; the interval and the truth in counts beyond ``base``, or as final rates."""
    found, bounds = [], []
    for cut_off in cut_offs:
        now, range_ = (rate_intervals if of_rates else intervals)(cells, cut_off)
        keep = np.isfinite(now.truth) & np.isfinite(range_[:, 0])
        found.append(now.where(keep))
        bounds.append(range_[keep])
    all_cells = join(found)
    truth = (all_cells.base + all_cells.truth) / all_cells.exposure if of_rates else all_cells.truth
    return all_cells, np.vstack(bounds), truth


def report_nowcast(cells: Cells, bounds: np.ndarray, truth: np.ndarray, keep: np.ndarray, name: str) -> None:
    cells, bounds, truth = cells.where(keep), bounds[keep], truth[keep]
    if not len(cells):
        return
    inside = (truth >= bounds[:, 0]) & (truth <= bounds[:, 1])
    rate = (cells.base + cells.mean) / cells.exposure
    naive = cells.base / cells.exposure
    print(
        f"  {name:<26} {len(cells):>7,} {inside.mean():>8.1%} {np.mean(rate - truth):>+9.4f} "
        f"{np.mean(np.abs(rate - truth)):>8.4f} {np.mean(naive - truth):>+9.4f} {np.mean(bounds[:, 1] - bounds[:, 0]):>8.4f}"
    )


def report_forecast(cells: Cells, bounds: np.ndarray, keep: np.ndarray, name: str) -> None:
    cells, bounds = cells.where(keep), bounds[keep]
    if not len(cells):
        return
    inside = (cells.truth >= bounds[:, 0]) & (cells.truth <= bounds[:, 1])
    total = cells.truth.sum()
    print(
        f"  {name:<26} {len(cells):>7,} {inside.mean():>8.1%} {cells.mean.sum() / total - 1:>+9.1%} "
        f"{np.abs(cells.mean - cells.truth).sum() / total:>8.1%} {(bounds[:, 1] - bounds[:, 0]).sum() / total:>8.1%}"
    )


def backtest(name: str, tables: RunOffs) -> None:
    days = tables.label.cohorts
    start = tables.label.last_delay + 8
    cut_offs = range(start, days + 1)
    print(f"{name}: {days} days, {tables.label.exposure.sum():,.0f} lines, {tables.label.events.sum():,.0f} returned in time")
    cells, bounds, truth = judged(nowcast_cells(tables.label, cut_offs), cut_offs, of_rates=True)
    print(f"  {'nowcast of final rates':<26} {'cells':>7} {'coverage':>8} {'bias':>9} {'error':>8} {'so far':>9} {'width':>8}")
    is_day = cells.group == WHOLE_SHOP
    age = cells.cut_off - 1 - cells.last
    report_nowcast(cells, bounds, truth, is_day, "day, whole shop")
    for low, high in ((0, 2), (3, 10), (11, 20), (21, 32)):
        report_nowcast(cells, bounds, truth, is_day & (age >= low) & (age <= high), f"  age {low} to {high} days")
    report_nowcast(cells, bounds, truth, ~is_day, "week and product group")
    for week in range(5):
        report_nowcast(cells, bounds, truth, ~is_day & (age == 7 * week), f"  {week} weeks old")
    found = outlook(tables.volume, tables.pieces, cut_offs, tables.label.last_delay)
    print(f"  {'forecast by day':<26} {'cells':>7} {'coverage':>8} {'bias':>9} {'error':>8} {'width':>8}")
    for unit, cells_of in (("lines", found.lines), ("pieces", found.pieces)):
        cells, bounds, _ = judged(cells_of, cut_offs, of_rates=False)
        is_shop = cells.group == WHOLE_SHOP
        report_forecast(cells, bounds, is_shop, f"{unit}, whole shop")
        report_forecast(cells, bounds, ~is_shop, f"{unit}, product group")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--days", type=int, default=300)
    parser.add_argument("--lines-per-day", type=int, default=500)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument(
        "--shared", type=Path, default=Path(os.environ.get("SHARED_DIR", Path(__file__).parents[1].parent / "shared"))
    )
    args = parser.parse_args()
    settings = load_settings(environ={})
    for scenario in SCENARIOS:
        for seed in range(1, args.seeds + 1):
            plan = Plan(START, args.days, args.lines_per_day, seed, scenario)
            backtest(f"simulated, {scenario}, seed {seed}", shop(plan, None, settings))
    folder = args.shared / "data" / "online_retail_by_day"
    if not folder.is_dir():
        raise SystemExit(f"real data not found at {folder}")
    backtest("Online Retail", shop(None, folder, settings))


if __name__ == "__main__":
    main()
