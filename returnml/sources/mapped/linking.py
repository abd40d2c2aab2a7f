"""Links returns that name their order, or order and article, to order lines, by the rule that the mapping declares.

What belongs here: the rules, on frames. What must not: reading files or the landing folder.
"""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from returnml.sources.mapped.mapped_columns import ORDER
from returnml.sources.mapped.mapping_words import Link

LINE_COLUMNS = ("line_id", "order_id", "article_id", "customer_id", "quantity", "unit_price_cents", "currency", "ordered_at")


@dataclass(frozen=True)
class Coverage:
    """What became of the returns.

    Attributes:
        returns: that were to be linked.
        linked: that found lines for all that came back; ``partly``: for a part of it.
        unknown_order: that name an order without lines.
        not_covered: whose lines were returned already, are of other articles, or (of whole orders) whose refund is not what
            the order cost.
        left_out: those without a line that say nothing of how much came back, and are not delivered.
    """

    returns: int
    linked: int
    partly: int
    unknown_order: int
    not_covered: int
    left_out: int

    def __str__(self) -> str:
        share = self.linked / self.returns if self.returns else 0
        return (
            f"returns linked to order lines: {self.linked:,} of {self.returns:,} ({share:.1%}; {self.partly:,} more in part); "
            f"{self.unknown_order:,} name an unknown order, {self.not_covered:,} fit no line; {self.left_out:,} are left out"
        )


def link_returns(returns: pl.DataFrame, link: Link, lines: pl.DataFrame, returned: pl.DataFrame) -> tuple[pl.DataFrame, Coverage]:
    """Give returns their lines.

    Args:
        returns: delivered columns without ``line_id``, with ``ORDER``.
        lines: ``LINE_COLUMNS``, one row a line.
        returned: ``line_id`` and ``quantity`` of what came back of lines before, in other deliveries.

    Returns:
        The returns with ``line_id`` (null where none was found), without ``ORDER``; and what the rule covered.
    """
    used = returned.group_by("line_id").agg(pl.col("quantity").sum().alias("__used"))
    lines = lines.join(used, on="line_id", how="left").with_columns(
        __left=(pl.col("quantity") - pl.col("__used").fill_null(0)).clip(lower_bound=0)
    )
    known = returns[ORDER].is_in(lines["order_id"].drop_nulls().unique().implode()).fill_null(False)
    linked = _of_orders(returns, lines) if link.by == "order" else _of_articles(returns, lines)
    done = linked.group_by("__return").agg(pl.col("line_id").null_count().alias("open"), pl.len().alias("all"))
    whole = done.filter(pl.col("open") == 0).height
    partly = done.filter((pl.col("open") > 0) & (pl.col("open") < pl.col("all"))).height
    unknown = int((~known).sum())
    without = linked.filter(pl.col("line_id").is_null())
    coverage = Coverage(
        returns=returns.height,
        linked=whole,
        partly=partly,
        unknown_order=unknown,
        not_covered=returns.height - whole - partly - unknown,
        left_out=without.filter(pl.col("quantity").is_null()).height,
    )
    kept = linked.filter(pl.col("line_id").is_not_null() | pl.col("quantity").is_not_null())
    return kept.drop(ORDER, "__return"), coverage


