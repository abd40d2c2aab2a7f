from __future__ import annotations

import io
import json
import random
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from returnml.contracts.columns import ORDERS
from returnml.settings import Settings
from returnml_tests.warehouse.conftest import D1, D2, D3, Shop, deliver_bytes, frame, order, parquet, us


def _good(day_rows: list[dict]) -> bytes:
    return parquet(frame(ORDERS, day_rows))


def _on(day, line_id: str = "l1", **changed) -> dict:
    return order(line_id, datetime(day.year, day.month, day.day, 10), **changed)


def test_rows_arrive_as_delivered_with_their_file_and_number(shop: Shop):
    delivered = shop.deliver("orders", D1, [_on(D1, "l1"), _on(D1, "l2", quantity=-3)])
    report = shop.ingest("orders", D1, D2)

    assert (report.rows, report.files, report.refused, report.missing_days) == (2, 1, (), (D2,))
    file = f"orders/2024-05-01/{delivered.path.name}"
    assert shop.rows(
        "SELECT known_day, known_at, file, version, row_number, line_id, quantity, extra FROM raw.orders ORDER BY ALL"
    ) == [
        (D1, datetime(2024, 5, 1, 10), file, 1, 1, "l1", 2, None),
        (D1, datetime(2024, 5, 1, 10), file, 1, 2, "l2", -3, None),
    ]


def _arrow(**columns: pa.Array) -> bytes:
    """Two order rows with columns that polars cannot write."""
    table = frame(ORDERS, [_on(D2, "l2"), _on(D2, "l3")]).to_arrow()
    for name, column in columns.items():
        table = table.drop([name]) if name in table.column_names else table
        table = table.append_column(name, column)
    buffer = io.BytesIO()
    pq.write_table(table, buffer)
    return buffer.getvalue()


def _bad_files() -> dict[str, tuple[bytes, dict, str, str | None]]:
    good = _good([_on(D2, "bad")])
    text = frame(ORDERS, [_on(D2, "l2"), _on(D2, "l3")])
    without = text.drop("customer_id")
    lost = bytearray(parquet(pl.DataFrame({c: text[c] for c in text.columns})))
    lost[8:60] = b"\xff" * 52  # the first data page; the footer stays readable
    return {
        "empty": (b"", {}, "file_empty", None),
        "truncated": (good[:-20], {"digest": "0" * 64}, "sha256_mismatch", None),
        "truncated with its hash": (good[:-20], {}, "unreadable_parquet", None),
        "damaged page": (bytes(lost), {"rows": 2}, "unreadable_parquet", None),
        "not parquet": (b"a,b\n1,2\n", {}, "unreadable_parquet", None),
        "rows lost": (good, {"rows": 2}, "row_count_mismatch", None),
        "missing column": (parquet(without), {"rows": 2}, "column_missing", "customer_id"),
        "number for a time": (parquet(text.with_columns(ordered_at=pl.lit(5))), {"rows": 2}, "wrong_type", "ordered_at"),
        "words for numbers": (parquet(text.with_columns(quantity=pl.lit("two"))), {"rows": 2}, "wrong_type", "quantity"),
        "same name twice": (parquet(text.with_columns(SIZE=pl.lit("L"))), {"rows": 2}, "ambiguous_column", "SIZE"),
        "decimals beyond 38 digits": (
            _arrow(quantity=pa.array([Decimal(1), None], pa.decimal256(60, 2))),
            {"rows": 2},
            "wrong_type",
            "quantity",
        ),
        "a zone that is none": (
            _arrow(gift=pa.array([1, 2], pa.timestamp("us", "+05:30"))),
            {"rows": 2},
            "unreadable_parquet",
            None,
        ),
        "reserved name": (
            parquet(text.with_columns(delivered_file=pl.lit("x"))),
            {"rows": 2},
            "reserved_column",
            "delivered_file",
        ),
    }


@pytest.mark.parametrize("case", _bad_files())
def test_a_bad_file_is_refused_its_day_keeps_its_old_state_and_others_go_on(shop: Shop, case: str):
    content, sidecar, rule, column = _bad_files()[case]
    for day in (D1, D2, D3):
        shop.deliver("orders", day, [_on(day)])
    shop.ingest("orders", D1, D3)
    before = shop.content()

    file = deliver_bytes(shop.landing, "orders", D2, content, version=2, **sidecar)
    shop.deliver("orders", D3, [_on(D3), _on(D3, "l2")])
    report = shop.ingest("orders", D1, D3)

    assert [(r.stream, r.day, r.file, r.rule, r.column) for r in report.refused] == [("orders", D2, file, rule, column)]
    assert shop.rows("SELECT stream, day, file, rule, column_name FROM quarantine.files") == [("orders", D2, file, rule, column)]
    assert report.days == (D1, D3)
    assert shop.rows("SELECT known_day, count(*) FROM raw.orders GROUP BY 1 ORDER BY 1") == [(D1, 1), (D2, 1), (D3, 2)]
    assert shop.content()[:2] == before[:2]
    assert file in str(report.refused[0])
    assert rule in str(report.refused[0])


