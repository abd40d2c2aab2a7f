from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import date, timedelta

import duckdb
import pytest

from returnml.clock import VirtualClock
from returnml.pipeline.checks import maturity_checks as checks
from returnml.privacy.customers import AS_DELIVERED
from returnml.settings import Settings, load_settings
from returnml.sources.simulator.simulation import simulate
from returnml.sources.simulator.simulation_plan import Plan
from returnml.warehouse.forecasts.maturity_report import (
    write_forecast_plot,
    write_rates_plot,
)
from returnml.warehouse.forecasts.maturity_tables import (
    build_return_rates,
    build_returns_forecast,
)
from returnml.warehouse.ingest.raw_streams import ingest_raw
from returnml.warehouse.ingest.validate import build_core
from returnml.warehouse.partition import open_warehouse

START, DAYS = date(2025, 1, 1), 70
LAST = START + timedelta(days=DAYS - 1)


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> Iterator[tuple[duckdb.DuckDBPyConnection, Settings]]:
    from returnml.contracts.columns import ORDERS, RETURNS

    environ = {
        "RETURNML_LABEL__WINDOW_DAYS": "14",
        "RETURNML_LABEL__GRACE_DAYS": "1",
        "RETURNML_FORECAST__LONGEST_DELAY_DAYS": "30",
    }
    settings = load_settings(environ=environ, data=str(tmp_path_factory.mktemp("maturity")))
    simulate(Plan(START, DAYS, 60, 3), settings.paths, VirtualClock(0), AS_DELIVERED)
    with open_warehouse(":memory:") as con:
        for stream in (ORDERS, RETURNS):
            ingest_raw(con, stream, START, LAST, settings.paths.landing, settings)
            build_core(con, stream, START, LAST)
        yield con, settings


def rows(con: duckdb.DuckDBPyConnection, sql: str) -> list[tuple]:
    return con.execute(sql).fetchall()


def test_early_days_have_no_rows_and_later_ones_a_row_per_young_cohort(world):
    con, settings = world
    report = build_return_rates(con, START, LAST, settings)
    assert report.skipped == 22  # the first cut-off has 15 + 1 + 7 days before it
    assert rows(con, "SELECT min(day) FROM forecast.return_rates") == [(START + timedelta(days=22),)]
    shop = rows(
        con,
        f"SELECT first_ordered_day, last_ordered_day, matures_on FROM forecast.return_rates "
        f"WHERE product_group IS NULL AND day = DATE '{LAST}' ORDER BY 1",
    )
    assert len(shop) == 15  # ages 14 to 0 days
    assert shop[-1] == (LAST, LAST, LAST + timedelta(days=16))


def test_rates_come_true(world):
    con, settings = world
    report = build_return_rates(con, START, LAST, settings)
    assert report.judged > 300
    assert 0.8 < report.coverage <= 1
    assert {r.check_name: r.passed for r in checks.rates_results(con, START, LAST, report)}["rates_valid"]


def test_the_forecast_has_every_day_and_group_and_sums_up(world):
    con, settings = world
    report = build_returns_forecast(con, START, LAST, settings)
    assert {r.check_name: r.passed for r in checks.returns_results(con, START, LAST, report)} == {
        "complete": True,
        "sums_hold": True,
        "intervals_held": True,
    }
    found = rows(
        con,
        f"SELECT count(*), count(DISTINCT forecast_day), min(forecast_day), count(lines_low) FROM forecast.returns "
        f"WHERE day = DATE '{LAST}' AND product_group IS NULL",
    )
    assert found[0][:3] == (30, 30, LAST + timedelta(days=1))
    assert 0 < found[0][3] <= 30


def test_a_day_alone_and_in_a_range_gives_the_same_rows(world):
    con, settings = world
    for build, table in ((build_return_rates, "forecast.return_rates"), (build_returns_forecast, "forecast.returns")):
        in_range = {d.day: d.content_hash for d in build(con, LAST - timedelta(days=12), LAST, settings).partitions.days}
        day = LAST - timedelta(days=4)
        assert build(con, day, day, settings).partitions.content_hash == in_range[day], table


def test_what_comes_later_changes_no_row(world):
    con, settings = world
    day = LAST - timedelta(days=20)
    before = build_returns_forecast(con, day, day, settings).partitions.content_hash
    con.begin()
    for table in ("core.orders", "core.returns"):
        con.execute(f"DELETE FROM {table} WHERE known_day > DATE '{day}'")
    after = build_returns_forecast(con, day, day, settings).partitions.content_hash
    con.rollback()
    assert after == before


def test_checks_see_a_missing_value_and_a_wrong_sum(world):
    con, settings = world
    report = build_returns_forecast(con, LAST, LAST, settings)
    con.execute(f"UPDATE forecast.returns SET lines = lines + 1 WHERE day = DATE '{LAST}' AND product_group IS NULL")
    con.execute(f"UPDATE forecast.returns SET pieces = 'nan' WHERE day = DATE '{LAST}' AND product_group = 'shoes'")
    passed = {r.check_name: r.passed for r in checks.returns_results(con, LAST, LAST, report)}
    assert (passed["complete"], passed["sums_hold"]) == (False, False)


def test_intervals_that_held_too_little_are_reported(world):
    con, settings = world
    report = build_returns_forecast(con, LAST, LAST, settings)

    def is_fine(coverage: float, judged: int) -> bool:
        found = checks.returns_results(con, LAST, LAST, replace(report, coverage=coverage, judged=judged))
        return next(r.passed for r in found if r.check_name == "intervals_held")

    assert is_fine(0.9, 500)
    assert not is_fine(0.84, 500)
    assert is_fine(0.5, 10)  # too few to say


def test_plots_are_saved(world):
    con, settings = world
    forecast = write_forecast_plot(build_returns_forecast(con, LAST, LAST, settings), settings)
    rates = write_rates_plot(build_return_rates(con, LAST, LAST, settings), settings)
    folder = settings.paths.reports / "forecast"
    assert (folder / f"returns-{LAST}.png").read_bytes() == forecast
    assert (folder / f"rates-{LAST}.png").read_bytes() == rates
    assert forecast.startswith(b"\x89PNG")
