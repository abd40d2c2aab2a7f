"""Returns that name their order, or order and article: which lines they take, and what is said of the rest."""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from returnml.sources.mapped.linking import link_returns
from returnml.sources.mapped.mapped_columns import ORDER
from returnml.sources.mapped.mapping_words import Link

AT = datetime(2025, 1, 1)
NOTHING = pl.DataFrame(schema={"line_id": pl.String, "quantity": pl.Int64})
ARTICLE, WHOLE = Link("order_article", "order"), Link("order", "order")


def _lines(*rows: tuple[str, str, str, int, int]) -> pl.DataFrame:
    schema = {
        "line_id": pl.String,
        "order_id": pl.String,
        "article_id": pl.String,
        "quantity": pl.Int64,
        "unit_price_cents": pl.Int64,
    }
    return pl.DataFrame(rows, schema, orient="row").with_columns(customer_id=pl.lit("k"), currency=pl.lit("EUR"), ordered_at=AT)


def _returns(*rows: tuple[str, int, str, str | None, int | None, int | None]) -> pl.DataFrame:
    """Id, day, order, article, pieces, refund."""
    found = [(i, AT.replace(day=day), order, article, n, refund) for i, day, order, article, n, refund in rows]
    schema = {
        "return_id": pl.String, "returned_at": pl.Datetime("us"), ORDER: pl.String, "article_id": pl.String,
        "quantity": pl.Int64, "refund_cents": pl.Int64,
    }  # fmt: skip
    return pl.DataFrame(found, schema, orient="row").with_columns(currency=pl.lit("EUR"))


def _linked(returns: pl.DataFrame, link: Link, lines: pl.DataFrame, returned: pl.DataFrame = NOTHING) -> list[Any]:
    done, _ = link_returns(returns, link, lines, returned)
    return sorted(done.select("return_id", "line_id", "quantity", "refund_cents").rows())


def test_pieces_go_to_lines_in_order_of_time_and_id() -> None:
    lines = _lines(("l1", "o", "x", 2, 500), ("l2", "o", "x", 1, 500), ("l3", "o", "y", 1, 900))
    returns = _returns(
        ("r2", 9, "o", "x", 2, 1001), ("r1", 5, "o", "x", 1, 500), ("r3", 5, "p", "x", 1, 1), ("r4", 5, "o", "z", 1, 1)
    )
    done, coverage = link_returns(returns, ARTICLE, lines, NOTHING)
    assert sorted(done.select("return_id", "line_id", "quantity", "refund_cents").rows(), key=str) == [
        ("r1", "l1", 1, 500),
        ("r2", "l1", 1, 500),  # half of 1001, the odd cent goes to the last part
        ("r2-2", "l2", 1, 501),
        ("r3", None, 1, 1),
        ("r4", None, 1, 1),
    ]
    assert (coverage.returns, coverage.linked, coverage.partly, coverage.unknown_order, coverage.not_covered) == (4, 2, 0, 1, 1)
    assert str(coverage).startswith(
        "returns linked to order lines: 2 of 4 (50.0%; 0 more in part); 1 name an unknown order, 1 fit"
    )


def test_what_came_back_before_is_not_taken_again_and_what_is_beyond_stays_without_a_line() -> None:
    lines = _lines(("l1", "o", "x", 3, 500))
    before = pl.DataFrame({"line_id": ["l1"], "quantity": [1]})
    returns = _returns(("r", 5, "o", "x", 3, 1500))
    assert _linked(returns, ARTICLE, lines, before) == [("r", "l1", 2, 1000), ("r-2", None, 1, 500)]
    assert link_returns(returns, ARTICLE, lines, before)[1].partly == 1


def test_a_whole_order_comes_back_once() -> None:
    lines = _lines(("l1", "o", "x", 2, 500), ("l2", "o", "y", 1, 300), ("l3", "p", "x", 1, 700))
    returns = _returns(("r", 5, "o", None, None, None), ("s", 6, "o", None, None, None), ("t", 6, "q", None, None, None))
    assert _linked(returns, WHOLE, lines) == [("r-l1", "l1", 2, 1000), ("r-l2", "l2", 1, 300)]
    coverage = link_returns(returns, WHOLE, lines, NOTHING)[1]
    assert (coverage.linked, coverage.unknown_order, coverage.not_covered, coverage.left_out) == (1, 1, 1, 2)


def test_a_refund_of_a_part_of_an_order_says_not_which_line() -> None:
    lines = _lines(("l1", "o", "x", 2, 500), ("l2", "o", "y", 1, 300))
    returns = _returns(("r", 5, "o", None, None, 300))
    assert _linked(returns, WHOLE, lines) == []
    assert link_returns(returns, WHOLE, lines, NOTHING)[1].left_out == 1
    assert _linked(_returns(("r", 5, "o", None, None, 1300)), WHOLE, lines) == [("r-l1", "l1", 2, 1000), ("r-l2", "l2", 1, 300)]


@given(
    st.lists(st.tuples(st.sampled_from("op"), st.sampled_from("xy"), st.integers(1, 4)), max_size=6),
    st.lists(st.tuples(st.sampled_from("opq"), st.sampled_from("xy"), st.integers(1, 5), st.integers(0, 999)), max_size=6),
)
def test_pieces_and_money_are_neither_lost_nor_made(lines: list[Any], returns: list[Any]) -> None:
    """Piece by piece by hand: each piece of a return takes the next free piece of its order and article."""
    table = _lines(*((f"l{i}", order, article, n, 100) for i, (order, article, n) in enumerate(lines)))
    given_returns = _returns(*((f"r{i}", 2, order, article, n, refund) for i, (order, article, n, refund) in enumerate(returns)))
    done, _ = link_returns(given_returns, ARTICLE, table, NOTHING)
    free = {
        key: [f"l{i}" for i, (o, a, n) in enumerate(lines) if (o, a) == key for _ in range(n)]
        for key in {(o, a) for o, a, _ in lines}
    }
    expected: Counter[tuple[str, str | None]] = Counter()
    for i, (order, article, n, _) in enumerate(returns):
        for _ in range(n):
            stock = free.get((order, article), [])
            expected[(f"r{i}", stock.pop(0) if stock else None)] += 1
    made = Counter[tuple[str, str | None]]()
    for name, line, n in done.select(pl.col("return_id").str.replace(r"-\d+$", ""), "line_id", "quantity").iter_rows():
        made[(name, line)] += n
    assert made == expected
    assert done["return_id"].is_unique().all()
    money = dict(done.group_by(pl.col("return_id").str.replace(r"-\d+$", "")).agg(pl.col("refund_cents").sum()).iter_rows())
    assert money == {f"r{i}": refund for i, (*_, refund) in enumerate(returns)}


@pytest.mark.parametrize("link", [ARTICLE, WHOLE])
def test_no_returns_are_no_returns(link: Link) -> None:
    done, coverage = link_returns(_returns(), link, _lines(("l", "o", "x", 1, 1)), NOTHING)
    assert (done.height, coverage.returns, coverage.linked) == (0, 0, 0)