def test_a_repaired_delivery_lifts_the_refusal(shop: Shop):
    deliver_bytes(shop.landing, "orders", D1, b"")
    assert shop.ingest("orders", D1).days == ()
    shop.deliver("orders", D1, [_on(D1)])
    assert shop.ingest("orders", D1).rows == 1
    assert shop.rows("SELECT * FROM quarantine.files") == []


def test_contradicting_files_of_a_day_refuse_it_by_the_landing_rule(shop: Shop):
    shop.deliver("orders", D1, [_on(D1)])
    file = deliver_bytes(shop.landing, "orders", D2, _good([_on(D2)]))
    (shop.landing / file).with_suffix(".json").unlink()

    report = shop.ingest("orders", D1, D2)

    assert [(r.day, r.file, r.rule) for r in report.refused] == [(D2, file, "landing_pair")]
    assert report.days == (D1,)


def test_a_value_that_cannot_be_read_travels_on_and_nothing_is_rounded(shop: Shop):
    text = frame(ORDERS, [_on(D1, f"l{n}") for n in range(5)]).with_columns(
        quantity=pl.Series(["2", " 3 ", "1.5", "", "many"]),
        ordered_at=pl.col("ordered_at").dt.strftime("%Y-%m-%dT%H:%M:%S+02:00"),
    )
    deliver_bytes(shop.landing, "orders", D1, parquet(text), rows=5)
    shop.ingest("orders", D1)

    rows = shop.rows("SELECT quantity, json_extract_string(uncast, '$.quantity'), ordered_at FROM raw.orders ORDER BY row_number")
    assert [(q, u) for q, u, _ in rows] == [(2, None), (3, None), (None, "1.5"), (None, None), (None, "many")]
    assert rows[0][2] == datetime(2024, 5, 1, 8)


def test_float_numbers_are_read_only_where_they_are_whole(shop: Shop):
    table = frame(ORDERS, [_on(D1, f"l{n}") for n in range(4)]).with_columns(
        quantity=pl.Series([2.0, 1.5, float("nan"), None]), customer_id=pl.lit(13313.0)
    )
    deliver_bytes(shop.landing, "orders", D1, parquet(table), rows=4)
    shop.ingest("orders", D1)

    assert shop.rows(
        "SELECT customer_id, quantity, json_extract_string(uncast, '$.quantity') FROM raw.orders ORDER BY row_number"
    ) == [
        ("13313", 2, None),
        ("13313", None, "1.5"),
        ("13313", None, None),
        ("13313", None, None),
    ]


def test_an_added_column_is_carried_and_reported(shop: Shop):
    shop.deliver("orders", D1, [_on(D1)])
    delivered = shop.deliver("orders", D2, [_on(D2, gift_wrap=True, note='it\'s "red"')])
    report = shop.ingest("orders", D1, D2)

    file = f"orders/2024-05-02/{delivered.path.name}"
    assert report.added_columns == {"gift_wrap": file, "note": file}
    extras = shop.rows("SELECT extra FROM raw.orders ORDER BY known_day")
    assert extras[0][0] is None
    assert json.loads(extras[1][0]) == {"gift_wrap": True, "note": 'it\'s "red"'}


def test_a_redelivered_day_replaces_the_day(shop: Shop):
    shop.deliver("orders", D1, [_on(D1, "l1"), _on(D1, "l2")])
    shop.load("orders", D1)
    shop.deliver("orders", D1, [_on(D1, "l1", quantity=7)])
    shop.load("orders", D1)

    assert shop.rows("SELECT line_id, quantity, version FROM raw.orders") == [("l1", 7, 2)]
    assert shop.rows("SELECT line_id, quantity, version FROM core.orders") == [("l1", 7, 2)]


def test_after_go_live_a_delivery_is_known_when_it_was_delivered(make_shop: Callable[..., Shop]):
    shop = make_shop(Settings(go_live="2024-05-02T00:00:00Z"))
    delivered_at = datetime(2024, 5, 3, 6, 30)
    shop.deliver("orders", D1, [_on(D1, "history")], us(datetime(2024, 5, 1, 23)))
    shop.deliver("orders", D2, [_on(D2, "live")], us(delivered_at))
    # a second version of an imported day, delivered after go-live: a delivery of its own, the closed day stays
    shop.deliver("orders", D1, [_on(D1, "history"), _on(D1, "late")], us(delivered_at) + 1)
    shop.load("orders", D1, D3)

    assert shop.rows("SELECT known_day, known_at, line_id FROM core.orders ORDER BY known_at") == [
        (D1, datetime(2024, 5, 1, 10), "history"),
        (D3, delivered_at, "live"),
        (D3, datetime(2024, 5, 3, 6, 30, 0, 1), "late"),
    ]
    assert shop.rows("SELECT rule, known_day, payload->>'line_id' FROM quarantine.orders") == [("duplicate_id", D3, "history")]


