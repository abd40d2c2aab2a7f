from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import polars as pl
import pytest

from returnml.contracts.columns import ORDERS, RETURNS, STREAMS
from returnml.contracts.rules import rules
from returnml.settings import Settings
from returnml.warehouse.ingest import validate
from returnml.warehouse.ingest.validate import (
    RowsLost,
    build_core,
)
from returnml_tests.warehouse.conftest import D1, D2, D3, Shop, deliver_bytes, frame, order, parquet, returned, us

AT = datetime(2024, 5, 1, 10)


def inspection(inspection_id: str | None = "i1", return_id: str = "r1", at: datetime = datetime(2024, 5, 3, 8), **changed: Any):
    return {"inspection_id": inspection_id, "return_id": return_id, "inspected_at": at, "verdict": "worn"} | changed


def test_good_rows_reach_core_and_the_return_carries_its_lines_keys(shop: Shop):
    shop.deliver("orders", D1, [order("l1"), order("l2")])
    shop.deliver("returns", D2, [returned("r1", "l1")])
    shop.deliver("inspections", D3, [inspection()])

    orders, returns, inspections = (shop.load(name, D1, D3) for name in ("orders", "returns", "inspections"))

    assert [(r.rows_in, r.good, r.quarantined) for r in (orders, returns, inspections)] == [(2, 2, 0), (1, 1, 0), (1, 1, 0)]
    day = (D1 - datetime(1970, 1, 1).date()).days
    assert shop.rows("SELECT line_id, seq, line_value_cents FROM core.orders ORDER BY seq") == [
        ("l1", (day << 32) + 1, 2000),
        ("l2", (day << 32) + 2, 2000),
    ]
    assert shop.rows(
        "SELECT return_id, line_id, order_id, ordered_at, customer_id, article_id, size, is_orphan FROM core.returns"
    ) == [("r1", "l1", "o1", AT, "c1", "a-l1", "M", False)]
    assert shop.rows("SELECT inspection_id, return_id, line_id, known_day, verdict FROM core.inspections") == [
        ("i1", "r1", "l1", D3, "worn")
    ]


_ORDER_RULES = {
    "line_id_missing": {"line_id": None},
    "order_id_missing": {"order_id": "  "},
    "ordered_at_missing": {"ordered_at": None},
    "customer_id_missing": {"customer_id": None},
    "article_id_missing": {"article_id": ""},
    "quantity_missing": {"quantity": None},
    "unit_price_cents_missing": {"unit_price_cents": None},
    "currency_missing": {"currency": None},
    "currency_unknown": {"currency": "euro"},
    "quantity_not_positive": {"quantity": 0},
    "unit_price_not_positive": {"unit_price_cents": -1},
    "list_price_negative": {"list_price_cents": -1},
    "not_goods": {"is_goods": False},
    "outside_landing_day": {"ordered_at": datetime(2024, 5, 2)},
    "quantity_too_large": {"quantity": 1 << 24},
    "line_value_too_large": {"quantity": 2, "unit_price_cents": 1 << 35},
}


@pytest.mark.parametrize("rule", _ORDER_RULES)
def test_each_rule_of_an_order_line(shop: Shop, rule: str):
    bad = order("bad") | _ORDER_RULES[rule]
    file = deliver_bytes(shop.landing, "orders", D1, parquet(frame(ORDERS, [order("good"), bad])), rows=2)
    report = shop.load("orders", D1)

    assert (report.good, report.by_rule) == (1, {rule: 1})
    column = next(r.column for r in rules(ORDERS) if r.name == rule)
    rows = shop.rows(
        "SELECT known_day, file, version, row_number, rule, rules, column_name, message, payload FROM quarantine.orders"
    )
    assert rows[0][:7] == (D1, file, 1, 2, rule, [rule], column)
    assert rows[0][7].startswith(f"{file}, row 2, {column}: {rule}: ")
    assert json.loads(rows[0][8])["article_id"] == bad["article_id"]


@pytest.mark.parametrize(
    "good",
    [
        {"quantity": (1 << 24) - 1, "unit_price_cents": 1},
        {"quantity": 1, "unit_price_cents": (1 << 36) - 1},
        {"list_price_cents": 0, "is_goods": True},
        {"ordered_at": datetime(2024, 5, 1, 23, 59, 59, 999999)},
    ],
    ids=str,
)
def test_the_edge_of_a_rule_is_good(shop: Shop, good: dict):
    shop.deliver("orders", D1, [order("l1") | good])
    assert shop.load("orders", D1).by_rule == {}


