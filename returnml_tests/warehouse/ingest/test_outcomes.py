from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from returnml.features.label import ReturnEvent, label_of, mature_at, outcome_known_at
from returnml.features.windows import DAY_US
from returnml.settings import LabelSettings
from returnml.warehouse.ingest.outcomes import build_outcomes
from returnml.warehouse.ingest.schema import (
    ensure_schema,
    tables,
)
from returnml.warehouse.partition import open_warehouse
from returnml_tests.warehouse.conftest import Shop, label_vectors, us

LABEL = LabelSettings()
AT = datetime(2024, 5, 1, 10)
DUE = date(2024, 6, 4)  # 33 days later it matures at 10:00; recorded on the day after


def _at(microseconds: int) -> datetime:
    return datetime.fromtimestamp(microseconds // 1_000_000, UTC).replace(tzinfo=None, microsecond=microseconds % 1_000_000)


def fill(con, table: str, rows: list[dict[str, Any]]) -> None:
    """Put rows into a core table; the columns that they do not name are null."""
    ensure_schema(con)
    for row in rows:
        row = {"known_day": row["known_at"].date()} | row
        assert set(row) <= set(tables()[table])
        con.execute(f"INSERT INTO {table} ({', '.join(row)}) VALUES ({', '.join('?' * len(row))})", list(row.values()))


def line(line_id: str = "l1", at: datetime = AT, quantity: int = 3, **changed: Any) -> dict[str, Any]:
    keys = {"order_id": "o", "customer_id": "c", "article_id": "a"}
    value = {"quantity": quantity, "line_value_cents": 100 * quantity}
    return {"line_id": line_id, "ordered_at": at, "known_at": at, **keys, **value} | changed


def back(at: datetime, quantity: int = 1, line_id: str = "l1", **changed: Any) -> dict[str, Any]:
    base = {"line_id": line_id, "returned_at": at, "known_at": at, "quantity": quantity, "refund_cents": 90 * quantity}
    return base | {"is_orphan": False} | changed


def outcomes(shop: Shop) -> list[tuple]:
    return shop.rows(
        "SELECT line_id, known_day, known_at, mature_at, returned, returned_quantity, refund_cents "
        "FROM core.outcomes ORDER BY known_at, line_id"
    )


def test_conformance_vectors_hold_in_sql(shop: Shop):
    vectors = label_vectors()
    fill(
        shop.con,
        "core.orders",
        [line(f"l{n:02}", _at(case["anchor"]), case["quantity_ordered"]) for n, case in enumerate(vectors)],
    )
    for n, case in enumerate(vectors):
        events = [back(_at(r["returned_at"]), r["quantity"], f"l{n:02}", known_at=_at(r["known_at"])) for r in case["returns"]]
        fill(shop.con, "core.returns", events)
        label = LabelSettings(case["window"] // DAY_US, case["grace"] // DAY_US)
        assert label == LABEL
    first = _at(vectors[0]["anchor"]).date()
    build_outcomes(shop.con, first, first + timedelta(days=60), LABEL)

    found = shop.rows("SELECT mature_at, returned, returned_quantity FROM core.outcomes ORDER BY line_id")
    assert found == [(_at(c["mature_at"]), c["y"], c["returned_quantity"]) for c in vectors]


def test_an_outcome_is_recorded_on_the_day_after_it_matures_with_its_keys(shop: Shop):
    fill(shop.con, "core.orders", [line(size="M", brand="b", device="app")])
    fill(shop.con, "core.returns", [back(AT + timedelta(days=3), 2)])
    report = build_outcomes(shop.con, DUE - timedelta(days=2), DUE + timedelta(days=2), LABEL)

    assert (report.rows, report.returned) == (1, 1)
    assert outcomes(shop) == [("l1", DUE, datetime(2024, 6, 4), AT + timedelta(days=33), 1, 2, 180)]
    assert shop.rows(
        "SELECT order_id, ordered_at, quantity, customer_id, article_id, size, brand, device, country FROM core.outcomes"
    ) == [("o", AT, 3, "c", "a", "M", "b", "app", None)]


def test_a_line_known_late_is_recorded_on_the_day_after_that(shop: Shop):
    late = AT + timedelta(days=50)
    fill(shop.con, "core.orders", [line(known_at=late)])
    fill(shop.con, "core.returns", [back(AT + timedelta(days=3), known_at=late)])
    for day in range(60):
        build_outcomes(shop.con, *[AT.date() + timedelta(days=day)] * 2, LABEL)
    # its return became known after maturity: it counts for nothing
    assert outcomes(shop) == [("l1", late.date() + timedelta(days=1), datetime(2024, 6, 21), AT + timedelta(days=33), 0, 0, 0)]


def test_orphans_and_other_lines_label_nothing(shop: Shop):
    fill(shop.con, "core.orders", [line()])
    fill(shop.con, "core.returns", [back(AT, is_orphan=True), back(AT, line_id="l2")])
    build_outcomes(shop.con, DUE, DUE, LABEL)
    assert outcomes(shop)[0][4:] == (0, 0, 0)


def test_a_cancelled_line_has_no_outcome_a_partly_cancelled_one_has(shop: Shop):
    fill(shop.con, "core.orders", [line("whole"), line("part")])
    soon = AT + timedelta(minutes=9)
    fill(shop.con, "core.returns", [back(soon, 3, "whole", is_cancellation=True), back(soon, 2, "part", is_cancellation=True)])
    build_outcomes(shop.con, DUE, DUE, LABEL)
    assert [row[0] for row in outcomes(shop)] == ["part"]
    assert outcomes(shop)[0][4:] == (0, 0, 0)


def test_a_flagged_line_without_return_records_is_known_one_window_after_the_order(shop: Shop):
    rows = [line("yes", is_returned=True), line("no", is_returned=False), line("recorded", is_returned=False)]
    fill(shop.con, "core.orders", rows)
    fill(shop.con, "core.returns", [back(AT + timedelta(days=1), 1, "recorded")])
    for day in range(40):
        build_outcomes(shop.con, *[AT.date() + timedelta(days=day)] * 2, LABEL)

    flagged = (date(2024, 6, 1), datetime(2024, 6, 1), AT + timedelta(days=30))
    assert outcomes(shop) == [
        ("no", *flagged, 0, 0, 0),
        ("yes", *flagged, 1, 3, 300),
        ("recorded", DUE, datetime(2024, 6, 4), AT + timedelta(days=33), 1, 1, 90),
    ]


_LATE = st.one_of(st.just(0), st.integers(0, 45 * DAY_US))
_EVENT = st.tuples(st.integers(0, 40 * DAY_US), _LATE, st.integers(1, 2), st.sampled_from([False, False, None, True]))
_LINE = st.tuples(st.integers(0, 4 * DAY_US), _LATE, st.lists(_EVENT, max_size=3))


@settings(max_examples=20)
@given(st.lists(_LINE, min_size=1, max_size=4))
def test_a_range_equals_its_days_and_the_pure_label(lines: list[tuple]):
    start = us(datetime(2024, 5, 1))
    expected = []
    with open_warehouse(":memory:", threads=1) as con:
        for n, (offset, late, events) in enumerate(lines):
            anchor = start + offset
            fill(con, "core.orders", [line(f"l{n}", _at(anchor), 3, known_at=_at(anchor + late))])
            pure = []
            for lag, event_late, quantity, cancelled in events:
                at = anchor + lag
                known = max(at + event_late, anchor + late // DAY_US * DAY_US)  # accepted with its line: not known before its day
                fill(con, "core.returns", [back(_at(at), quantity, f"l{n}", known_at=_at(known), is_cancellation=cancelled)])
                pure.append(ReturnEvent(at, known, quantity, 90 * quantity, bool(cancelled)))
            matures = mature_at(anchor, LABEL)
            if sum(r.quantity for r in pure if r.is_cancellation and r.known_at_us <= matures) < 3:
                label = label_of(anchor, pure, LABEL)
                known_at = _at(outcome_known_at(matures, anchor + late))
                expected.append(
                    (f"l{n}", known_at.date(), known_at, _at(matures), label.y, label.returned_quantity, label.refund_cents)
                )
        shop = Shop(con, Path("unused"))
        first, last = date(2024, 6, 3), date(2024, 6, 25)
        build_outcomes(con, first, last, LABEL)
        content = shop.content()
        assert outcomes(shop) == sorted(expected, key=lambda row: (row[2], row[0]))

        for day in sorted({row[1] for row in expected} | {first, last}, reverse=True):
            build_outcomes(con, day, day, LABEL)
        assert shop.content() == content


def test_seq_rises_with_known_at(shop: Shop):
    fill(shop.con, "core.orders", [line(f"l{n}", AT + timedelta(hours=7 * n)) for n in range(6)])
    build_outcomes(shop.con, DUE, DUE + timedelta(days=3), LABEL)
    found = shop.rows("SELECT seq >> 32, seq & 4294967295, line_id FROM core.outcomes ORDER BY seq")
    day = (DUE - date(1970, 1, 1)).days
    ranked = [(day, 1), (day, 2), (day + 1, 1), (day + 1, 2), (day + 1, 3), (day + 1, 4)]  # 10:00, 17:00, then 00:00 to 21:00
    assert found == [(*rank, f"l{n}") for n, rank in enumerate(ranked)]
