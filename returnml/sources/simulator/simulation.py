"""Runs a simulation and delivers it day by day, with the truth beside it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from returnml.clock import Clock
from returnml.contracts.columns import INSPECTIONS, ORDERS, RETURNS
from returnml.files import new_file
from returnml.privacy.customers import CustomerIds
from returnml.privacy.keyring import KEY_BYTES
from returnml.settings import DataPaths
from returnml.sources.delivery import Delivered, Words, deliver
from returnml.sources.delivery_plan import Draft
from returnml.sources.landing_writer import Progress, silent
from returnml.sources.replacement import utc_days
from returnml.sources.simulator.baskets import draw_lines
from returnml.sources.simulator.behaviour import describe
from returnml.sources.simulator.delivered_columns import (
    customer_ids,
    inspection_records,
    order_lines,
    return_records,
    truth,
)
from returnml.sources.simulator.dirt import soil_orders, soil_returns
from returnml.sources.simulator.own_columns import draw_own_columns
from returnml.sources.simulator.returning import draw_returns
from returnml.sources.simulator.simulation_plan import Plan
from returnml.sources.simulator.world import draw_articles, draw_customers


@dataclass(frozen=True)
class Tables:
    """A whole simulation in memory: what is delivered, and the truth."""

    orders: pl.DataFrame
    returns: pl.DataFrame
    inspections: pl.DataFrame
    truth: pl.DataFrame


@dataclass(frozen=True)
class Simulated:
    """What a simulation delivered, and the true mean probability of a return within the label window."""

    orders: Delivered
    returns: Delivered
    inspections: Delivered
    mean_probability: float


def simulate_tables(plan: Plan) -> Tables:
    """Simulate without writing; nothing at or after the end of the span is in any table but the truth's."""
    articles = draw_articles(plan)
    customers = draw_customers(plan, len(articles.brand_start) - 1)
    lines = draw_lines(plan, articles, customers)
    own = draw_own_columns(plan, articles, customers) if plan.has_own_columns else None
    behaviour = describe(plan, lines, articles, customers, own=own)
    returns = draw_returns(plan, lines, behaviour, customers)
    orders = order_lines(plan, lines, articles, customers)
    delivered = orders if own is None else orders.with_columns(own.columns(plan, lines))
    records = return_records(plan, returns, orders)
    inspections = inspection_records(plan, returns, records)
    return Tables(
        orders=soil_orders(plan, delivered),
        returns=soil_returns(plan, records.filter(pl.col("returned_at") < plan.end)),
        inspections=inspections.filter(pl.col("inspected_at") < plan.end),
        truth=truth(lines, behaviour, returns, orders, customers),
    )


def simulate(
    plan: Plan,
    paths: DataPaths,
    clock: Clock,
    customers: CustomerIds,
    progress: Progress = silent,
    *,
    words: Words = Words(),  # noqa: B008
    go_live_us: int | None = None,
) -> Simulated:
    """Simulate and deliver every day of the span: three landing streams, and ``<truth>/<day>.parquet``.

    The days of the span are replaced by it; those on which nothing came back or was inspected are delivered empty.

    Args:
        customers: what customer ids become; a simulated customer's new key is always the same.
        progress: called before the drawing and after each delivered day.
        words, go_live_us: see ``delivery.deliver``.

    Raises:
        DeliveryRefused, LandingError: see ``delivery.deliver``: another simulation has other lines; nothing is written then.
    """
    progress("drawing orders and returns", 0, plan.days)
    tables = simulate_tables(plan)
    days = pl.date_range(plan.start, plan.end, "1d", closed="left", eager=True).to_list()
    source = (
        f"simulate seed={plan.seed} scenario={plan.scenario} lines_per_day={plan.lines_per_day} days={plan.days} "
        f"lines_per_customer={plan.lines_per_customer}{' own_columns' if plan.has_own_columns else ''}"
    )
    named = customers.drawing(simulated_key)
    drafts = [
        Draft(stream, frame, has_own_ids=True, replaced=utc_days(days), covered=days)
        for stream, frame in ((ORDERS, tables.orders), (RETURNS, tables.returns), (INSPECTIONS, tables.inspections))
    ]
    done = deliver(paths.landing, drafts, source, clock, named, go_live_us=go_live_us, words=words, progress=progress)
    _write_truth(paths.truth, tables.truth)
    return Simulated(done[0], done[1], done[2], mean_probability=float(tables.truth["probability_label"].to_numpy().mean()))


def shop_customers(plan: Plan) -> list[str]:
    """The ids of all customers, as the shop says them."""
    customers = draw_customers(plan, len(draw_articles(plan).brand_start) - 1)
    return pl.select(customer_ids(pl.int_range(len(customers)))).to_series().to_list()


def simulated_key(customer_id: str) -> bytes:
    """The key of a customer who does not exist: no secret, so that a simulation repeats byte for byte."""
    return hashlib.sha256(b"returnml simulator " + customer_id.encode()).digest()[:KEY_BYTES]


def _write_truth(folder: Path, frame: pl.DataFrame) -> None:
    days = frame.with_columns(day=pl.col("ordered_at").dt.date()).partition_by("day", as_dict=True, include_key=False)
    for (day,), part in days.items():
        with new_file(folder / f"{day}.parquet") as file:
            part.write_parquet(file, compression="zstd", compression_level=3)
