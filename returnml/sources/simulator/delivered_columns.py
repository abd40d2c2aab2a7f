"""The delivered columns: from indexes to ids, names and instants. Only what a shop could know leaves the simulator here."""

from __future__ import annotations

from datetime import datetime, time

import numpy as np
import polars as pl

from returnml.instants import instant_us
from returnml.sources.simulator.baskets import VOUCHERS, Lines
from returnml.sources.simulator.behaviour import Behaviour
from returnml.sources.simulator.returning import REASONS, VERDICTS, Returns
from returnml.sources.simulator.simulation_plan import (
    Plan,
    Scenario,
)
from returnml.sources.simulator.world import (
    COLORS,
    COUNTRIES,
    DEVICES,
    GROUPS,
    LETTER_SIZES,
    PAYMENTS,
    SHOE_SIZES,
    Abuse,
    Articles,
    Customers,
    Ints,
    SizeScale,
)

CURRENCY = "EUR"


def order_lines(plan: Plan, lines: Lines, articles: Articles, customers: Customers) -> pl.DataFrame:
    """One row per line with the columns of ``ORDERS``; ``order_id`` is the day and the order's rank in it."""
    first_of_day = np.searchsorted(lines.day, np.arange(plan.days))
    rank = lines.order - lines.order[np.minimum(first_of_day, len(lines) - 1)][lines.day] + 1
    _, starts, counts = np.unique(lines.order, return_index=True, return_counts=True)
    position = np.arange(len(lines)) - np.repeat(starts, counts) + 1
    group = articles.group[lines.article]
    scale = np.array([g.scale for g in GROUPS])[group]
    list_price = articles.list_price_cents[lines.article]
    device = lines.device
    if plan.drifts(Scenario.BROKEN_COLUMN):
        is_broken = lines.day >= plan.drift_day
        list_price = np.where(is_broken, list_price // 100, list_price)
        device = np.where(is_broken, -1, device)
    sizes = (*LETTER_SIZES, *SHOE_SIZES)
    size = np.where(scale == SizeScale.SHOES, lines.size + len(LETTER_SIZES), lines.size)
    dates = pl.date_range(plan.start, plan.end, "1d", closed="left", eager=True).dt.strftime("%Y%m%d")
    frame = pl.DataFrame(
        {
            "date": dates.gather(lines.day),
            "rank": rank,
            "position": position,
            "ordered_at": _instants(plan, lines.at_us),
            "customer": lines.customer,
            "article": lines.article,
            "quantity": lines.quantity,
            "unit_price_cents": lines.unit_price_cents,
            "list_price_cents": list_price,
            "size": _named(sizes, size),
            "color": _named(COLORS, lines.color),
            "product_group": _named([g.name for g in GROUPS], group),
            "brand": _named([f"brand-{b:02d}" for b in range(int(articles.brand.max()) + 1)], articles.brand[lines.article]),
            "voucher_code": _named(VOUCHERS, lines.voucher),
            "payment_method": _named(PAYMENTS, lines.payment),
            "device": _named(DEVICES, device),
            "country": _named(COUNTRIES, customers.country[lines.customer]),
        }
    )
    order_id = pl.format("{}-{}", "date", pl.col("rank").cast(pl.String).str.zfill(6))
    return frame.select(
        pl.format("{}-{}", order_id, pl.col("position").cast(pl.String).str.zfill(2)).alias("line_id"),
        order_id.alias("order_id"),
        customer_ids(pl.col("customer")).alias("customer_id"),
        pl.format("a{}", pl.col("article").cast(pl.String).str.zfill(5)).alias("article_id"),
        pl.lit(CURRENCY).alias("currency"),
        pl.lit(True).alias("is_goods"),
        pl.exclude("date", "rank", "position", "customer", "article"),
    )


def customer_ids(customer: pl.Expr) -> pl.Expr:
    """What the shop calls its customers."""
    return pl.format("c{}", customer.cast(pl.String).str.zfill(7))


def return_records(plan: Plan, returns: Returns, orders: pl.DataFrame) -> pl.DataFrame:
    """One row per return with the columns of ``RETURNS``; ids are those of the lines."""
    line = orders.select("line_id", "customer_id", "article_id", "unit_price_cents")[returns.line]
    return line.select(
        pl.format("r{}", "line_id").alias("return_id"),
        _instants(plan, returns.at_us).alias("returned_at"),
        pl.Series("quantity", returns.quantity),
        pl.lit(CURRENCY).alias("currency"),
        "line_id",
        "customer_id",
        "article_id",
        (pl.col("unit_price_cents") * pl.Series(returns.quantity)).alias("refund_cents"),
        _named(REASONS, returns.reason).alias("reason"),
        pl.lit(True).alias("is_goods"),
        pl.Series("is_cancellation", returns.is_cancellation),
    )


def inspection_records(plan: Plan, returns: Returns, records: pl.DataFrame) -> pl.DataFrame:
    """One row per inspected return with the columns of ``INSPECTIONS``."""
    return (
        records.select(
            pl.format("i{}", "return_id").alias("inspection_id"),
            "return_id",
            _instants(plan, returns.inspected_us).alias("inspected_at"),
            _named(VERDICTS, returns.verdict).alias("verdict"),
        )
        .filter(pl.col("verdict").is_not_null())
        .sort("inspected_at", "inspection_id")
    )


def truth(lines: Lines, behaviour: Behaviour, returns: Returns, orders: pl.DataFrame, customers: Customers) -> pl.DataFrame:
    """What only the simulator knows, one row per line."""
    is_cancelled = np.zeros(len(lines), bool)
    is_cancelled[returns.line[returns.is_cancellation]] = True
    comes_back = np.zeros(len(lines), bool)
    comes_back[returns.line[~returns.is_cancellation]] = True
    return orders.select("line_id", "ordered_at").with_columns(
        pl.Series("probability_label", behaviour.probability_label),
        pl.Series("probability_any", behaviour.probability_any),
        pl.Series("is_returned_ever", comes_back),
        pl.Series("is_cancelled", is_cancelled),
        pl.Series("misfit_sizes", behaviour.misfit),
        pl.Series("sizes_of_article", lines.sizes_of_article),
        _named([kind.name.lower() for kind in Abuse], customers.abuse[lines.customer]).alias("abuse"),
    )


def _named(names: list[str] | tuple[str, ...], index: Ints) -> pl.Series:
    """The names at ``index``; null where it is negative."""
    return pl.Series([*names, None], dtype=pl.String).gather(np.where(index < 0, len(names), index))


def _instants(plan: Plan, offset_us: Ints) -> pl.Series:
    return pl.Series(offset_us + instant_us(datetime.combine(plan.start, time()))).cast(pl.Datetime("us"))
