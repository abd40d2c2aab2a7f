"""A return that arrives before its order: kept, counted once, linked when its line comes; online and in batch alike."""

from datetime import date, datetime, timedelta

import pytest

from returnml.features.sets.order_line import ORDER_LINE
from returnml.instants import instant_us
from returnml.ledger.event_records import decode_payload
from returnml.ledger.record_log import read
from returnml.settings import LabelSettings, Settings
from returnml.store.proving.verification import verify_store
from returnml.warehouse.ingest.outcomes import build_outcomes
from returnml.warehouse.publishing.publication import publish_warehouse
from returnml_tests.warehouse.conftest import D1, D2, D3, order, returned
from returnml_tests.warehouse.ledger_shop import LedgerShop, came_back, inspected, placed

GO_LIVE = datetime(2024, 5, 2)
NOON, ONE, TWO = (datetime(2024, 5, 2, hour) for hour in (12, 13, 14))
LABEL = LabelSettings()
ROWS = "SELECT return_id, line_id, is_orphan, is_link, customer_id, article_id, size, ledger_seq FROM core.returns ORDER BY seq"


@pytest.fixture
def live(make_shop, tmp_path):
    """History of one line on the first day, published; events from the second day on."""
    shop = make_shop(Settings(go_live=GO_LIVE.isoformat()))
    shop.deliver("orders", D1, [order("h1", datetime(2024, 5, 1, 10), quantity=3)])
    shop.load("orders", D1)
    found = LedgerShop(shop, tmp_path / "data", GO_LIVE)
    found.publish(GO_LIVE)
    return found


def rules(applied):
    return [one.outcome.rule for one in applied]


def outcomes(live):
    due = (NOON + timedelta(days=LABEL.window_days + LABEL.grace_days)).date() + timedelta(days=1)
    build_outcomes(live.con, D2, due, LABEL)
    return live.shop.rows("SELECT line_id, returned, returned_quantity, refund_cents FROM core.outcomes WHERE line_id LIKE 'a%'")


@pytest.mark.parametrize("named", [{}, {"customer_id": "c1", "article_id": "a1"}], ids=["unnamed", "named"])
def test_a_return_that_overtakes_its_order_is_linked_when_the_line_comes(live, named):
    assert rules(live.send(NOON, came_back("x", "a-1", TWO.replace(hour=11), **named))) == [None]
    # Sent again under another event id: it is there already, once.
    assert rules(live.send(NOON, came_back("y", "a-1", TWO.replace(hour=11), return_id="r-x", **named))) == ["duplicate_id"]
    assert rules(live.send(ONE, placed("a", datetime(2024, 5, 2, 10)))) == [None]
    assert rules(live.send(TWO, came_back("z", "a-1", TWO, quantity=2))) == ["return_larger_than_order"]
    report = live.ingest(D2)
    assert (report.rows, report.refused) == (4, 2)
    of_orphan, of_link = (("c1", "a1"), (None, None)) if named else ((None, None), ("c1", "a1"))
    assert live.shop.rows(ROWS) == [
        ("r-x", "a-1", True, False, *of_orphan, None, 1),
        ("r-x", "a-1", False, True, *of_link, "M", 3),
    ]
    assert outcomes(live) == [("a-1", 1, 1, 1000)]


def test_every_window_counts_it_once_live_and_published_to_the_bit(live):
    customer = {"customer_id": "c1", "article_id": "a1"}
    live.send(
        NOON,
        came_back("n", "a-1", NOON.replace(hour=11), **customer),
        came_back("u", "a-2", NOON.replace(hour=11), refund_cents=700),
        came_back("alone", None, NOON, **customer),
        came_back("never", "nowhere", NOON),
    )
    live.send(ONE, placed("a", datetime(2024, 5, 2, 10), lines=2))
    later = datetime(2024, 5, 3, 9)
    ask = {"customer_id": "c1", "article_id": "a1", "size": "M", "brand": "acme", "country": "DE", "quantity": 1}
    seen = live.seen(later, **ask)
    raw = seen[1]
    assert raw["customer_returns_count_30d"] == [3]
    assert raw["brand_returns_count_30d"] == [2]
    live.ingest(D2)
    live.publish(datetime(2024, 5, 3))
    assert live.seen(later, **ask)[1] == raw
    assert verify_store(live.backend, ORDER_LINE).problems == []


