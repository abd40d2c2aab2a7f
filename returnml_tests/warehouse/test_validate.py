from __future__ import annotations

from returnml_tests.warehouse.conftest import D1, D2, Shop, order, returned


def test_good_rows_reach_core_and_the_return_carries_its_lines_keys(shop: Shop):
    shop.deliver("orders", D1, [order("l1"), order("l2")])
    shop.deliver("returns", D2, [returned("r1", "l1")])

    orders, returns = shop.load("orders", D1, D2), shop.load("returns", D1, D2)

    assert (orders.rows_in, orders.good, orders.quarantined) == (2, 2, 0)
    assert (returns.rows_in, returns.good, returns.quarantined) == (1, 1, 0)
    assert shop.rows("SELECT line_id, seq & 4294967295, line_value_cents FROM core.orders ORDER BY seq") == [
        ("l1", 1, 2000),
        ("l2", 2, 2000),
    ]
    assert shop.rows("SELECT return_id, line_id, order_id, customer_id, article_id, size, is_orphan FROM core.returns") == [
        ("r1", "l1", "o1", "c1", "a-l1", "M", False)
    ]
