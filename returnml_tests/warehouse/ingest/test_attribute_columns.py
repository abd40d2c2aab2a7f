"""Attributes of landed orders: read as declared, refused where they cannot be, and as a request reads them."""

from __future__ import annotations

import re
from datetime import date, datetime
from typing import Any

import duckdb
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from returnml.attributes import Attribute, AttributeType, Entity, read_value
from returnml.contracts.columns import ORDERS, RETURNS
from returnml.settings import Settings, SettingsError
from returnml.warehouse.ingest.attribute_columns import attribute_columns, unreadable
from returnml.warehouse.ingest.outcomes import build_outcomes
from returnml.warehouse.ingest.schema import tables
from returnml.warehouse.ingest.validate import build_core
from returnml_tests.warehouse.conftest import D1, D2, Shop, order, returned

SETTINGS = msgspec.convert(
    {
        "attributes": {
            "order": {"channel": {"type": "category"}, "gift": {"type": "flag"}},
            "customer": {"birth_date": {"type": "date", "column": "Date of birth"}},
            "article": {"weight": {"type": "number", "decimals": 2}},
            "line": {"note": {"type": "text"}},
        }
    },
    Settings,
)
OWN = SETTINGS.shop_attributes
NAMES = "order_channel, order_gift, customer_birth_date, article_weight, line_note"


def built(make_shop, *rows: dict[str, Any]) -> Shop:
    shop = make_shop(SETTINGS)
    shop.deliver("orders", D1, list(rows))
    shop.ingest("orders", D1)
    build_core(shop.con, ORDERS, D1, D1, attributes=OWN)
    return shop


def test_what_the_order_table_delivers_is_in_core_as_declared(make_shop):
    texts = {"channel": "app", "gift": "yes", "Date of birth": "1980-01-31", "weight": "12.5", "note": "a card, please"}
    empty = {"channel": "", "gift": " ", "Date of birth": None, "weight": "", "note": "  "}
    shop = built(make_shop, order("l1", **texts), order("l2", **empty))
    born = (date(1980, 1, 31) - date(1970, 1, 1)).days
    assert shop.rows(f"SELECT {NAMES} FROM core.orders ORDER BY line_id") == [("app", 1, born, 1250, 1), (None,) * 5]


def test_typed_columns_are_read_as_texts_are(make_shop):
    typed = {"channel": 13.0, "gift": True, "Date of birth": datetime(1980, 1, 31, 23, 59), "weight": 0.25, "note": "x"}
    shop = built(make_shop, order("l1", **typed))
    born = (date(1980, 1, 31) - date(1970, 1, 1)).days
    assert shop.rows(f"SELECT {NAMES} FROM core.orders") == [("13", 1, born, 25, 1)]


@pytest.mark.parametrize(
    ("column", "value", "told"),
    [
        ("weight", "12,5", 'orders/.*, row 1, extra."weight": attribute_not_readable: .*, got 12,5'),
        ("weight", "0.125", 'extra."weight": attribute_not_readable'),
        ("Date of birth", "31.1.1980", 'extra."Date of birth": attribute_not_readable: .*, got 31.1.1980'),
        ("Date of birth", "2980-01-31", 'extra."Date of birth"'),
        ("gift", "perhaps", 'extra."gift"'),
        ("channel", "x" * 257, 'extra."channel"'),
    ],
)
def test_a_value_that_is_not_of_its_type_quarantines_the_row(make_shop, column, value, told):
    shop = built(make_shop, order("l1", **{column: value}), order("l2", **{column: None}))
    [(rule, message)] = shop.rows("SELECT rule, message FROM quarantine.orders")
    assert rule == "attribute_not_readable"
    assert re.search(told, message), message
    assert shop.rows("SELECT line_id FROM core.orders") == [("l2",)]


def test_a_column_of_the_contract_is_no_attribute():
    own = msgspec.convert({"attributes": {"order": {"x": {"type": "category", "column": "Brand"}}}}, Settings).shop_attributes
    with pytest.raises(SettingsError, match=r"attributes\.order\.x: 'Brand' is a column of the contract"):
        tables(own)


def test_undeclared_columns_stay_what_they_were(make_shop):
    shop = make_shop()
    shop.deliver("orders", D1, [order("l1", weight="12,5")])
    report = shop.load("orders", D1)
    assert (report.good, report.quarantined) == (1, 0)
    columns = {name for (name,) in shop.rows("SELECT column_name FROM duckdb_columns() WHERE table_name = 'orders'")}
    assert not columns & {a.name for a in OWN}


def test_returns_and_outcomes_have_the_categories_of_their_line(make_shop):
    shop = built(make_shop, order("l1", channel="app", gift="no"), order("l2"))
    shop.deliver("returns", D2, [returned("r1", "l1"), returned("r2", "l2")])
    shop.ingest("returns", D2)
    build_core(shop.con, RETURNS, D2, D2, attributes=OWN)
    assert shop.rows("SELECT line_id, order_channel FROM core.returns ORDER BY 1") == [("l1", "app"), ("l2", None)]
    due = date(2024, 6, 4)
    build_outcomes(shop.con, due, due, SETTINGS.label, OWN)
    assert shop.rows("SELECT line_id, returned, order_channel FROM core.outcomes ORDER BY 1") == [
        ("l1", 1, "app"),
        ("l2", 1, None),
    ]


SENT = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**16), 10**16),
    st.floats(allow_nan=False, allow_infinity=False),
    st.decimals(-(10**6), 10**6, allow_nan=False, places=4).map(float),
    st.text(max_size=8),
    st.dates().map(str),
)


@given(st.sampled_from(AttributeType), st.integers(0, 4), SENT)
def test_batch_reads_what_was_accepted_as_the_request_was_read(kind, decimals, sent):
    attribute = Attribute(Entity.LINE, "it's", kind, "it's", "it", decimals if kind is AttributeType.NUMBER else 0)
    try:
        read = read_value(attribute, sent)
    except ValueError:
        return
    extra = msgspec.json.encode({attribute.column: sent}).decode()
    [value] = attribute_columns((attribute,), "j").values()
    [failed] = unreadable((attribute,), "j").values()
    row = duckdb.execute(f"SELECT {value}, coalesce({failed}, false) FROM (SELECT ?::JSON AS j)", [extra]).fetchone()
    assert row == (read, False)