def test_the_generation_remembers_who_waits(live):
    """The orphan is in the published generation when its line comes."""
    live.send(NOON, came_back("x", "a-1", NOON.replace(hour=11)))
    live.ingest(D2)
    live.publish(datetime(2024, 5, 3))
    [applied] = live.send(datetime(2024, 5, 3, 9), placed("a", datetime(2024, 5, 2, 10), lines=[{"line_id": "a-1"}]))
    assert applied.outcome.rule is None
    assert decode_payload(list(read(live.paths.ledger))[-1]).verdict.links[0].return_id == "r-x"
    live.ingest(D3)
    assert live.shop.rows(ROWS)[-1] == ("r-x", "a-1", False, True, "c1", "a1", "M", 2)
    assert live.shop.rows("SELECT known_day FROM core.returns ORDER BY seq") == [(D2,), (D3,)]
    publish_warehouse_after(live)
    assert outcomes(live) == [("a-1", 1, 1, 1000)]


def publish_warehouse_after(live):
    build_outcomes(live.con, D3, D3, LABEL)
    publish_warehouse(live.con, [ORDER_LINE], instant_us(datetime(2024, 5, 4)), live.backend)
    assert verify_store(live.backend, ORDER_LINE).problems == []


def test_what_contradicts_its_line_is_kept_and_stays_an_orphan(live):
    live.send(
        NOON,
        came_back("early", "a-1", datetime(2024, 5, 2, 9)),
        came_back("fits", "a-1", NOON, quantity=2),
        came_back("more", "a-1", NOON),
    )
    live.send(ONE, placed("a", datetime(2024, 5, 2, 10)))
    links = decode_payload(list(read(live.paths.ledger))[-1]).verdict.links
    assert {(one.return_id, one.rule) for one in links} == {
        ("r-early", "return_before_order"),
        ("r-fits", None),
        ("r-more", "return_larger_than_order"),
    }
    live.ingest(D2)
    assert [row[0] for row in live.shop.rows(ROWS) if row[3]] == ["r-fits"]
    assert outcomes(live) == [("a-1", 1, 2, 1000)]


def test_an_inspection_of_a_linked_return_has_its_lines_keys(live):
    live.send(NOON, came_back("x", "a-1", NOON.replace(hour=11), customer_id="c1", article_id="a1"))
    live.send(ONE, placed("a", datetime(2024, 5, 2, 10)), inspected("i", "r-x", ONE))
    live.ingest(D2)
    assert live.shop.rows("SELECT line_id, customer_id, article_id, size FROM core.inspections") == [("a-1", "c1", "a1", "M")]


D4 = date(2024, 5, 4)
LANDED = [
    ("returns", D2, [returned("r1", "l1", datetime(2024, 5, 1, 9)), returned("r2", "l2", datetime(2024, 5, 1, 9), quantity=2)]),
    ("orders", D3, [order("l1", datetime(2024, 5, 1, 8)), order("l3", datetime(2024, 5, 1, 8))]),
    ("returns", D3, [returned("r3", "l2", datetime(2024, 5, 1, 9)), returned("r1", "l1", datetime(2024, 5, 1, 9))]),
    ("orders", D4, [order("l2", datetime(2024, 5, 1, 8))]),
    ("returns", D4, [returned("r4", "l2", datetime(2024, 5, 1, 9)), returned("r5", "l1", datetime(2024, 5, 1, 9), quantity=2)]),
]


@pytest.mark.parametrize("is_at_once", [True, False])
def test_landed_returns_are_linked_whatever_file_comes_first(make_shop, is_at_once):
    shop = make_shop(Settings(go_live=GO_LIVE.isoformat()))
    for n, (stream, day, rows) in enumerate(LANDED):
        shop.deliver(stream, day, rows, instant_us(datetime.combine(day, datetime.min.time())) + n)
    reports = {}
    ranges = [(D2, D4)] if is_at_once else [(day, day) for day in (D2, D3, D4)]
    for first, last in ranges:
        shop.load("orders", first, last)
        report = shop.load("returns", first, last)
        reports = {name: reports.get(name, 0) + getattr(report, name) for name in ("rows_in", "good", "links", "orphans")}
    assert reports == {"rows_in": 6, "good": 4, "links": 2, "orphans": 3}
    # Returns of the line's own day come first, then those that waited, first come first served: r2 no longer fits.
    found = shop.rows("SELECT return_id, known_day, is_orphan, is_link FROM core.returns ORDER BY seq")
    assert found == [
        ("r1", D2, True, False),
        ("r2", D2, True, False),
        ("r1", D3, False, True),
        ("r3", D3, True, False),
        ("r3", D4, False, True),
        ("r4", D4, False, False),
    ]
    refused = shop.rows("SELECT payload->>'return_id', rule FROM quarantine.returns ORDER BY 1")
    assert refused == [("r1", "duplicate_id"), ("r5", "return_larger_than_order")]
