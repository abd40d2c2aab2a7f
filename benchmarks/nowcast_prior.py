"""Whether a release's probabilities make the nowcast and the forecast better than the number of lines does.

Simulates a shop, trains a release on its first part, scores every day with it, and judges cut-offs after the release was
made: with line counts as exposure (what the project does), with the sum of the lines' probabilities, and (nowcast) with each
open line's probability updated by its age, ``p (1 - F) / (1 - p F)``.

    python -m benchmarks.nowcast_prior [--days 240] [--release-day 170] [--lines-per-day 300] [--data ROOT]

With ``--data`` a root that an earlier call has filled is read again.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import polars as pl

from returnml.maturity.delays import RunOff
from returnml.maturity.forecast import outlook
from returnml.maturity.intervals import (
    WHOLE_SHOP,
    Cells,
)
from returnml.maturity.nowcast import nowcast_cells
from returnml.maturity.projection import project
from returnml.settings import Settings, load_settings
from returnml.sources.simulator.simulation_plan import Plan
from returnml.warehouse.forecasts.run_off import (
    largest_groups,
    read_run_offs,
)
from returnml.warehouse.partition import open_warehouse
from returnml_tests.roots import rooted

START = date(2025, 1, 1)

_LINES = """
SELECT date_diff('day', $start::DATE, l.ordered_at::DATE) AS cohort, l.product_group, s.probability::DOUBLE AS p,
       date_diff('day', l.ordered_at::DATE, min(r.known_day) FILTER (NOT coalesce(r.is_cancellation, false)
           AND r.returned_at <= l.ordered_at + to_days($window))) AS delay
FROM core.orders l JOIN scores.daily s USING (line_id) LEFT JOIN core.returns r ON r.line_id = l.line_id AND NOT r.is_orphan
GROUP BY l.line_id, l.ordered_at, l.product_group, s.probability HAVING NOT coalesce(bool_or(r.is_cancellation), false)"""


def run_line(settings: Settings, plan: Plan, release_day: int) -> None:
    os.environ["RETURNML_DATA"] = str(settings.paths.root)  # the code location reads its first day there
    from returnml.clock import VirtualClock
    from returnml.commands.line import run_job
    from returnml.privacy.customers import AS_DELIVERED
    from returnml.sources.simulator.simulation import simulate

    rooted(settings.paths.root)
    simulate(plan, settings.paths, VirtualClock(0), AS_DELIVERED)
    made = plan.start + timedelta(days=release_day)
    for job, first, last in (
        ("whole_line", plan.start, made - timedelta(days=1)),
        ("daily_job", made, plan.end - timedelta(days=1)),
    ):
        done = run_job(settings, job, first, last, is_quiet=True)
        if not done.success:
            raise SystemExit(f"{job} failed: {done.failures}")


def with_probabilities(table: RunOff, lines: pl.DataFrame) -> RunOff:
    """The same table with the sum of the lines' probabilities as exposure."""
    exposure = np.zeros_like(table.exposure)
    np.add.at(exposure[..., 0], (_group(table, lines), lines["cohort"].to_numpy()), lines["p"].to_numpy())
    return replace(table, exposure=exposure)


def conditional(table: RunOff, lines: pl.DataFrame, cells: Cells) -> np.ndarray:
    """Expected returns beyond ``base`` of each cell, from the open lines alone."""
    out = np.zeros(len(cells))
    cohort, group, p = lines["cohort"].to_numpy(), _group(table, lines), lines["p"].to_numpy()
    back = cohort + lines["delay"].fill_null(10**6).to_numpy()
    for cut_off in np.unique(cells.cut_off).astype(int):
        now = project(table, cut_off)
        share = np.ones((len(table.groups), table.cohorts))
        age = np.minimum(cut_off - 1 - now.cohorts, table.last_delay)
        share[:, now.cohorts] = now.cumulative[:, np.arange(len(age)), age]
        is_open = (cohort < cut_off) & (back >= cut_off)
        f, q = share[group[is_open], cohort[is_open]], np.clip(p[is_open] * now.rate[group[is_open]], 0, 0.999)
        owed = np.zeros_like(share)
        np.add.at(owed, (group[is_open], cohort[is_open]), q * (1 - f) / (1 - q * f))
        for i in np.flatnonzero(cells.cut_off == cut_off):
            rows = slice(None) if cells.group[i] == WHOLE_SHOP else int(cells.group[i])
            out[i] = owed[rows, int(cells.first[i]) : int(cells.last[i]) + 1].sum()
    return out


def _group(table: RunOff, lines: pl.DataFrame) -> np.ndarray:
    index = {name: i for i, name in enumerate(table.groups)}
    return np.array([index.get(name, len(index) - 1) for name in lines["product_group"]])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--days", type=int, default=240)
    parser.add_argument("--release-day", type=int, default=170)
    parser.add_argument("--lines-per-day", type=int, default=300)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--data", type=Path, default=None)
    args = parser.parse_args()
    root = args.data or Path(tempfile.mkdtemp())
    settings = load_settings(environ={}, data=str(root))
    if not settings.paths.warehouse.exists():
        run_line(settings, Plan(START, args.days, args.lines_per_day, args.seed), args.release_day)
    with open_warehouse(settings.paths.warehouse) as con:
        last = START + timedelta(days=args.days - 1)
        groups = largest_groups(con, last, settings.forecast.product_groups)
        tables = read_run_offs(con, START, last, groups, settings.label, settings.forecast.longest_delay_days)
        lines = con.sql(_LINES, params={"start": START, "window": settings.label.window_days}).pl()
    cut_offs = range(args.release_day, args.days + 1)
    label = with_probabilities(tables.label, lines)
    counted, summed = nowcast_cells(tables.label, cut_offs), nowcast_cells(label, cut_offs)
    means = {"lines": counted.mean, "sum of p": summed.mean, "updated p": conditional(label, lines, counted)}
    print("nowcast: mean absolute error in lines still to come back")
    age = counted.cut_off - 1 - counted.last
    for name, is_kind in (("day", counted.group == WHOLE_SHOP), ("week and group", counted.group != WHOLE_SHOP)):
        for low, high in ((0, 2), (3, 10), (11, 20), (0, 32)):
            keep = np.isfinite(counted.truth) & is_kind & (age >= low) & (age <= high)
            errors = [f"{who} {np.abs(mean - counted.truth)[keep].mean():.3f}" for who, mean in means.items()]
            print(f"  {name}, {low} to {high} days old: {keep.sum():,} cells   {'   '.join(errors)}")
    print("forecast of lines per day: mean absolute error over what came back")
    volumes = {"lines": tables.volume, "sum of p": with_probabilities(tables.volume, lines)}
    found = {who: outlook(table, tables.pieces, cut_offs, label.last_delay).lines for who, table in volumes.items()}
    for name, is_shop in (("shop", True), ("product group", False)):
        errors = []
        for who, cells in found.items():
            keep = np.isfinite(cells.truth) & ((cells.group == WHOLE_SHOP) == is_shop)
            errors.append(f"{who} {np.abs(cells.mean - cells.truth)[keep].sum() / cells.truth[keep].sum():.1%}")
        print(f"  {name}: {'   '.join(errors)}")


if __name__ == "__main__":
    main()
