"""``features.order_lines``: exact vectors on a few lines, identical reruns, linked moments, changed declarations."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import duckdb
import numpy as np

from returnml.features.declarations import (
    Aggregation,
    BasketAggregate,
    Derived,
    InputKind,
    KeyGroup,
    Operation,
    RequestInput,
    Stream,
)
from returnml.features.feature_set import FeatureSet
from returnml.features.windows import Window
from returnml.warehouse.features.order_line_vectors import build_order_lines
from returnml_tests.features.vectors import compute_vectors
from returnml_tests.features.window_warehouse import connect

ORDERS = Stream("orders", "core.orders", {"quantity": 20})
GROUP = KeyGroup(
    "customer",
    ("customer_id",),
    (
        Aggregation(ORDERS, Operation.SUM, "quantity", (Window.parse("1d"), Window.parse("lifetime"))),
        Aggregation(ORDERS, Operation.SUM_OF_SQUARES, "quantity", (Window.parse("lifetime"),)),
    ),
)
FEATURES = FeatureSet(
    "toy",
    1,
    (
        RequestInput("quantity", InputKind.INTEGER, "Pieces.", "quantity"),
        RequestInput("has_voucher", InputKind.PRESENT, "Voucher.", "voucher_code"),
        RequestInput("hour_of_day", InputKind.HOUR_OF_DAY, "Hour."),
        RequestInput("day_of_week", InputKind.DAY_OF_WEEK, "Weekday."),
    ),
    (
        BasketAggregate("basket_quantity", Operation.SUM, "Pieces in the order.", "quantity"),
        BasketAggregate("basket_sizes", Operation.DISTINCT, "Sizes of the article.", "size", ("article_id",)),
    ),
    (GROUP,),
    (Derived("share", ("quantity", "customer_orders_quantity_sum_lifetime"), lambda q, s: q / s),),
)
MONDAY, TUESDAY = date(2024, 1, 1), date(2024, 1, 2)
NAN = float("nan")
WANT = [  # quantity, voucher, hour, weekday, basket quantity, sizes, sum 1d, sum lifetime, squares lifetime, share
    [2, 0, 10, 0, 5, 2, 0, 0, 0, NAN],
    [3, 1, 10, 0, 5, 2, 0, 0, 0, NAN],
    [4, 0, 0, 1, 4, 1, 5, 5, 13, 4 / 5],
    [1, 0, 23, 1, 1, NAN, NAN, NAN, NAN, NAN],
]


def _warehouse() -> duckdb.DuckDBPyConnection:
    con = connect()
    lines = [
        (1, "2024-01-01 10:00:00", "l1", "o1", "c", "x", "S", None, 2),
        (2, "2024-01-01 10:00:00", "l2", "o1", "c", "x", "M", "V", 3),
        (3, "2024-01-02 00:00:00", "l3", "o2", "c", "x", "M", None, 4),
        (4, "2024-01-02 23:59:59", "l4", "o3", None, None, None, None, 1),
    ]
    con.execute(
        "create table core.orders (seq BIGINT, known_at TIMESTAMP, line_id VARCHAR, order_id VARCHAR, customer_id VARCHAR, "
        "article_id VARCHAR, size VARCHAR, voucher_code VARCHAR, quantity BIGINT, known_day DATE)"
    )
    con.executemany("insert into core.orders values (?, ?, ?, ?, ?, ?, ?, ?, ?, null)", lines)
    con.execute("update core.orders set known_day = known_at::DATE")
    return con


def _vectors(con: duckdb.DuckDBPyConnection) -> np.ndarray:
    columns = con.execute(f"select {', '.join(FEATURES.outputs)} from features.order_lines order by line_id").fetchnumpy()
    return np.column_stack([np.ma.filled(columns[n], NAN) for n in FEATURES.outputs])


def test_exact_vectors_and_identical_reruns() -> None:
    con = _warehouse()
    report = build_order_lines(con, FEATURES, MONDAY, TUESDAY)
    np.testing.assert_array_equal(_vectors(con), np.array(WANT, np.float32))
    assert report.rows == 4
    assert build_order_lines(con, FEATURES, MONDAY, TUESDAY).content_hash == report.content_hash
    days = [build_order_lines(con, FEATURES, day, day) for day in (MONDAY, TUESDAY)]
    assert [d.rows for d in days] == [2, 2]
    np.testing.assert_array_equal(_vectors(con), np.array(WANT, np.float32))


def test_compute_vectors_equals_the_table_in_spine_order() -> None:
    con = _warehouse()
    con.execute(
        "create view spine as select line_id as moment_id, known_at as requested_at, known_at as visible_until, "
        "known_at as derived_until, * from core.orders order by line_id desc"
    )
    ids, matrix = compute_vectors(con, FEATURES, "spine")
    assert ids == ["l4", "l3", "l2", "l1"]
    np.testing.assert_array_equal(matrix[::-1], np.array(WANT, np.float32))


def test_a_linked_moment_replaces_the_lines_own() -> None:
    con = _warehouse()
    con.execute(
        "create table moments as select 'l3' as line_id, timestamp '2024-01-01 23:00:00' as requested_at, "
        "timestamp '2024-01-01 10:00:00' as visible_until, timestamp '2024-01-01' as derived_until"
    )
    build_order_lines(con, FEATURES, MONDAY, TUESDAY, "moments")
    row = con.execute(
        "select day, hour_of_day, customer_orders_quantity_sum_1d, customer_orders_quantity_sum_lifetime "
        "from features.order_lines where line_id = 'l3'"
    ).fetchall()
    # the row stays in the partition of the order, which the daily run of that day writes (decisions/inference-log.md)
    assert row == [(TUESDAY, 23.0, 0.0, 0.0)]


def test_new_declarations_add_columns_and_mark_their_days() -> None:
    con = _warehouse()
    build_order_lines(con, FEATURES, MONDAY, TUESDAY)
    doubled = Derived("doubled", ("quantity",), lambda q: q * 2.0)
    changed = replace(FEATURES, version=2, derived=(*FEATURES.derived, doubled))
    assert build_order_lines(con, changed, TUESDAY, TUESDAY).added_columns == ("doubled",)
    rows = con.execute(
        "select day, feature_set_hash, list(doubled order by line_id) from features.order_lines group by all order by day"
    )
    assert rows.fetchall() == [(MONDAY, FEATURES.hash, [None, None]), (TUESDAY, changed.hash, [8.0, 2.0])]


def test_a_day_without_lines_is_an_empty_partition() -> None:
    con = _warehouse()
    assert build_order_lines(con, FEATURES, date(2024, 1, 3), date(2024, 1, 3)).rows == 0
