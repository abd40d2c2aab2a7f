"""Events that are wrong, late, contradictory or cannot be written: what ``POST /v1/events`` answers, and what it keeps."""

import resource
from contextlib import contextmanager

import msgspec
import pytest
from litestar.testing import TestClient

from returnml.clock import VirtualClock
from returnml.ledger.event_records import decode_payload
from returnml.ledger.record_log import read
from returnml.settings import DataPaths
from returnml_tests.serving import shop
from returnml_tests.serving.intake.test_events import (
    AT,
    evidence,
    placed,
    returned,
    send,
)
from returnml_tests.waiting import eventually
from serving.app import create_app


class JumpingClock:
    """A machine's clock, which somebody sets."""

    def __init__(self, now_us):
        self.at_us = now_us

    def now_us(self):
        return self.at_us


@pytest.fixture
def data(tmp_path):
    data = tmp_path / "data"
    shop.publish(data)
    shop.deploy(data)
    return data


@contextmanager
def service(data, clock=None):
    app = create_app(shop.settings(data), clock or VirtualClock(shop.now_us()), reload_seconds=0.02)
    with TestClient(app, raise_server_exceptions=False) as client:
        yield client


def answered(client, *events):
    return [(e["status"], e.get("rule"), e.get("field"), "seq" in e) for e in send(client, list(events))["events"]]


def verdicts(data):
    return [decode_payload(r).verdict.rule for r in read(DataPaths(data).ledger)]


def test_an_unknown_schema_version(data):
    with service(data) as client:
        told = answered(
            client,
            placed("e1", "o20", schema_version=2),
            placed("e2", "o21", schema_version=2, colour="red"),
            {"type": "parcel", "event_id": "e3", "schema_version": 2},
            placed("e4", "o22", schema_version=True),
            placed("e5", "o23", schema_version=1),
        )
    # What has the fields of an event is kept with its verdict; what has others is none, and is only answered.
    assert told == [
        ("refused", "unknown_schema_version", "schema_version", True),
        ("refused", "unknown_schema_version", "schema_version", False),
        ("refused", "unknown_schema_version", "schema_version", False),
        ("refused", "malformed", "schema_version", False),
        ("accepted", None, None, True),
    ]
    assert verdicts(data) == ["unknown_schema_version", None]


def test_times_that_cannot_be(data):
    with service(data) as client:
        told = answered(
            client,
            placed("e1", "o20", occurred_at="2011-06-15T12:05:00Z"),
            placed("e2", "o21", occurred_at="2011-06-15T12:05:00.001Z"),
            placed("e3", "o22", occurred_at="9999-12-31T23:59:59-14:00"),
            placed("e4", "o23", occurred_at="1989-12-31T23:59:59Z"),
            placed("e5", "o24", occurred_at="0001-01-01T00:00:00+14:00"),
            placed("e6", "o25", occurred_at="2011-06-15T12:00:00"),
            placed("e7", "o26", occurred_at="2011-06-31T12:00:00Z"),
        )
        assert evidence(client) == (2 + 4, 5)
    assert [t[:2] for t in told] == [
        ("accepted", None),
        ("refused", "time_in_future"),
        ("refused", "time_in_future"),
        ("refused", "time_too_early"),
        ("refused", "time_too_early"),
        ("refused", "malformed"),
        ("refused", "malformed"),
    ]


def test_a_late_event_counts_from_when_it_is_known(data):
    with service(data) as client:
        send(client, placed(occurred_at="2011-05-01T00:00:00Z"))
        assert evidence(client) == (2 + 4, 1)
    [record] = read(DataPaths(data).ledger)
    assert record.known_at_us == shop.now_us()


@pytest.mark.parametrize(
    ("item", "field"),
    [
        (b"null", "$"),
        (b'"order"', "$"),
        (b"[]", "$"),
        (b"{}", "type"),
        (b'{"type": "parcel"}', "type"),
        (b'{"type": "inspection", "event_id": "\xff"}', "$"),
        (b'{"type": "inspection", "event_id": "' + b"i" * 201 + b'"}', "event_id"),
        (b'{"type": "inspection", "event_id": ""}', "event_id"),
        (b'{"type": "inspection", "event_id": "e", "schema_version": 1' + b"0" * 4_000 + b"}", "schema_version"),
    ],
)
def test_what_is_no_event_leaves_its_neighbours_alone(data, item, field):
    with service(data) as client:
        body = b"[" + b",".join([msgspec.json.encode(placed()), item, msgspec.json.encode(placed("e2", "o10"))]) + b"]"
        answer = client.post("/v1/events", content=body).json()
        assert [e["status"] for e in answer["events"]] == ["accepted", "refused", "accepted"]
        assert (answer["events"][1]["rule"], answer["events"][1]["field"]) == ("malformed", field)
        assert evidence(client) == (2 + 5, 2)


