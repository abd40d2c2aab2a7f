"""The simulator as a whole: reproducible, nothing from the future, realistic, dirty on purpose."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import polars as pl
import pytest

from returnml.clock import VirtualClock
from returnml.contracts.columns import INSPECTIONS, ORDERS, RETURNS
from returnml.privacy.customers import Pseudonyms
from returnml.privacy.keyring import Keyring
from returnml.settings import DataPaths
from returnml.sources.delivered_frame import to_delivered
from returnml.sources.landing import days, history
from returnml.sources.simulator.simulation import (
    Tables,
    simulate,
    simulate_tables,
)
from returnml.sources.simulator.simulation_plan import (
    Plan,
    Scenario,
)

START = date(2025, 1, 1)


def _plan(scenario: Scenario = Scenario.NONE, seed: int = 3) -> Plan:
    return Plan(START, 90, 300, seed, scenario)


@pytest.fixture(scope="module")
def tables() -> Tables:
    return simulate_tables(_plan())


def _mean(values: pl.Series) -> float:
    return float(values.to_numpy().mean())


def _late(tables: Tables, table: pl.DataFrame) -> pl.DataFrame:
    return table.filter(pl.col("ordered_at") >= START + timedelta(days=60))


def test_same_plan_same_bytes_and_another_seed_others(tmp_path: Path) -> None:
    plan = Plan(START, 5, 40, 9)
    one, two = (DataPaths(tmp_path / name) for name in ("one", "two"))
    first = simulate(plan, one, VirtualClock(1), Pseudonyms(Keyring(one.keys, is_created=True)))
    simulate(plan, two, VirtualClock(2), Pseudonyms(Keyring(two.keys, is_created=True)))
    for stream in ("orders", "returns", "inspections"):
        assert days(one.landing, stream) == [START + timedelta(days=n) for n in range(5)]
        hashes = [[f.sha256 for f in history(paths.landing, stream)] for paths in (one, two)]
        assert hashes[0] == hashes[1]
    truths = [sorted(p.name for p in paths.truth.iterdir()) for paths in (one, two)]
    assert truths[0] == truths[1] == [f"2025-01-0{n}.parquet" for n in range(1, 6)]
    assert all((one.truth / name).read_bytes() == (two.truth / name).read_bytes() for name in truths[0])
    again = simulate(plan, one, VirtualClock(3), Pseudonyms(Keyring(one.keys, is_created=True)))
    assert (first.orders.days_written, again.orders.days_written, again.orders.days_unchanged) == (5, 0, 5)
    assert not simulate_tables(plan).orders.equals(simulate_tables(Plan(START, 5, 40, 10)).orders)


def test_one_day_one_line_works() -> None:
    tables = simulate_tables(Plan(START, 1, 1))
    assert tables.orders.height >= 1
    assert tables.truth["line_id"].n_unique() == tables.truth.height


def test_every_contract_column_has_its_type_and_is_used(tables: Tables) -> None:
    for stream, frame in ((ORDERS, tables.orders), (RETURNS, tables.returns), (INSPECTIONS, tables.inspections)):
        delivered = to_delivered(stream, frame)
        assert set(frame.columns) <= set(stream.column_names)
        unused = [name for name in stream.column_names if delivered[name].null_count() == delivered.height]
        assert unused == (["is_returned"] if stream is ORDERS else [])


def test_nothing_at_or_after_the_end_and_nothing_before_the_start(tables: Tables) -> None:
    for column, frame in (("ordered_at", tables.orders), ("returned_at", tables.returns), ("inspected_at", tables.inspections)):
        assert frame.filter((pl.col(column) < START) | (pl.col(column) >= _plan().end)).height == 0


def test_lines_returns_and_rates_are_as_asked(tables: Tables) -> None:
    assert tables.truth.height == pytest.approx(_plan().lines, rel=0.05)
    assert 0.25 < _mean(tables.truth["probability_label"]) < 0.35
    realised = _mean(tables.truth["is_returned_ever"])
    assert realised == pytest.approx(_mean(tables.truth["probability_any"]), abs=0.015)
    assert (tables.truth["probability_label"] <= tables.truth["probability_any"]).all()


def test_label_probability_is_the_share_returned_within_the_window() -> None:
    """Judged on the lines whose window lies inside the span; exact returns, dirt apart."""
    tables = simulate_tables(Plan(START, 150, 400, 5))
    lines = tables.truth.filter(~pl.col("is_cancelled"), pl.col("ordered_at") < START + timedelta(days=110))
    first = tables.returns.group_by("line_id").agg(pl.col("returned_at").min())
    joined = lines.join(first, on="line_id", how="left")
    within = joined.select((pl.col("returned_at") - pl.col("ordered_at") <= pl.duration(days=30)).fill_null(False))
    assert _mean(within.to_series()) == pytest.approx(_mean(lines["probability_label"]), abs=0.01)
    late = joined.filter(pl.col("returned_at") - pl.col("ordered_at") > pl.duration(days=30)).height
    assert 0.01 < late / joined["returned_at"].count() < 0.12


def test_returns_are_at_most_what_was_ordered_but_for_the_planted_faults(tables: Tables) -> None:
    joined = tables.returns.unique("return_id").join(tables.orders.unique("line_id"), on="line_id", suffix="_ordered")
    excess = joined.filter(pl.col("quantity") > pl.col("quantity_ordered").abs())
    assert 0 < excess.height < 0.005 * joined.height
    assert (excess["quantity"] > 20).all()
    partial = joined.filter(pl.col("quantity") < pl.col("quantity_ordered"))
    assert partial.height > 0


def test_faults_are_a_small_share_of_each_kind(tables: Tables) -> None:
    orders, returns = tables.orders, tables.returns
    shares = {
        "repeated": orders.height - orders["line_id"].n_unique(),
        "negative": orders.filter(pl.col("quantity") < 0).height,
        "no_price": orders["unit_price_cents"].null_count(),
        "no_customer": orders["customer_id"].null_count(),
    }
    assert all(0 < count < 0.003 * orders.height for count in shares.values()), shares
    assert 0 < returns.filter(pl.col("line_id").str.starts_with("lost-")).height < 0.005 * returns.height


def test_customers_repeat_and_articles_are_skewed(tables: Tables) -> None:
    per_customer = tables.orders.group_by("customer_id").len()["len"]
    per_article = tables.orders.group_by("article_id").len()["len"].sort(descending=True)
    assert 8 < _mean(per_customer) < 25
    assert per_article.head(len(per_article) // 10).sum() > 0.3 * tables.orders.height


def test_lines_per_customer_decide_how_well_the_shop_knows_them() -> None:
    few, many = (simulate_tables(Plan(START, 60, 200, 3, lines_per_customer=n)).orders for n in (6, 60))
    assert abs(few.height - many.height) < few.height / 10
    assert many["customer_id"].n_unique() < few["customer_id"].n_unique() / 5


def test_no_order_holds_the_same_article_size_and_colour_twice(tables: Tables) -> None:
    once = tables.orders.unique("line_id")
    assert not once.select("order_id", "article_id", "size", "color").is_duplicated().any()
    several = once.group_by("order_id", "article_id").agg(pl.col("size").n_unique()).filter(pl.col("size") > 1)
    assert several.height > 0


def test_each_scenario_shows_after_two_thirds_and_only_then(tables: Tables) -> None:
    usual = _mean(_late(tables, tables.truth)["probability_label"])
    shifted = simulate_tables(_plan(Scenario.SIZING_CHANGE))
    assert _mean(_late(shifted, shifted.truth)["probability_label"]) > usual + 0.03

    campaign = _late(tables, simulate_tables(_plan(Scenario.VOUCHER_CAMPAIGN)).orders)
    assert (campaign["voucher_code"] == "CAMPAIGN30").sum() > 0.4 * campaign.height
    assert campaign.height > 1.2 * _late(tables, tables.orders).height

    market = simulate_tables(_plan(Scenario.NEW_MARKET)).orders
    assert (
        market.filter(pl.col("country") == "PL")["ordered_at"].min()
        >= pl.Series([START + timedelta(days=60)]).cast(pl.Datetime)[0]
    )
    assert _mean(_late(tables, market)["country"] == "PL") > 0.08

    broken = simulate_tables(_plan(Scenario.BROKEN_COLUMN)).orders
    assert (_late(tables, broken)["list_price_cents"] < 2_000).all()
    assert _late(tables, broken)["device"].null_count() == _late(tables, broken).height
    assert broken.filter(pl.col("ordered_at") < START + timedelta(days=60))["device"].null_count() == 0


@pytest.mark.parametrize(
    ("days_", "lines_per_day", "seed", "message"),
    [
        (0, 1, 1, "days = 0: expected 1 to"),
        (1, 0, 1, "lines_per_day = 0: expected 1 to"),
        (1, 1, -1, "seed = -1: expected 0 to"),
    ],
)
def test_plan_out_of_range_names_the_field(days_: int, lines_per_day: int, seed: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Plan(START, days_, lines_per_day, seed)