def _of_orders(returns: pl.DataFrame, lines: pl.DataFrame) -> pl.DataFrame:
    """A return is of all lines of its order; where it has a refund, only if that is what the lines cost."""
    for name, kind in (("quantity", pl.Int64), ("refund_cents", pl.Int64), ("currency", pl.String)):
        if name not in returns.columns or returns[name].dtype != kind:
            returns = returns.with_columns(pl.lit(None, kind).alias(name))
    own = returns.with_row_index("__return").drop("line_id", "customer_id", "article_id", "quantity", strict=False)
    of = lines.filter(pl.col("__left") > 0).select(
        pl.col("order_id").alias(ORDER), "line_id", "customer_id", "article_id",
        pl.col("__left").alias("quantity"),
        (pl.col("__left") * pl.col("unit_price_cents")).alias("__value"),
        pl.col("currency").alias("__currency"),
    )  # fmt: skip
    total = of.group_by(ORDER).agg(pl.col("__value").sum().alias("__total"))
    joined = own.sort("returned_at", "return_id", maintain_order=True).join(total, on=ORDER, how="left", maintain_order="left")
    first = pl.int_range(pl.len()).over(ORDER) == 0  # a second return of an order finds nothing left of it
    covers = first & (pl.col("refund_cents").is_null() | (pl.col("refund_cents") == pl.col("__total")))
    found = joined.filter(covers).join(of.sort("line_id"), on=ORDER, how="inner", maintain_order="left_right")
    found = found.with_columns(
        return_id=pl.col("return_id") + "-" + pl.col("line_id"),
        refund_cents=pl.col("__value"),
        currency=pl.col("__currency"),
    )
    rest = joined.filter(~pl.col("__return").is_in(found["__return"].unique().implode()))
    both = pl.concat([found.drop("__value", "__currency", "__total"), rest.drop("__total")], how="diagonal_relaxed")
    return both.with_columns(pl.col("line_id").cast(pl.String), pl.col("quantity").cast(pl.Int64))


def _of_articles(returns: pl.DataFrame, lines: pl.DataFrame) -> pl.DataFrame:
    """The pieces of an order and article in a row, once by returns, once by lines: where they overlap they are linked."""
    key = [ORDER, "article_id"]
    own = returns.with_row_index("__return").drop("line_id", strict=False).sort("returned_at", "return_id", maintain_order=True)
    pieces = pl.col("quantity").clip(lower_bound=0).fill_null(0)
    own = own.with_columns(__to=pieces.cum_sum().over(key)).with_columns(__from=pl.col("__to") - pieces)
    of = lines.sort("line_id").select(
        pl.col("order_id").alias(ORDER), "article_id", pl.col("line_id"), pl.col("customer_id").alias("__customer"),
        pl.col("__left").cum_sum().over("order_id", "article_id").alias("__end"), "__left",
    )  # fmt: skip
    joined = own.join(of, on=key, how="inner", maintain_order="left_right")
    start = pl.max_horizontal("__from", pl.col("__end") - pl.col("__left"))
    end = pl.min_horizontal("__to", "__end")
    hits = joined.with_columns(__start=start, __stop=end).filter(pl.col("__stop") > pl.col("__start"))
    covered = hits.group_by("__return").agg(pl.col("__stop").max().alias("__covered"))
    rest = own.join(covered, on="__return", how="left", maintain_order="left").with_columns(
        __start=pl.coalesce("__covered", "__from"), __stop=pl.col("__to"), line_id=pl.lit(None, pl.String)
    )
    rest = rest.filter((pl.col("__stop") > pl.col("__start")) | (pl.col("quantity").fill_null(0) <= 0))
    both = pl.concat([hits, rest], how="diagonal_relaxed").sort("__return", "__start", maintain_order=True)
    part = pl.int_range(1, pl.len() + 1).over("__return")
    size = pl.col("quantity")
    shares = (pl.col("refund_cents") * (pl.col(at) - pl.col("__from")) // size for at in ("__stop", "__start"))
    refund = next(shares) - next(shares)
    customer = pl.col("customer_id") if "customer_id" in both.columns else pl.lit(None, pl.String)
    made = both.with_columns(
        return_id=pl.when(part == 1).then(pl.col("return_id")).otherwise(pl.format("{}-{}", "return_id", part)),
        refund_cents=pl.when(size > 0).then(refund).otherwise("refund_cents"),
        quantity=pl.when(size > 0).then(pl.col("__stop") - pl.col("__start")).otherwise(size),
        customer_id=pl.coalesce(customer, "__customer") if "__customer" in both.columns else customer,
    )
    names = [name for name in returns.columns if name not in ("line_id", "customer_id")]
    return made.select("line_id", "customer_id", *names, "__return")