@pytest.mark.parametrize("body", [b"[" * 100_000, b"[" + b'{"a":' * 50_000, b'{"a":' * 50_000])
def test_a_body_nested_too_deep_is_no_json(data, body):
    with service(data) as client:
        response = client.post("/v1/events", content=body)
        assert (response.status_code, "nested too deep" in response.json()["detail"]) == (400, True)
        assert send(client, placed())["accepted"] == 1


def test_numbers_that_no_column_holds(data):
    huge = [1 << 30, (1 << 63) - 1, 1 << 63, -(1 << 63), 10**40]
    with service(data) as client:
        told = answered(client, *[returned(f"e{i}", f"x{i}", "o2-1", refund_cents=n) for i, n in enumerate(huge)])
        assert [t[1] for t in told] == [None, "refund_too_large", "malformed", "refund_negative", "malformed"]
        assert send(client, placed("e9"))["accepted"] == 1


def test_events_that_contradict_what_is_known(data):
    with service(data) as client:
        told = answered(
            client,
            placed("e1", "o20"),
            placed("e1", "o20", customer_id="c2"),  # an id that is taken: the first one counts
            placed("e2", "o20", customer_id="c2"),  # the same line, of another customer
            placed("e3", "o22", lines=[placed("x", "o22")["lines"][0]] * 2),
            returned("e4", "r4", "o20-1", occurred_at="2011-06-15T11:58:59Z"),
            returned("e5", "r5", "o20-1", quantity=2),
            returned("e6", "r6", "o20-1"),
            returned("e7", "r5", "o2-2", quantity=1),
            {
                "type": "inspection",
                "event_id": "e8",
                "occurred_at": placed()["occurred_at"],
                "inspection_id": "i",
                "return_id": "?",
                "verdict": "worn",
            },
        )
        assert evidence(client) == (2 + 4, 8)
    assert told == [
        ("accepted", None, None, True),
        ("conflict", "conflict", "event_id", True),
        ("refused", "duplicate_id", "lines[0].line_id", True),
        ("refused", "duplicate_id", "lines[1].line_id", True),
        ("refused", "return_before_order", "occurred_at", True),
        ("accepted", None, None, True),
        ("refused", "return_larger_than_order", "quantity", True),
        ("refused", "duplicate_id", "return_id", True),
        ("refused", "unknown_return", "return_id", True),
    ]


def test_an_id_that_another_event_has_is_refused_and_not_taken_for_a_duplicate(data):
    """A shop that names an order's event and its return's alike must hear that the return is not taken in."""
    order = placed("e1")
    back = returned("e1", line_id="o9-1")
    seen = {
        "type": "inspection",
        "event_id": "e1",
        "occurred_at": AT,
        "inspection_id": "i1",
        "return_id": "r9",
        "verdict": "worn",
    }
    more = placed("e1", lines=[*order["lines"], order["lines"][0] | {"line_id": "o9-2"}])
    with service(data) as client:
        assert answered(client, order) == [("accepted", None, None, True)]
        taken = ("conflict", "conflict", "event_id", True)
        assert answered(client, back, seen | {"verdict": "worn"}, more, placed("e1", "o10")) == [taken] * 4
        assert answered(client, order, order | {"device": None}) == [("duplicate", None, None, True)] * 2
        assert answered(client, back | {"event_id": "e2"}) == [("accepted", None, None, True)]
    assert verdicts(data) == [None, None]


@pytest.mark.parametrize(
    "changed",
    [
        {"country": "AT"},
        {"customer_id": "c2"},
        {"voucher_code": "SPRING"},
        {"lines": [{"quantity": 5}]},
        {"lines": [{"unit_price_cents": 1}]},
        {"occurred_at": "2011-06-15T11:58:00Z"},
    ],
    ids=str,
)
def test_an_event_id_again_with_other_content_is_a_conflict_that_is_seen(data, changed):
    """A correction under the old id would be lost, were it called a duplicate."""
    order = placed("e1")
    lines = [old | new for old, new in zip(order["lines"], changed.get("lines", [{}]), strict=True)]
    with service(data) as client:
        send(client, [order, returned("e2", "r1", "o9-1")])
        before = verdicts(data)
        told = send(client, order | changed | {"lines": lines})
        assert (told["accepted"], told["duplicates"], told["refused"], told["conflicts"]) == (0, 0, 0, 1)
        [one] = told["events"]
        assert (one["status"], one["rule"], one["seq"]) == ("conflict", "conflict", 1)
        assert client.get("/health/ready").json()["events"]["conflicts"] == 1
        assert 'returnml_events_conflict_total{worker=""} 1' in client.get("/metrics").text
        assert send(client, [order, order | {"occurred_at": "2011-06-15T13:59:00+02:00"}])["duplicates"] == 2
    assert verdicts(data) == before


