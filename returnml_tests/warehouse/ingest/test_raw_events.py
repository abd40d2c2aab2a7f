"""The ledger in the batch line: rows, verdicts, precedence over landing rows, and that a closed day never changes."""

from datetime import date, datetime, timedelta

import pytest

from returnml.contracts.columns import ORDERS, STREAMS
from returnml.contracts.rules import rules
from returnml.instants import instant_us
from returnml.ledger.record_log import LogError, segments
from returnml.settings import Settings
from returnml.warehouse.ingest.ledger_verdicts import LedgerConflict
from returnml.warehouse.ingest.raw_events import ingest_events
from returnml.warehouse.ingest.raw_streams import ingest_raw
from returnml.warehouse.ingest.schema import ensure_schema
from returnml.warehouse.ingest.validate import build_core
from returnml_tests.warehouse.conftest import D1, D2, D3, deliver_bytes, order, returned
from returnml_tests.warehouse.ledger_shop import LedgerShop, came_back, inspected, placed

GO_LIVE = datetime(2024, 5, 2)


@pytest.fixture
def live(make_shop, tmp_path):
    """History of one line on the first day, published; events from the second day on."""
    shop = make_shop(Settings(go_live=GO_LIVE.isoformat()))
    shop.deliver("orders", D1, [order("h1", datetime(2024, 5, 1, 10), quantity=3)])
    shop.load("orders", D1)
    found = LedgerShop(shop, tmp_path / "data", GO_LIVE)
    found.publish(GO_LIVE)
    return found


def test_events_become_rows_as_they_were_judged(live):
    at = datetime(2024, 5, 2, 9)
    live.send(
        at,
        placed("a", at, lines=2),
        placed("bad", at, lines=[{"line_id": "x", "article_id": "a", "quantity": 0, "unit_price_cents": 1}]),
        came_back("b", "a-2", at),
        came_back("orphan", "unknown", at, customer_id="c9", article_id="a9"),
        came_back("late", "unknown", at),
        came_back("nobody", None, at),
        inspected("c", "r-b", at),
        inspected("d", "r-none", at),
    )
    report = live.ingest(D2)
    assert (report.rows, report.refused, report.segments, report.missing) == (8, 3, 1, 0)
    rows = live.shop.rows
    assert rows("SELECT line_id, ledger_seq, row_number, file, epoch_us(known_at) FROM core.orders WHERE known_day = ?", D2) == [
        ("a-1", 1, 1, "ledger/00000000000000000001.log", instant_us(at)),
        ("a-2", 1, 2, "ledger/00000000000000000001.log", instant_us(at)),
    ]
    found = rows(
        "SELECT return_id, line_id, is_orphan, order_id, customer_id, article_id, size, country FROM core.returns ORDER BY 1"
    )
    assert found == [
        ("r-b", "a-2", False, "o-a", "c1", "a1", "M", "DE"),
        ("r-late", "unknown", True, None, None, None, None, None),
        ("r-orphan", "unknown", True, None, "c9", "a9", None, None),
    ]
    assert rows("SELECT inspection_id, return_id, line_id FROM core.inspections") == [("i-c", "r-b", "a-2")]
    refused = [
        row
        for stream in STREAMS
        for row in rows(f"SELECT rule, rules, column_name, message, ledger_seq FROM quarantine.{stream} ORDER BY ledger_seq")
    ]
    file = "ledger/00000000000000000001.log"
    no_keys = "no line is given, and customer_id and article_id are not both"
    assert refused == [
        *[("quantity_not_positive", ["quantity_not_positive"], "lines[0].quantity", f"{file}, seq 2, lines[0].quantity: "
           "quantity_not_positive: 0", 2)],
        ("unknown_order_line", ["unknown_order_line"], "line_id", f"{file}, seq 6, line_id: unknown_order_line: {no_keys}", 6),
        ("unknown_return", ["unknown_return"], "return_id", f"{file}, seq 8, return_id: unknown_return: "
         "return 'r-none' is unknown", 8),
    ]  # fmt: skip


def test_order_of_seq_is_that_of_the_ledger_and_of_line_ids(live):
    at = datetime(2024, 5, 2, 9)
    lines = [{"line_id": i, "article_id": "a", "quantity": 1, "unit_price_cents": 1} for i in ("z", "b", "é", "B")]
    live.send(at, placed("2", at, lines=lines), placed("1", at))
    live.ingest(D2)
    assert [r[0] for r in live.shop.rows("SELECT line_id FROM core.orders WHERE known_day = ? ORDER BY seq", D2)] == [
        *("B", "b", "z", "é", "1-1")
    ]