def test_all_broken_rules_are_listed_and_the_first_names_the_row(shop: Shop):
    shop.deliver("orders", D1, [order("bad", quantity=-2, unit_price_cents=0, customer_id=None)])
    shop.load("orders", D1)
    assert shop.rows("SELECT rule, rules, column_name, message FROM quarantine.orders")[0][:3] == (
        "customer_id_missing",
        ["customer_id_missing", "quantity_not_positive", "unit_price_not_positive"],
        "customer_id",
    )


def test_a_value_that_could_not_be_read_breaks_one_rule_and_keeps_its_text(shop: Shop):
    text = frame(ORDERS, [order("l1"), order("l2")]).with_columns(quantity=pl.Series(["2", "two"]))
    file = deliver_bytes(shop.landing, "orders", D1, parquet(text), rows=2)
    assert shop.load("orders", D1).by_rule == {"not_castable": 1}
    assert shop.rows("SELECT rules, column_name, message, payload->>'quantity' FROM quarantine.orders") == [
        (
            ["not_castable"],
            "quantity",
            f"{file}, row 2, quantity: not_castable: cannot be read as the declared type, got two",
            "two",
        )
    ]


@pytest.mark.parametrize(("at", "rule"), [(datetime(2100, 1, 1), "time_in_future"), (datetime(1989, 12, 31), "time_too_early")])
def test_absurd_years(shop: Shop, at: datetime, rule: str):
    shop.deliver("orders", at.date(), [order("l1", at)])
    assert shop.load("orders", at.date()).by_rule == {rule: 1}


def test_after_go_live_nothing_happens_after_its_delivery(make_shop: Callable[..., Shop]):
    shop = make_shop(Settings(go_live="2024-04-01"))
    shop.deliver("orders", D1, [order("l1", AT), order("l2", AT + timedelta(microseconds=1))], us(AT))
    assert shop.load("orders", D1).by_rule == {"time_in_future": 1}
    assert shop.rows("SELECT line_id, known_at FROM core.orders") == [("l1", AT)]


def test_of_equal_rows_the_first_is_kept_even_if_a_refused_row_came_before(shop: Shop):
    same = {"article_id": "a", "note": "x"}
    shop.deliver("orders", D1, [order(None, **same), order("l1", **same), order("l2", **same), order("l3", **same, size="S")])
    report = shop.load("orders", D1)
    assert report.by_rule == {"line_id_missing": 1, "duplicate_line": 1}
    assert shop.rows("SELECT line_id FROM core.orders ORDER BY line_id") == [("l1",), ("l3",)]


def test_an_id_belongs_to_the_first_good_row_also_of_an_earlier_day(shop: Shop):
    later = AT + timedelta(hours=1)
    shop.deliver("orders", D1, [order("l1", AT, quantity=0), order("l1", later), order("l1", later, quantity=3)])
    shop.deliver("orders", D2, [order("l1", AT + timedelta(days=1)), order("l2", AT + timedelta(days=1))])
    shop.ingest("orders", D1, D2)
    whole = shop.build("orders", D1, D2)
    content = shop.content()

    assert whole.by_rule == {"duplicate_id": 2, "quantity_not_positive": 1}
    assert shop.rows("SELECT line_id, ordered_at, quantity FROM core.orders ORDER BY 1") == [
        ("l1", later, 2),
        ("l2", AT + timedelta(days=1), 2),
    ]
    shop.build("orders", D1)
    shop.build("orders", D2)
    assert shop.content() == content


_RETURN_RULES = {
    "return_id_missing": {"return_id": None},
    "returned_at_missing": {"returned_at": None},
    "quantity_not_positive": {"quantity": 0},
    "currency_unknown": {"currency": "?"},
    "refund_negative": {"refund_cents": -1},
    "not_goods": {"is_goods": False},
    "refund_too_large": {"refund_cents": 1 << 36},
    "quantity_too_large": {"quantity": 1 << 24},
    "outside_landing_day": {"returned_at": datetime(2024, 5, 3)},
    "unknown_order_line": {"line_id": None, "customer_id": "c1"},
    "currency_differs": {"currency": "USD"},
    "return_before_order": {"line_id": "later"},
    "return_larger_than_order": {"quantity": 3},
}


@pytest.mark.parametrize("rule", _RETURN_RULES)
def test_each_rule_of_a_return(shop: Shop, rule: str):
    shop.deliver("orders", D1, [order("l1")])
    shop.deliver("orders", D2, [order("later", datetime(2024, 5, 2, 20))])
    bad = returned("bad") | _RETURN_RULES[rule]
    deliver_bytes(shop.landing, "returns", D2, parquet(frame(RETURNS, [bad])))
    shop.load("orders", D1, D2)
    report = shop.load("returns", D2)

    assert (report.good, report.by_rule) == (0, {rule: 1})


