"""Columns of the simulated shop's own: they matter, and without them nothing is drawn otherwise."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import numpy as np
import polars as pl

from returnml.sources.simulator.simulation import Tables, simulate_tables
from returnml.sources.simulator.simulation_plan import Plan

PLAN = Plan(date(2025, 1, 1), 60, 200, 3)
OWN = ("birth_date", "registered_on", "material", "supplier")


def tables(has_own_columns: bool) -> Tables:
    return simulate_tables(replace(PLAN, has_own_columns=has_own_columns))


def test_the_orders_are_the_same_but_for_the_columns():
    without, own = tables(False), tables(True)
    assert without.orders.columns == [name for name in own.orders.columns if name not in OWN]
    assert own.orders.drop(OWN).equals(without.orders)
    assert not own.truth["probability_label"].equals(without.truth["probability_label"])


def test_a_customer_and_an_article_have_one_value_each_and_some_birth_dates_are_unknown():
    orders = tables(True).orders.filter(pl.col("customer_id").is_not_null())
    of_customer = orders.group_by("customer_id").agg(pl.col("birth_date", "registered_on").n_unique())
    assert of_customer.select(pl.max("birth_date", "registered_on")).row(0) == (1, 1)
    of_article = orders.group_by("article_id").agg(pl.col("material", "supplier").n_unique())
    assert of_article.select(pl.max("material", "supplier")).row(0) == (1, 1)
    unknown = orders.unique("customer_id")["birth_date"].null_count() / orders["customer_id"].n_unique()
    assert 0.01 < unknown < 0.1
    assert (orders["registered_on"] <= orders["ordered_at"].dt.date()).all()


def test_the_young_send_more_back():
    found = tables(True)
    lines = found.orders.unique("line_id").join(found.truth, on="line_id").drop_nulls("birth_date")
    young = (lines["birth_date"] > date(1995, 1, 1)).to_numpy()
    chance = lines["probability_label"].to_numpy()
    assert chance[young].mean() > chance[~young].mean() + 0.1
    rates = lines.group_by("material").agg(pl.mean("probability_label"))["probability_label"].to_numpy()
    assert np.ptp(rates) > 0.1
