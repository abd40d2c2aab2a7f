"""The small share of rows that a real upstream gets wrong, so that quarantine has work to do.

Every fault touches its own random rows; shares are of all rows of the stream.
"""

from __future__ import annotations

import numpy as np
import polars as pl

from returnml.sources.simulator.simulation_plan import Plan

ORDER_FAULTS = {"repeated": 0.001, "negative_quantity": 0.0005, "no_price": 0.0005, "no_customer": 0.0005, "no_currency": 0.0003}
RETURN_FAULTS = {"repeated": 0.001, "unknown_line": 0.001, "anonymous": 0.001, "too_many": 0.001, "too_early": 0.0005}


def soil_orders(plan: Plan, orders: pl.DataFrame) -> pl.DataFrame:
    """Repeat some lines, and take sign, price, customer or currency from others."""
    rows = _draw(plan, "orders dirt", orders.height, ORDER_FAULTS)
    soiled = orders.with_columns(
        pl.when(rows["negative_quantity"]).then(-pl.col("quantity")).otherwise("quantity").alias("quantity"),
        pl.when(~rows["no_price"]).then("unit_price_cents").alias("unit_price_cents"),
        pl.when(~rows["no_customer"]).then("customer_id").alias("customer_id"),
        pl.when(~rows["no_currency"]).then("currency").alias("currency"),
    )
    return pl.concat([soiled, soiled.filter(rows["repeated"])])


def soil_returns(plan: Plan, returns: pl.DataFrame) -> pl.DataFrame:
    """Repeat some returns; others name an unknown line (or that and nobody), more pieces than sold, or come too early."""
    rows = _draw(plan, "returns dirt", returns.height, RETURN_FAULTS)
    order_midnight = pl.col("line_id").str.slice(0, 8).str.to_datetime("%Y%m%d", time_unit="us")
    line = pl.when(rows["unknown_line"] | rows["anonymous"]).then(pl.lit("lost-") + pl.col("line_id")).otherwise("line_id")
    soiled = returns.with_columns(
        line.alias("line_id"),
        pl.when(~rows["anonymous"]).then("customer_id").alias("customer_id"),
        pl.when(rows["too_many"]).then(pl.col("quantity") + 20).otherwise("quantity").alias("quantity"),
        pl.when(rows["too_early"]).then(order_midnight).otherwise("returned_at").alias("returned_at"),
    )
    return pl.concat([soiled, soiled.filter(rows["repeated"])])


def _draw(plan: Plan, part: str, n: int, shares: dict[str, float]) -> dict[str, pl.Series]:
    """A boolean series per fault; no row has two."""
    sides = np.concatenate([[0.0], np.cumsum(list(shares.values()))])
    spot = np.searchsorted(sides, plan.generator(part).random(n), side="right") - 1
    return {fault: pl.Series(spot == i) for i, fault in enumerate(shares)}
