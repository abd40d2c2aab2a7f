"""The linking rule against a naive loop over any small history."""

from __future__ import annotations

from datetime import datetime, timedelta

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from returnml.sources.online_retail_linking import link_returns

START = datetime(2011, 1, 1)
SCHEMA = pl.Schema(
    {
        "row": pl.UInt32,
        "id": pl.String,
        "order_id": pl.String,
        "at": pl.Datetime("us"),
        "customer_id": pl.String,
        "article_id": pl.String,
        "quantity": pl.Int64,
        "unit_price_cents": pl.Int64,
        "is_goods": pl.Boolean,
        "country": pl.String,
        "description": pl.String,
    }
)

# few distinct values, so that customers, articles, instants and whole rows meet
_row = st.tuples(
    st.integers(0, 5),
    st.sampled_from(["1", "2", None]),
    st.sampled_from(["a", "b"]),
    st.integers(-1, 4),
    st.sampled_from([0, 100]),
    st.booleans() | st.just(True),
    st.sampled_from(["i1", "i2"]),
)


def _frame(rows: list[tuple], first_row: int) -> pl.DataFrame:
    records = [
        (n, f"{order}-{n:04}", order, START + timedelta(days=day), customer, article, quantity, price, goods, "F", "x")
        for n, (day, customer, article, quantity, price, goods, order) in enumerate(rows, first_row)
    ]
    return pl.DataFrame(records, SCHEMA, orient="row")


def _is_linkable(row: dict) -> bool:
    return row["is_goods"] and row["customer_id"] is not None and row["unit_price_cents"] > 0 and row["quantity"] > 0


def _naive(orders: pl.DataFrame, returns: pl.DataFrame) -> dict[str, tuple[str | None, int]]:
    """return_id -> (line_id, quantity)"""
    lines: list[dict] = []
    seen = set()
    for row in orders.iter_rows(named=True):
        key = tuple(value for name, value in row.items() if name not in ("row", "id"))
        if _is_linkable(row) and key not in seen:
            seen.add(key)
            lines.append(row | {"left": row["quantity"]})
    parts: dict[str, tuple[str | None, int]] = {}
    for row in sorted(returns.iter_rows(named=True), key=lambda r: (r["at"], r["row"])):
        earlier = [
            line
            for line in lines
            if _is_linkable(row) and line["at"] <= row["at"] and all(line[k] == row[k] for k in ("customer_id", "article_id"))
        ]
        latest = max(earlier, key=lambda r: (r["at"], r["order_id"], r["quantity"], r["row"]), default=None)
        taken = min(latest["left"], row["quantity"]) if latest else 0
        if latest and taken:
            latest["left"] -= taken
            parts[row["id"]] = (latest["id"], taken)
            if taken < row["quantity"]:
                parts[f"{row['id']}-x"] = (None, row["quantity"] - taken)
        else:
            parts[row["id"]] = (None, row["quantity"])
    return parts


@given(st.lists(_row, max_size=12), st.lists(_row, max_size=8))
def test_links_equal_the_naive_loop(sold: list[tuple], back: list[tuple]) -> None:
    orders = _frame(sold, 0)
    returns = _frame([(*row[:-1], f"C{row[-1]}") for row in back], len(sold))
    linked, coverage = link_returns(orders, returns)
    found = {row["return_id"]: (row["line_id"], row["quantity"]) for row in linked.iter_rows(named=True)}
    assert found == _naive(orders, returns)
    assert linked.height == len(found)
    assert coverage.returns == len(back)
    assert coverage.linked + coverage.exhausted + coverage.unmatched == coverage.linkable
    assert coverage.linkable + coverage.not_linkable == coverage.returns
    assert coverage.split == linked.height - returns.height