def test_every_rule_of_the_validator_is_one_of_the_contract_or_of_events_alone():
    import inspect

    from returnml.ledger import validator

    source = inspect.getsource(validator)
    contract = {rule.name for stream in STREAMS.values() for rule in rules(stream)}
    named = {word for word in source.replace('"', " ").split() if "_" in word and f'Verdict("{word}"' in source}
    assert len(named) > 10
    assert named - contract == {"unknown_schema_version"}


def test_values_of_64_bits_are_kept_in_quarantine(live):
    at = datetime(2024, 5, 2, 9)
    most = 2**63 - 1
    live.send(at, placed("a", at, lines=[{"line_id": "x", "article_id": "a", "quantity": most, "unit_price_cents": most}]))
    live.ingest(D2)
    [row] = live.shop.rows("SELECT rule, payload->>'quantity', payload->>'unit_price_cents' FROM quarantine.orders")
    assert row == ("quantity_too_large", str(most), str(most))


def test_the_batch_line_judges_no_event_again(live):
    """A closed order line of the batch rules: shipped after it came back, more pieces than batch would allow."""
    at = datetime(2024, 5, 2, 9)
    live.send(at, came_back("a", "h1", at, quantity=2), placed("x", datetime(2024, 4, 1)))
    live.shop.deliver("returns", D1, [returned("r9", "h1", datetime(2024, 5, 1, 11), quantity=3)])
    live.ingest(D1, D2)
    assert live.shop.rows("SELECT return_id, quantity FROM core.returns ORDER BY seq") == [("r9", 3), ("r-a", 2)]
    assert live.shop.rows("SELECT count(*) FROM quarantine.returns") == [(0,)]


@pytest.mark.parametrize("is_range", [True, False])
def test_what_an_event_took_is_gone_for_landing_rows_of_its_day_and_later(live, is_range):
    at = datetime(2024, 5, 2, 9)
    live.send(at, came_back("a", "h1", at, quantity=2), placed("l9", at))
    for day, hour, name in ((D2, 3, "early"), (D3, 3, "later")):
        delivered = instant_us(datetime(day.year, day.month, day.day, hour))
        back = [
            returned(f"r-{name}", "h1", datetime(2024, 5, 1, 12), quantity=2),
            returned("r-a", "h1", datetime(2024, 5, 1, 13)),
        ]
        live.shop.deliver("returns", day - timedelta(days=1), back, delivered)
        live.shop.deliver("orders", day - timedelta(days=1), [order("l9-1", datetime(2024, 5, 1, 12))], delivered)
    for first, last in [(D1, D3)] if is_range else [(day, day) for day in (D1, D2, D3)]:
        live.ingest(first, last)
    refused = "SELECT known_day, {0}, rule FROM quarantine.{1} ORDER BY known_day, {0}"
    assert live.shop.rows(refused.format("payload->>'return_id'", "returns")) == [
        (day, *row) for day in (D2, D3) for row in (("r-a", "duplicate_id"), (f"r-{'early' if day == D2 else 'later'}", LARGER))
    ]
    assert live.shop.rows(refused.format("payload->>'line_id'", "orders")) == [
        (D2, "l9-1", "duplicate_id"), (D3, "l9-1", "duplicate_id"),
    ]  # fmt: skip


LARGER = "return_larger_than_order"


def test_a_day_with_events_only_and_one_with_both(live):
    live.shop.deliver("orders", D2, [order("h2", datetime(2024, 5, 2, 1))], instant_us(datetime(2024, 5, 1, 23)))
    live.send(datetime(2024, 5, 2, 9), placed("a", datetime(2024, 5, 2, 9)))
    live.send(datetime(2024, 5, 3, 9), placed("b", datetime(2024, 5, 3, 9)))
    ingest_events(live.con, live.paths.ledger, D2, D3)
    report = ingest_raw(live.con, ORDERS, D2, D3, live.shop.landing, live.shop.settings)
    assert (report.rows, report.files, report.missing_days) == (3, 1, ())
    build_core(live.con, ORDERS, D2, D3)
    found = live.shop.rows("SELECT known_day, line_id, ledger_seq FROM core.orders WHERE known_day > ? ORDER BY seq", D1)
    assert found == [(D2, "h2", None), (D2, "a-1", 1), (D3, "b-1", 2)]


def test_running_days_again_or_one_by_one_changes_nothing(live):
    for day in (D2, D3):
        at = datetime(day.year, day.month, day.day, 9)
        live.send(
            at, placed(day.day, at, lines=3), came_back(day.day, f"{day.day}-2", at), inspected(day.day, f"r-{day.day}", at)
        )
    live.ingest(D2, D3)
    before = live.shop.content()
    assert len({h for table, _, rows, h in before if table == "raw.events" and rows}) == 2
    live.ingest(D3)
    live.ingest(D2)
    assert live.shop.content() == before
    live.send(datetime(2024, 5, 4, 9), placed("later", datetime(2024, 5, 4, 9)))
    live.ingest(D2, D3)
    assert live.shop.content() == before


