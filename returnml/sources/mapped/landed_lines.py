"""Order lines and returns that stand in the landing folder, for returns that must find their line."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from returnml.contracts.columns import ORDERS, RETURNS, DeliveredStream
from returnml.sources.day_rows import standing_rows
from returnml.sources.landing import committed, days
from returnml.sources.mapped.linking import LINE_COLUMNS
from returnml.sources.mapped.mapped_columns import ORDER


def landed_lines(landing: Path, delivered: pl.DataFrame, returns: pl.DataFrame) -> pl.DataFrame:
    """The lines of the orders that returns name: those that are being delivered, and those that stand.

    Args:
        delivered: lines, of which the ids take the place of those that stand.

    Raises:
        LandingError: where landed files cannot be read.
    """
    wanted = returns[ORDER].drop_nulls().unique().implode()
    own = delivered.filter(pl.col("order_id").is_in(wanted)).unique("line_id", keep="first", maintain_order=True)
    standing = _standing(landing, ORDERS, list(LINE_COLUMNS)).filter(pl.col("order_id").is_in(wanted))
    standing = standing.filter(~pl.col("line_id").is_in(delivered["line_id"].drop_nulls().implode())).drop("customer_id")
    # who ordered is a pseudonym there; core takes the customer of the line
    return pl.concat([own, standing], how="diagonal_relaxed")


def landed_returns(landing: Path, delivered: pl.Series) -> pl.DataFrame:
    """What came back of each line in other deliveries: ``line_id``, ``quantity``.

    Args:
        delivered: ids that are being delivered; what was made of them before is not counted.
    """
    standing = _standing(landing, RETURNS, ["return_id", "line_id", "quantity"])
    own = delivered.drop_nulls().unique().implode()
    made_of = pl.col("return_id").str.replace(r"-\d+$", "")
    of_order = pl.col("return_id").str.strip_suffix(pl.lit("-") + pl.col("line_id"))
    again = pl.col("return_id").is_in(own) | made_of.is_in(own) | of_order.is_in(own)
    return standing.filter(pl.col("line_id").is_not_null() & ~again.fill_null(False)).select("line_id", "quantity")


def _standing(landing: Path, stream: DeliveredStream, columns: list[str]) -> pl.DataFrame:
    deliveries = committed(landing)
    kinds: dict[str, type[pl.DataType] | pl.DataType] = {
        "quantity": pl.Int64,
        "unit_price_cents": pl.Int64,
        "ordered_at": pl.Datetime("us"),
    }
    schema: dict[str, type[pl.DataType] | pl.DataType] = {name: kinds.get(name, pl.String) for name in columns}
    frames = [
        standing_rows(landing, stream, day, deliveries).select(pl.col(name).cast(kind) for name, kind in schema.items())
        for day in days(landing, stream.name)
    ]
    return pl.concat([pl.DataFrame(schema=schema), *frames])
