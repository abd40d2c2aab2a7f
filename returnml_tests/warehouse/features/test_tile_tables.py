"""Tiles: exact rows on a handful of events, the chain between days, and what is refused."""

from __future__ import annotations

from datetime import date

import pytest

from returnml.features.declarations import Aggregation, KeyGroup, Operation, Stream
from returnml.features.windows import DAY_US, Window
from returnml.warehouse.features.feature_errors import (
    FeatureError,
    StaleTilesError,
)
from returnml.warehouse.features.tile_tables import build_tiles
from returnml.warehouse.features.window_aggregates import compute_windows
from returnml_tests.features.window_warehouse import (
    connect,
    write_spine,
    write_stream,
)
from returnml_tests.oracle import Event, Moment

ORDERS = Stream("orders", "core.orders", {"value": 8})
LIFETIME = (Window.parse("lifetime"),)
GROUP = KeyGroup(
    "customer",
    ("customer_id",),
    (
        Aggregation(ORDERS, Operation.COUNT, None, LIFETIME),
        Aggregation(ORDERS, Operation.SUM, "value", LIFETIME),
        Aggregation(ORDERS, Operation.SINCE_LAST, None, LIFETIME),
    ),
)
DAY0 = 20_000 * DAY_US
D = [date(2024, 10, 4 + n) for n in range(7)]


def _event(seq: int, day: float, customer: str | None, value: int) -> Event:
    return Event(seq, DAY0 + int(day * DAY_US), {"customer_id": customer}, {"value": value})


EVENTS = [
    _event(1, 0.25, "a", 5),
    _event(2, 0.5, "a", -7),
    _event(3, 0.5, None, 1),
    _event(4, 1.0, "b", 2),
    _event(5, 3.0, "a", 10),
    _event(6, 6.0, "b", 1),
]


def _built(events: list[Event] = EVENTS, through: int = 6):
    con = connect()
    write_stream(con, ORDERS, ("customer_id",), events)
    report = build_tiles(con, GROUP, D[0], D[through])
    return con, report


def test_rows_are_totals_through_the_day_and_checkpoints_carry_them_forward() -> None:
    con, report = _built()
    rows = con.execute(
        "select day, customer_id, orders_count, orders_value_sum, epoch_us(orders_last_known_at) from features.tiles_customer "
        "order by day, customer_id"
    ).fetchall()
    noon, midnight = DAY0 + DAY_US // 2, DAY0 + DAY_US
    assert report.checkpoints == (D[0], D[4])
    assert rows == [
        (D[0], "a", 2, -2, noon),
        (D[1], "b", 1, 2, midnight),
        (D[3], "a", 3, 8, DAY0 + 3 * DAY_US),
        (D[4], "a", 3, 8, DAY0 + 3 * DAY_US),
        (D[4], "b", 1, 2, midnight),
        (D[6], "b", 2, 3, DAY0 + 6 * DAY_US),
    ]


def test_a_day_that_changed_leaves_later_days_stale_until_they_are_backfilled() -> None:
    con, _ = _built()
    con.execute("update core.orders set value = 6 where seq = 4")
    report = build_tiles(con, GROUP, D[1], D[1])
    assert report.stale == tuple(D[2:])
    write_spine(con, ("customer_id",), [Moment(0, DAY0 + 6 * DAY_US, DAY0 + 6 * DAY_US, DAY0 + 6 * DAY_US, {"customer_id": "b"})])
    with pytest.raises(StaleTilesError, match="2024-10-06 was built on inputs that have changed since: backfill 2024-10-06 to"):
        compute_windows(con, [GROUP], "spine")
    with pytest.raises(StaleTilesError, match="backfill 2024-10-06 to 2024-10-10"):
        build_tiles(con, GROUP, D[6], D[6])
    assert build_tiles(con, GROUP, D[2], D[6]).stale == ()
    compute_windows(con, [GROUP], "spine", "got")
    assert con.execute("select * from got").fetchall() == [(0, 1, 6, 5 * DAY_US)]


def test_tiles_start_at_the_first_day_and_leave_no_gap() -> None:
    con = connect()
    write_stream(con, ORDERS, ("customer_id",), EVENTS)
    with pytest.raises(StaleTilesError, match=r"core\.orders starts at 2024-10-04: backfill 2024-10-04 to 2024-10-05 first"):
        build_tiles(con, GROUP, D[2], D[2])
    build_tiles(con, GROUP, D[0], D[0])
    with pytest.raises(StaleTilesError, match="no tiles for 2024-10-05 to 2024-10-06: build them first"):
        build_tiles(con, GROUP, D[3], D[3])


def test_a_value_beyond_its_declared_bits_is_refused_and_nothing_is_written() -> None:
    con, _ = _built(through=0)
    con.execute("update core.orders set value = -256 where seq = 4")
    with pytest.raises(FeatureError, match=r"core\.orders\.value: a value of magnitude 256 exceeds the declared 8 bits"):
        build_tiles(con, GROUP, D[1], D[1])
    assert con.execute("select max(day) from features.tiles_customer").fetchall() == [(D[0],)]


def test_other_declarations_replace_the_table() -> None:
    con, _ = _built()
    wider = KeyGroup(
        "customer", ("customer_id",), (*GROUP.aggregations, Aggregation(ORDERS, Operation.SUM_OF_SQUARES, "value", LIFETIME))
    )
    with pytest.raises(StaleTilesError, match="backfill 2024-10-04"):
        build_tiles(con, wider, D[6], D[6])
    build_tiles(con, wider, D[0], D[6])
    assert con.execute("select orders_value_sum_of_squares from features.tiles_customer where day = '2024-10-07'").fetchall() == [
        (174,)
    ]
