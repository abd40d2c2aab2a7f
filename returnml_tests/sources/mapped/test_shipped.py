"""The mappings that ship, each on a small file of its shape: what lands, exactly."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from returnml.clock import VirtualClock
from returnml.instants import instant_us
from returnml.settings import LabelSettings
from returnml.sources.import_error import SourceError
from returnml.sources.mapped.mapped_tables import Given, Prepared, prepare
from returnml.sources.mapped.shipped import mapping_path, shipped_mappings

LINE = ("line_id", "order_id", "ordered_at", "customer_id", "article_id", "quantity", "unit_price_cents", "currency")
RETURN = ("return_id", "returned_at", "line_id", "quantity", "refund_cents", "currency")


def _prepared(tmp_path: Path, mapping: str, files: dict[str, Any], exported_at: str | None = None) -> Prepared:
    tables = {}
    for name, content in files.items():
        tables[name] = tmp_path / (f"{name}.csv" if isinstance(content, str) else f"{name}.json")
        tables[name].write_text(content if isinstance(content, str) else json.dumps(content))
    given = Given(mapping_path(mapping), tables, exported_at=exported_at)
    return prepare(given, tmp_path / "landing", LabelSettings(), VirtualClock(instant_us(datetime(2026, 1, 1))))


def _returns(done: Prepared) -> list[tuple[Any, ...]]:
    assert done.returns is not None
    return done.returns.select(RETURN).rows()


def test_shopify(tmp_path: Path) -> None:
    item = {
        "id": 11,
        "product_id": 5,
        "sku": "S",
        "quantity": 2,
        "price": "19.90",
        "variant_title": "M",
        "requires_shipping": True,
    }
    order = {
        "id": 1, "name": "#1001", "created_at": "2025-03-01T10:00:00+01:00", "currency": "EUR",
        "customer": {"id": 7, "email": "x@y.z"},
        "discount_codes": [{"code": "SPRING"}], "shipping_address": {"country_code": "DE"}, "payment_gateway_names": ["paypal"],
        "line_items": [item, item | {"id": 12, "product_id": None, "quantity": 1, "requires_shipping": False}],
        "refunds": [{"id": 3, "created_at": "2025-03-09T08:00:00Z", "note": "too small", "refund_line_items": [
            {"id": 31, "line_item_id": 11, "quantity": 1, "subtotal": 19.9, "restock_type": "return"},
            {"id": 32, "line_item_id": 12, "quantity": 1, "subtotal": 19.9, "restock_type": "cancel"},
        ]}],
    }  # fmt: skip
    guest = {
        "id": 2,
        "created_at": "2025-03-02T10:00:00Z",
        "currency": "EUR",
        "customer": None,
        "line_items": [item | {"id": 13}],
    }
    done = _prepared(tmp_path, "shopify", {"orders": {"orders": [order, guest]}})
    at = datetime(2025, 3, 1, 9)
    assert done.orders.select(LINE).rows() == [
        ("11", "1", at, "7", "5", 2, 1990, "EUR"),
        ("12", "1", at, "7", "S", 1, 1990, "EUR"),
        ("13", "2", datetime(2025, 3, 2, 10), "guest-2", "5", 2, 1990, "EUR"),
    ]
    assert done.orders.select("size", "voucher_code", "country", "payment_method", "is_goods").rows()[0] == (
        "M", "SPRING", "DE", "paypal", True,
    )  # fmt: skip
    back = datetime(2025, 3, 9, 8)
    assert _returns(done) == [("31", back, "11", 1, 1990, "EUR"), ("32", back, "12", 1, 1990, "EUR")]
    assert done.returns is not None
    assert done.returns["is_cancellation"].to_list() == [False, True]


def test_woocommerce(tmp_path: Path) -> None:
    item = {"id": 21, "product_id": 5, "quantity": 3, "total": "10.00"}
    order = {
        "id": 1, "status": "completed", "date_created_gmt": "2025-03-01T10:00:00", "currency": "JPY", "customer_id": 0,
        "payment_method": "cod", "shipping": {"country": "JP"}, "line_items": [item, item | {"id": 22, "quantity": 1}],
    }  # fmt: skip
    other = order | {"id": 2, "status": "cancelled"}
    refund = {
        "parent_id": 1, "date_created_gmt": "2025-03-05T10:00:00", "reason": "late",
        "line_items": [{"id": 91, "product_id": 5, "quantity": -4, "total": "-13.00"}],
    }  # fmt: skip
    done = _prepared(tmp_path, "woocommerce", {"orders": [order, other], "returns": [refund]})
    assert done.orders.select(LINE).rows() == [
        ("21", "1", datetime(2025, 3, 1, 10), "guest-1", "5", 3, 3, "JPY"),
        ("22", "1", datetime(2025, 3, 1, 10), "guest-1", "5", 1, 10, "JPY"),
    ]
    back = datetime(2025, 3, 5, 10)
    assert sorted(_returns(done)) == [("91", back, "21", 3, 9, "JPY"), ("91-2", back, "22", 1, 4, "JPY")]
    assert done.coverage is not None
    assert (done.coverage.returns, done.coverage.linked) == (1, 1)


def test_magento(tmp_path: Path) -> None:
    parent = {"item_id": 41, "sku": "C-M", "qty_ordered": 2, "price": 24.5, "product_type": "configurable"}
    order = {
        "entity_id": 1, "state": "complete", "created_at": "2025-03-01 10:00:00", "order_currency_code": "USD", "customer_id": 8,
        "items": [parent, {"item_id": 42, "parent_item_id": 41, "sku": "C-M", "qty_ordered": 2, "price": 0}],
    }  # fmt: skip
    memo = {
        "created_at": "2025-03-08 10:00:00", "order_currency_code": "USD",
        "items": [{"entity_id": 71, "order_item_id": 41, "sku": "C-M", "qty": 1, "row_total": 24.5},
                  {"entity_id": 72, "order_item_id": 42, "sku": "C-M", "qty": 1}],
    }  # fmt: skip
    done = _prepared(tmp_path, "magento", {"orders": {"items": [order]}, "returns": {"items": [memo]}})
    assert done.orders.select(LINE).rows() == [("41", "1", datetime(2025, 3, 1, 10), "8", "C-M", 2, 2450, "USD")]
    assert _returns(done) == [("71", datetime(2025, 3, 8, 10), "41", 1, 2450, "USD")]


SUPERSTORE = """Row ID,Order ID,Order Date,Ship Date,Customer ID,Customer Name,Country,Product ID,Sub-Category,Sales,Quantity
1,A-1,11/8/2024,11/11/2024,CG-1,Claire,United States,FUR-1,Bookcases,261.96,2
2,A-1,11/8/2024,11/11/2024,CG-1,Claire,United States,FUR-2,Chairs,731.94,3
3,B-1,6/12/2024,6/16/2024,DV-1,Darrin,United States,OFF-1,Labels,14.62,2
"""


def test_superstore(tmp_path: Path) -> None:
    files = {"orders": SUPERSTORE, "returned": "Returned,Order ID\nYes,A-1\nYes,A-1\nYes,Z-9\n"}
    done = _prepared(tmp_path, "superstore", files, "2025-06-01")
    assert done.orders.select(*LINE, "is_returned").rows() == [
        ("1", "A-1", datetime(2024, 11, 8), "CG-1", "FUR-1", 2, 13098, "USD", True),
        ("2", "A-1", datetime(2024, 11, 8), "CG-1", "FUR-2", 3, 24398, "USD", True),
        ("3", "B-1", datetime(2024, 6, 12), "DV-1", "OFF-1", 2, 731, "USD", False),
    ]
    assert done.mapped_orders.left_out == ("Ship Date", "Customer Name")
    with pytest.raises(SourceError, match=r"column 'exported_at': needed with is_returned.*--exported-at"):
        _prepared(tmp_path, "superstore", files)


def test_order_items(tmp_path: Path) -> None:
    rows = """id,order_id,user_id,product_id,status,created_at,returned_at,sale_price
