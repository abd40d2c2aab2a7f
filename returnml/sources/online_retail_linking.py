"""Links Online Retail returns to order lines; the files themselves say nothing about it.

**Rule.** A return of goods with a customer and a price links to the latest purchase line, not later than itself, of the
same customer and stock code. Purchase lines are sale rows of goods with a customer, a price and a positive quantity, of
exact duplicates the first; lines of the same instant rank by invoice, quantity, then file order. Returns are taken in
order of time, then file. A line gives back at most what was bought: what a return has beyond that becomes a second
record (id suffix ``-x``) without a line, and where nothing is left the whole return stays without one.

The first return that finds a line always takes at least one piece of it, so a line has a linked return within 30 days
exactly where the published baseline's rule (every return links whole) labels it positive.
"""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

_PIECE_KEYS = ("order_id", "at", "customer_id", "article_id", "quantity", "unit_price_cents", "country", "description")


@dataclass(frozen=True)
class Coverage:
    """How many raw returns of each kind found a line.

    Attributes:
        linkable: returns of goods with a customer and a price.
        linked: of these, the ones with at least one piece on a line; ``split`` of them only in part.
        exhausted: found a line that had nothing left.
        unmatched: found no earlier purchase.
        not_linkable: no customer, no price or no goods.
    """

    returns: int
    linkable: int
    linked: int
    split: int
    exhausted: int
    unmatched: int
    not_linkable: int
    within_30_days: int

    @property
    def linked_share(self) -> float:
        """Linked share of the linkable returns; 0 where there are none."""
        return self.linked / self.linkable if self.linkable else 0.0


def link_returns(orders: pl.DataFrame, returns: pl.DataFrame) -> tuple[pl.DataFrame, Coverage]:
    """Link returns to order lines by the module's rule.

    Args:
        orders: sale rows in file order: ``row`` (unique, ascending), ``id``, ``is_goods`` and the columns of a purchase.
        returns: return rows alike, quantities positive.

    Returns:
        The returns with ``return_id`` and ``line_id`` (null where not linked), one row more for each split one, in file
        order, with ``quantity`` the part's; and the coverage.
    """
    is_linkable = pl.col("is_goods") & pl.col("customer_id").is_not_null() & (pl.col("unit_price_cents") > 0)
    is_linkable = is_linkable & (pl.col("quantity") > 0)
    lines = (
        orders.filter(is_linkable)
        .unique(list(_PIECE_KEYS), keep="first", maintain_order=True)
        .sort("at", "order_id", "quantity", "row")
        .select("customer_id", "article_id", "at", line_id="id", sold_at="at", sold="quantity")
    )
    candidates = returns.filter(is_linkable).sort("at", "row")
    matched = candidates.join_asof(
        lines, on="at", by=["customer_id", "article_id"], strategy="backward", check_sortedness=False
    ).with_columns(
        before=(pl.col("quantity").cum_sum() - pl.col("quantity")).over("line_id", order_by=["at", "row"]),
    )
    left = (pl.col("sold") - pl.col("before")).clip(0)
    taken = pl.when(pl.col("line_id").is_not_null()).then(pl.min_horizontal("quantity", left)).otherwise(0)
    placed = returns.join(matched.select("row", "line_id", "sold_at", taken=taken), on="row", how="left", maintain_order="left")
    placed = placed.with_columns(pl.col("taken").fill_null(0))
    linked = placed.filter(pl.col("taken") > 0)
    split = linked.filter(pl.col("taken") < pl.col("quantity"))
    no_line = pl.lit(None, pl.String).alias("line_id")
    parts = pl.concat(
        [
            linked.with_columns(quantity="taken", return_id="id"),
            split.with_columns(no_line, quantity=pl.col("quantity") - pl.col("taken"), return_id=pl.col("id") + "-x"),
            placed.filter(pl.col("taken") == 0).with_columns(no_line, return_id="id"),
        ]
    ).sort("row", "return_id")
    coverage = Coverage(
        returns=returns.height,
        linkable=candidates.height,
        linked=linked.height,
        split=split.height,
        exhausted=matched.filter(pl.col("line_id").is_not_null()).height - linked.height,
        unmatched=matched["line_id"].null_count(),
        not_linkable=returns.height - candidates.height,
        within_30_days=linked.filter(pl.col("at") - pl.col("sold_at") <= pl.duration(days=30)).height,
    )
    return parts.drop("row", "taken", "sold_at"), coverage
