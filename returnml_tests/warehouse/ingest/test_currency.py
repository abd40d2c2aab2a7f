"""Amounts of one currency: rows in another are quarantined, and a warehouse that has several is summed by nobody."""

from datetime import datetime

import pytest

from returnml.features.sets.customer import CUSTOMER
from returnml.features.sets.order_line import ORDER_LINE
from returnml.settings import LabelSettings, Settings, ShopSettings
from returnml.store.lmdb.embedded import LmdbBackend
from returnml.warehouse.features.tile_tables import build_tiles
from returnml.warehouse.features.window_aggregates import compute_windows
from returnml.warehouse.ingest.currency import MixedCurrencies
from returnml.warehouse.ingest.outcomes import build_outcomes
from returnml.warehouse.publishing.generation_content import publish_generation
from returnml_tests.warehouse.conftest import D1, D2, order, returned

AT = datetime(2024, 5, 1, 10)
EUR = Settings(shop=ShopSettings(currency="EUR"))


def quarantined(shop, stream):
    return shop.rows(f"SELECT payload->>'currency', rule, column_name FROM quarantine.{stream} ORDER BY known_day, row_number")


def test_rows_in_another_currency_than_the_declared_are_quarantined_and_counted(make_shop):
    shop = make_shop(EUR)
    shop.deliver("orders", D1, [order("l1"), order("l2", currency="USD"), order("l3", currency="JPY"), order("l4")])
    report = shop.load("orders", D1)
    assert (report.good, report.by_rule) == (2, {"currency_differs": 2})
    assert quarantined(shop, "orders") == [("USD", "currency_differs", "currency"), ("JPY", "currency_differs", "currency")]
    shop.deliver("returns", D2, [returned("r1", "l1", currency="JPY"), returned("r2", "l1")])
    assert shop.load("returns", D2).by_rule == {"currency_differs": 1}
    [(message,)] = shop.rows("SELECT message FROM quarantine.returns")
    assert "row 1, currency: currency_differs: is not the shop's" in message
    assert message.endswith("got JPY")


def test_undeclared_it_is_the_one_that_the_shop_has(shop):
    shop.deliver("orders", D1, [order("l1", currency="GBP")])
    shop.load("orders", D1)
    shop.deliver("orders", D2, [order("l2", datetime(2024, 5, 2, 10)), order("l3", datetime(2024, 5, 2, 10), currency="GBP")])
    assert shop.load("orders", D2).by_rule == {"currency_differs": 1}
    shop.deliver("returns", D2, [returned("r1", "l1"), returned("r2", "l1", currency="GBP")])
    assert shop.load("returns", D2).by_rule == {"currency_differs": 1}
    assert shop.rows("SELECT DISTINCT currency FROM core.orders UNION SELECT currency FROM core.returns") == [("GBP",)]


def test_the_first_orders_of_all_in_several_say_nothing_and_ask(shop):
    shop.deliver("orders", D1, [order("l1"), order("l2", currency="USD"), order("l3", currency="USD")])
    shop.ingest("orders", D1)
    with pytest.raises(MixedCurrencies, match=r"first orders are in USD \(2 rows.*\), EUR \(1 rows.*say which .*shop.currency"):
        shop.build("orders", D1)
    assert shop.rows("SELECT count(*) FROM core.orders") == [(0,)]


def test_a_range_at_once_equals_its_days(make_shop):
    rows = {D1: [order("l1", currency="USD")], D2: [order("l2", datetime(2024, 5, 2, 10)), order("l3", datetime(2024, 5, 2, 10))]}
    once, each = make_shop(), make_shop()
    for shop in (once, each):
        for day, orders in rows.items():
            shop.deliver("orders", day, orders)
    once.load("orders", D1, D2)
    for day in rows:
        each.load("orders", day)
    assert once.content() == each.content()
    assert once.rows("SELECT line_id FROM core.orders") == [("l1",)]


@pytest.fixture
def mixed(shop):
    """What an older version let in."""
    shop.deliver("orders", D1, [order("l1"), order("l2")])
    shop.load("orders", D1)
    shop.con.execute("UPDATE core.orders SET currency = 'JPY' WHERE line_id = 'l2'")
    return shop


def windows(shop, _):
    shop.con.execute(
        "CREATE TABLE spine AS SELECT 1 AS moment_id, TIMESTAMP '2024-05-03' AS requested_at, TIMESTAMP '2024-05-03' AS "
        "visible_until, TIMESTAMP '2024-05-03' AS derived_until, 'c1' AS customer_id"
    )
    compute_windows(shop.con, CUSTOMER, "spine")


SUMS = {
    "outcomes": lambda shop, _: build_outcomes(shop.con, D2, D2, LabelSettings()),
    "tiles": lambda shop, _: build_tiles(shop.con, ORDER_LINE.groups[0], D1, D1),
    "windows": windows,
    "generation": lambda shop, folder: publish_generation(shop.con, [ORDER_LINE], 1_714_700_000_000_000, LmdbBackend(folder)),
}


@pytest.mark.parametrize("what", SUMS)
def test_a_warehouse_that_holds_several_is_summed_by_nobody(mixed, tmp_path, what):
    with pytest.raises(
        MixedCurrencies, match=r"EUR \(1 rows, from 2024-05-01\), JPY \(1 rows.*never added.*backfill --from 2024-05-01"
    ):
        SUMS[what](mixed, tmp_path / "store")
    mixed.con.execute("UPDATE core.orders SET currency = 'EUR'")
    SUMS[what](mixed, tmp_path / "store") if what != "windows" else compute_windows(mixed.con, CUSTOMER, "spine")


def test_a_return_brings_it_too(mixed):
    mixed.con.execute("UPDATE core.orders SET currency = 'EUR'")
    mixed.deliver("returns", D2, [returned("r1", "l1", AT.replace(day=2))])
    mixed.load("returns", D2)
    mixed.con.execute("UPDATE core.returns SET currency = 'JPY'")
    with pytest.raises(MixedCurrencies):
        build_outcomes(mixed.con, D2, D2, LabelSettings())