1,1,9,5,Returned,2025-03-01 10:00:00+00:00,2025-03-09 12:30:00 UTC,12.5
2,1,9,5,Complete,2025-03-01 10:00:00 UTC,,12.5
3,2,8,6,Cancelled,2025-03-02 10:00:00 UTC,,7
"""
    done = _prepared(tmp_path, "order-items", {"orders": rows})
    assert [row[0] for row in done.orders.select(LINE).rows()] == ["1", "2"]
    assert _returns(done) == [("1", datetime(2025, 3, 9, 12, 30), "1", 1, 1250, "USD")]


def test_flag_only(tmp_path: Path) -> None:
    header = "line_id,order_id,ordered_at,customer_id,article_id,quantity,unit_price,currency,returned"
    rows = f"{header}\na,o,2025-01-01,k,x,1,5,EUR,yes\n"
    done = _prepared(tmp_path, "flag-only", {"orders": rows}, "2025-03-01")
    assert done.orders.select(*LINE[-3:], "is_returned").rows() == [(1, 500, "EUR", True)]


def test_every_mapping_that_ships_is_tested_here() -> None:
    tested = {name.removeprefix("test_").replace("_", "-") for name in globals() if name.startswith("test_")}
    assert set(shipped_mappings()) <= tested
    with pytest.raises(SourceError, match=r"shopware: is no file; mappings that ship are flag-only, magento, .*\[mapping\]"):
        mapping_path("shopware")