def test_ingesting_again_or_day_by_day_gives_the_same_content(make_shop: Callable[..., Shop]):
    shop = make_shop()
    for day in (D1, D3):
        shop.deliver("orders", day, [_on(day, f"{day}-{n}") for n in range(3)])
    shop.ingest("orders", D1, D3)
    first = shop.content()
    shop.ingest("orders", D1, D3)
    assert shop.content() == first

    other = make_shop(landing=shop.landing)
    for day in (D3, D1, D2):
        other.ingest("orders", day)
    assert other.content() == first


def test_an_undeclared_column_of_an_odd_type_refuses_nothing(shop: Shop):
    content = _arrow(weight=pa.array([Decimal("1.5"), None], pa.decimal256(60, 2)))
    deliver_bytes(shop.landing, "orders", D2, content, rows=2)
    report = shop.ingest("orders", D2)
    assert (report.refused, list(report.added_columns)) == ((), ["weight"])
    assert shop.build("orders", D2).good == 2


def test_a_file_that_cannot_be_opened_is_refused_by_name(shop: Shop):
    file = deliver_bytes(shop.landing, "orders", D2, _good([_on(D2)]))
    (shop.landing / file).unlink()
    (shop.landing / file).mkdir()
    shop.deliver("orders", D3, [_on(D3)])
    report = shop.ingest("orders", D2, D3)
    assert [(r.file, r.rule) for r in report.refused] == [(file, "unreadable_file")]
    assert report.days == (D3,)


_YEAR_57134 = 1_740_823_200_000 * 1_000_000  # milliseconds of 2025 that were read as seconds


@pytest.mark.parametrize(
    "times",
    [
        pa.array([_YEAR_57134, -(10**17)], pa.timestamp("us")),
        pa.array([2**63 - 1, -(2**63) + 1], pa.timestamp("us")),
        pa.array([_YEAR_57134 // 1000, -(10**14)], pa.timestamp("ms", "Europe/Berlin")),
        pa.array([2**31 - 1, -(10**6)], pa.int32()).cast(pa.date32()),
        pa.array(["57134-05-01", "0044-03-15 (BC)"]),
        pa.array(["infinity", "99999999-01-01"]),
    ],
    ids=["microseconds", "the widest", "milliseconds with a zone", "dates", "text", "no instants"],
)
def test_instants_that_no_calendar_has_end_in_quarantine_by_row_and_other_rows_go_on(shop: Shop, times: pa.Array):
    good = pa.array([datetime(2024, 5, 2, 10)] * 2, pa.timestamp("us"))
    odd = pa.concat_arrays([times, good.cast(times.type) if not pa.types.is_string(times.type) else good.cast(pa.string())])
    table = frame(ORDERS, [_on(D2, f"l{n}") for n in range(4)]).to_arrow().drop(["ordered_at"]).append_column("ordered_at", odd)
    buffer = io.BytesIO()
    pq.write_table(table, buffer)
    file = deliver_bytes(shop.landing, "orders", D2, buffer.getvalue(), rows=4)
    shop.deliver("orders", D3, [_on(D3)])
    shop.ingest("orders", D2, D3)
    report = shop.build("orders", D2, D3)
    assert (report.good, report.by_rule) == (3, {"not_castable": 2})
    found = shop.rows("SELECT file, row_number, message FROM quarantine.orders ORDER BY row_number")
    assert [row[:2] for row in found] == [(file, 1), (file, 2)]
    assert all("ordered_at" in row[2] for row in found)


@pytest.mark.parametrize("seed", range(4))
def test_no_damage_to_a_file_raises_or_stops_other_days(make_shop: Callable[..., Shop], seed: int):
    """Whole bytes are drawn for a few places of a good file, the footer more often; its hash says that they were delivered so."""
    draw = random.Random(seed)
    whole = _good([_on(D2, f"l{n}") for n in range(50)])
    shop = make_shop()
    shop.deliver("orders", D3, [_on(D3)])
    outcomes = set()
    for n in range(10):
        content = bytearray(whole)
        for _ in range(draw.choice((1, 1, 3, 10))):
            content[draw.choice((draw.randrange(len(content)), len(content) - 1 - draw.randrange(2500)))] = draw.randrange(256)
        deliver_bytes(shop.landing, "orders", D2, bytes(content), version=n + 1, rows=50)
        report = shop.ingest("orders", D2, D3)
        outcomes |= {r.rule for r in report.refused}
        assert D3 in report.days
        shop.build("orders", D2, D3)
    assert outcomes >= {"unreadable_parquet"}