def test_an_orphan_counts_in_the_windows_of_the_keys_that_it_names(data):
    with service(data) as client:
        told = send(client, [returned("e1", "r1b", "nowhere", customer_id="c1", article_id="a1"), returned("e2", "r2b", None)])
        assert [e.get("rule") for e in told["events"]] == [None, "unknown_order_line"]
    assert [decode_payload(r).verdict.is_orphan for r in read(DataPaths(data).ledger)] == [True, False]


def test_a_clock_that_steps_back(data):
    clock = JumpingClock(shop.now_us())
    with service(data, clock) as client:
        send(client, placed("e1", "o20"))
        clock.at_us -= 3_600_000_000
        # Ahead of the clock, not of what is known already: the ledger's time goes on.
        assert answered(client, placed("e2", "o21")) == [("accepted", None, None, True)]
        answer = client.post("/v1/score", json=shop.order()).json()
        assert (answer["requested_at"], answer["features"]["seq"]) == ("2011-06-15T12:00:00.000002Z", 2)
        assert evidence(client) == (2 + 5, 2)
        clock.at_us = shop.now_us() + 60_000_000
        send(client, placed("e3", "o22"))
    now = shop.now_us()
    assert [r.known_at_us for r in read(DataPaths(data).ledger)] == [now, now + 1, now + 60_000_000]


@contextmanager
def no_file_beyond(size):
    """The disk takes no byte beyond ``size`` in any file: a real refusal of the system, as a full disk's."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_disk_that_takes_half_a_batch_keeps_none_of_it(data):
    with service(data) as client:
        send(client, placed("e0", "o19"))
        [segment] = DataPaths(data).ledger.glob("*.log")
        before = segment.read_bytes()
        batch = [placed(f"e{n}", f"o{20 + n}") for n in range(1, 6)]
        with no_file_beyond(len(before) + 700):
            response = client.post("/v1/events", json=batch)
        assert (response.status_code, response.headers["retry-after"]) == (503, "2")
        assert segment.read_bytes() == before
        assert evidence(client) == (2 + 4, 1)
        assert send(client, batch)["accepted"] == 5
        assert evidence(client) == (2 + 9, 6)


def test_a_store_that_cannot_be_written_after_the_ledger_was(data):
    with service(data) as client:
        live = data / "store" / "live" / "data.mdb"
        batch = [placed(f"e{n}", f"o{20 + n}") for n in range(20)]
        with no_file_beyond(live.stat().st_size):
            response = client.post("/v1/events", json=batch)
            assert response.status_code == 503, response.text
            assert evidence(client) == (2 + 3, 0)
            assert len(verdicts(data)) == 20
        # Not acknowledged, but on disk: sent again they are there already, and count once.
        assert send(client, batch)["duplicates"] == 20
        assert evidence(client) == (2 + 23, 20)
    assert len(verdicts(data)) == 20


def test_whoever_watches_the_service_hears_that_no_event_can_be_taken_in(data):
    with service(data) as client:
        send(client, [placed("e1"), placed("e1"), returned("e2", line_id=None)])
        [segment] = DataPaths(data).ledger.glob("*.log")
        good = segment.read_bytes()
        segment.write_bytes(good[:-1])
        assert client.post("/v1/events", json=[placed("e3", "o30"), placed("e4", "o31")]).status_code == 503
        ready = client.get("/health/ready").json()
        told = ready["events"]
        assert (told["accepted"], told["duplicates"], told["refused"], told["unavailable"], told["waiting"]) == (1, 1, 1, 2, 0)
        assert told["failure"] in ready["warnings"]
        assert str(segment) in told["failure"]
        assert 'returnml_events_unavailable_total{worker=""} 2' in client.get("/metrics").text
        segment.write_bytes(good)
        # By itself, without an event.
        eventually(lambda: client.get("/health/ready").json()["events"]["failure"] is None)
        assert client.get("/health/ready").json()["warnings"] == []