def test_other_events_are_other_inputs(live):
    inputs = "SELECT inputs_hash FROM ops.partitions WHERE day = ? AND table_name IN ('raw.orders', 'core.orders') ORDER BY ALL"
    live.send(datetime(2024, 5, 2, 9), placed("a", datetime(2024, 5, 2, 9)))
    live.ingest(D2)
    before = live.shop.rows(inputs, D2)
    live.send(datetime(2024, 5, 2, 10), placed("b", datetime(2024, 5, 2, 10)))
    live.ingest(D2)
    after = live.shop.rows(inputs, D2)
    assert len(before) == 2
    assert not set(before) & set(after)


def test_a_damaged_ledger_is_named_and_writes_nothing(live):
    for hour in (9, 10):
        live.send(datetime(2024, 5, 2, hour), placed(hour, datetime(2024, 5, 2, hour)))
    live.ingest(D2)
    before = live.shop.content()
    [file] = segments(live.paths.ledger)
    content = bytearray(file.read_bytes())
    content[30] ^= 1
    file.write_bytes(content)
    with pytest.raises(LogError, match=f"{file.name}, byte 0"):
        live.ingest(D2)
    assert live.shop.content() == before
    assert live.shop.rows("SELECT count(*) FROM raw.events") == [(2,)]


def test_no_ledger_is_no_events(make_shop, tmp_path):
    shop = make_shop()
    report = ingest_events(shop.con, tmp_path / "none", D1, D2)
    assert (report.rows, report.missing) == (0, 0)


def test_an_event_whose_line_vanished_from_history_stops_the_day(live):
    at = datetime(2024, 5, 2, 9)
    live.send(at, came_back("a", "h1", at))
    live.con.execute("DELETE FROM core.orders")
    with pytest.raises(LedgerConflict, match=r"seq 1: its line_id 'h1' was known .* not in core.orders"):
        live.ingest(D2)
    assert live.shop.rows("SELECT count(*) FROM core.returns") == [(0,)]


def test_a_line_that_was_landed_and_then_sent_stops_the_day(live):
    live.shop.deliver("orders", D2, [order("a-1", datetime(2024, 5, 2, 1))], instant_us(datetime(2024, 5, 2, 2)))
    live.ingest(D2)
    live.send(datetime(2024, 5, 3, 9), placed("a", datetime(2024, 5, 3, 9)))
    with pytest.raises(
        LedgerConflict, match=r"line_id 'a-1' is in core.orders already, from orders/2024-05-02/.*known on 2024-05-02"
    ):
        live.ingest(D3)


def test_a_refused_landing_file_keeps_the_whole_day_as_it_was(live):
    deliver_bytes(live.shop.landing, "orders", D2, b"no parquet", at_us=instant_us(datetime(2024, 5, 1, 23)))
    live.send(datetime(2024, 5, 2, 9), placed("a", datetime(2024, 5, 2, 9)))
    ensure_schema(live.con)
    ingest_events(live.con, live.paths.ledger, D2, D2)
    report = ingest_raw(live.con, ORDERS, D2, D2, live.shop.landing, live.shop.settings)
    assert (len(report.refused), report.rows, report.days) == (1, 0, ())


def test_only_the_segments_of_the_days_are_read(live):
    live.writer._log.segment_bytes = 1
    for day in (2, 3, 4, 5):
        at = datetime(2024, 5, day, 9)
        live.send(at, placed(day, at))
    first, *_, last = segments(live.paths.ledger)
    for file in (first, last):
        content = bytearray(file.read_bytes())
        file.write_bytes(content + b"no record" + bytes(24) + content)
    report = ingest_events(live.con, live.paths.ledger, date(2024, 5, 4), date(2024, 5, 4))
    assert (report.rows, report.segments) == (1, 1)
    with pytest.raises(LogError, match=first.name):
        ingest_events(live.con, live.paths.ledger, D2, D2)


def test_large_orders_do_not_take_memory_by_the_square_of_their_lines(live):
    at = datetime(2024, 5, 2, 9)
    for n in range(30):
        live.send(at, placed(f"large{n}", at, lines=1000))
    ingest_events(live.con, live.paths.ledger, D2, D2)
    live.con.execute("SET memory_limit = '500MB'")
    report = ingest_raw(live.con, ORDERS, D2, D2, live.shop.landing, live.shop.settings)
    assert report.rows == 30_000