@pytest.mark.parametrize("line_id", [None, "nowhere"])
def test_a_return_of_an_unknown_line_that_names_customer_and_article_is_an_orphan(shop: Shop, line_id: str | None):
    shop.deliver("returns", D2, [returned("r1", line_id, customer_id="c9", article_id="a9", quantity=500)])
    shop.load("returns", D2)
    assert shop.rows("SELECT is_orphan, line_id, customer_id, article_id, order_id FROM core.returns") == [
        (True, line_id, "c9", "a9", None)
    ]


def test_a_line_known_only_tomorrow_is_unknown_today(shop: Shop):
    """And tomorrow it was ordered after the return: that stays an orphan."""
    shop.deliver("orders", D3, [order("l1", datetime(2024, 5, 3))])
    shop.deliver("returns", D2, [returned("r1", "l1")])
    shop.load("orders", D1, D3)
    report = shop.load("returns", D1, D3)
    assert (report.good, report.orphans, report.links, report.by_rule) == (1, 1, 0, {})
    assert shop.rows("SELECT is_orphan, customer_id, article_id FROM core.returns") == [(True, None, None)]


def test_accepted_returns_never_add_up_to_more_than_was_ordered(shop: Shop):
    shop.deliver("orders", D1, [order("l1", quantity=5)])
    at = datetime(2024, 5, 2, 9)
    hours = [timedelta(hours=n) for n in range(5)]
    shop.deliver("returns", D2, [returned(f"r{n}", "l1", at + hours[n], quantity=q) for n, q in enumerate((3, 3, 1))])
    # the id of a refused return is free; that of an accepted one is not
    next_day = [returned("r1", "l1", at + timedelta(days=1), quantity=1), returned("r0", "l1", at + timedelta(days=1, hours=1))]
    shop.deliver("returns", D3, next_day)
    shop.load("orders", D1, D3)
    shop.ingest("returns", D1, D3)

    whole = shop.build("returns", D1, D3)
    content = shop.content()
    assert shop.rows("SELECT return_id, known_day, quantity FROM core.returns ORDER BY seq") == [
        ("r0", D2, 3),
        ("r2", D2, 1),
        ("r1", D3, 1),
    ]
    assert whole.by_rule == {"duplicate_id": 1, "return_larger_than_order": 1}
    assert shop.rows("SELECT rules FROM quarantine.returns WHERE known_day = ?", D3) == [
        (["duplicate_id", "return_larger_than_order"],)
    ]
    for day in (D1, D2, D3):
        shop.build("returns", day)
    assert shop.content() == content


def test_a_cancellation_is_kept(shop: Shop):
    shop.deliver("orders", D1, [order("l1")])
    shop.deliver("returns", D1, [returned("r1", "l1", AT + timedelta(minutes=5), quantity=2, is_cancellation=True)])
    shop.load("orders", D1)
    assert shop.load("returns", D1).good == 1
    assert shop.rows("SELECT is_cancellation FROM core.returns") == [(True,)]


@pytest.mark.parametrize(
    ("changed", "rule"),
    [
        ({"verdict": "fine"}, "verdict_unknown"),
        ({"verdict": None}, "verdict_missing"),
        ({"return_id": "nowhere"}, "unknown_return"),
        ({"inspected_at": datetime(2024, 5, 2, 8)}, "inspection_before_return"),
    ],
)
def test_each_rule_of_an_inspection(shop: Shop, changed: dict, rule: str):
    shop.deliver("orders", D1, [order("l1")])
    shop.deliver("returns", D2, [returned("r1", "l1")])
    bad = inspection() | changed
    shop.deliver("inspections", bad["inspected_at"].date(), [bad])
    reports = [shop.load(name, D1, D3) for name in STREAMS]
    assert reports[2].by_rule == {rule: 1}


def test_a_lost_row_is_a_defect_and_nothing_is_written(shop: Shop, monkeypatch: pytest.MonkeyPatch):
    shop.deliver("orders", D1, [order("l1"), order("l2", quantity=0)])
    shop.load("orders", D1)
    before = shop.content()
    shop.deliver("orders", D1, [order("l1"), order("l3"), order("l2", quantity=0)])
    shop.ingest("orders", D1)
    raw = [row for row in shop.content() if row[0] == "raw.orders"]
    lossy = validate.core_select(ORDERS, D1).replace("FROM candidate", "FROM (FROM candidate WHERE pos > 1)")
    monkeypatch.setattr(validate, "core_select", lambda *_: lossy)

    with pytest.raises(RowsLost, match="3 raw rows, but 1 validated and 1 in quarantine"):
        build_core(shop.con, ORDERS, D1, D1)
    assert shop.content() == [row for row in before if row[0] != "raw.orders"] + raw
    assert shop.rows("SELECT line_id FROM core.orders") == [("l1",)]
