"""``POST /v1/events`` over the real app: answers per item, idempotence, effects on scores, and what is refused when."""

import pytest
from litestar.testing import TestClient

from returnml.clock import VirtualClock
from returnml.ledger.event_records import decode_payload
from returnml.ledger.record_log import read
from returnml.settings import DataPaths, LimitSettings
from returnml_tests.serving import shop
from serving.app import create_app

AT = "2011-06-15T11:59:00Z"


def placed(event_id="e1", order_id="o9", **changed):
    lines = [{"line_id": f"{order_id}-1", "article_id": "a1", "quantity": 2, "unit_price_cents": 2000, "size": "M"}]
    event = {"type": "order", "event_id": event_id, "occurred_at": AT, "order_id": order_id, "customer_id": "c1"}
    return event | {"currency": "EUR", "lines": lines} | changed


def returned(event_id="e2", return_id="r9", line_id="o2-1", **changed):
    event = {"type": "return", "event_id": event_id, "occurred_at": AT, "return_id": return_id, "line_id": line_id}
    return event | {"quantity": 1, "refund_cents": 2000, "currency": "EUR"} | changed


@pytest.fixture(params=["lmdb", "redis"])
def store(request):
    return shop.LMDB if request.param == "lmdb" else request.getfixturevalue("redis").settings


@pytest.fixture
def data(tmp_path, store):
    data = tmp_path / "data"
    shop.publish(data, store=store)
    shop.deploy(data)
    return data


@pytest.fixture
def clock():
    return VirtualClock(shop.now_us())


@pytest.fixture
def client(data, clock, store):
    app = create_app(shop.settings(data, store=store), clock, reload_seconds=0.02)
    with TestClient(app, raise_server_exceptions=False) as client:
        yield client


def send(client, events):
    response = client.post("/v1/events", json=events)
    assert response.status_code == 202, response.text
    return response.json()


def evidence(client):
    """Pieces ordered plus the customer's orders of a year, from the first line's probability ``e / (e + prior)``."""
    answer = client.post("/v1/score", json=shop.order()).json()
    p = answer["lines"][0]["probability"]
    return round(p * shop.PRIOR / (1 - p)), answer["features"]["seq"]


def test_a_score_sees_an_event_right_after_its_202(client):
    assert evidence(client) == (2 + 3, 0)
    assert send(client, placed()) == {
        "accepted": 1,
        "duplicates": 0,
        "refused": 0,
        "conflicts": 0,
        "events": [{"status": "accepted", "event_id": "e1", "seq": 1}],
    }
    assert evidence(client) == (2 + 4, 1)


def test_the_same_event_again_changes_nothing(client, data):
    send(client, [placed(), placed()])
    answer = send(client, placed())
    assert answer["events"] == [{"status": "duplicate", "event_id": "e1", "seq": 1}]
    assert (answer["accepted"], answer["duplicates"]) == (0, 1)
    assert evidence(client) == (2 + 4, 1)
    assert [r.seq for r in read(DataPaths(data).ledger)] == [1]


def test_each_item_of_a_batch_is_judged_by_itself_and_after_those_before_it(client, data):
    batch = [
        placed(),
        placed("e3", "o10", lines=[]),
        returned("e4", "r4", "o9-1", quantity=2),
        returned("e5", "r5", "o9-1"),
        returned("e6", "r1"),
        returned("e7", "r7", None),
        returned("e8", "r8", "nowhere", customer_id="c1", article_id="a1"),
        {"type": "inspection", "event_id": "e9", "occurred_at": AT, "inspection_id": "i1", "return_id": "r1", "verdict": "worn"},
        {"type": "inspection", "event_id": "e10", "occurred_at": AT, "inspection_id": "i1", "return_id": "r1", "verdict": "worn"},
        7,
    ]
    answer = send(client, batch)
    told = [(e["status"], e.get("rule"), e.get("field")) for e in answer["events"]]
    assert told == [
        ("accepted", None, None),
        ("refused", "malformed", "lines"),
        ("accepted", None, None),
        ("refused", "return_larger_than_order", "quantity"),
        ("refused", "duplicate_id", "return_id"),
        ("refused", "unknown_order_line", "line_id"),
        ("accepted", None, None),
        ("accepted", None, None),
        ("refused", "duplicate_id", "inspection_id"),
        ("refused", "malformed", "$"),
    ]
    assert (answer["accepted"], answer["duplicates"], answer["refused"]) == (4, 0, 6)
    # A refused event is kept with its verdict; sent again it is refused again.
    logged = [decode_payload(r) for r in read(DataPaths(data).ledger)]
    assert [j.verdict.rule for j in logged] == [
        None, None, "return_larger_than_order", "duplicate_id", "unknown_order_line", None, None, "duplicate_id"
    ]  # fmt: skip
    assert logged[5].verdict.is_orphan
    assert send(client, batch[3])["events"][0] == answer["events"][3]


def test_known_at_strictly_increases_though_the_clock_stands_still(client, data):
    send(client, [placed("e1", "o20"), placed("e2", "o21")])
    send(client, placed("e3", "o3"))
    now = shop.now_us()
    assert [(r.seq, r.known_at_us) for r in read(DataPaths(data).ledger)] == [(1, now), (2, now + 1), (3, now + 2)]
    answer = client.post("/v1/score", json=shop.order()).json()
    assert answer["requested_at"] == "2011-06-15T12:00:00.000003Z"


def test_events_survive_a_restart_and_a_publication(client, data, clock, store):
    send(client, placed())
    shop.publish(data, shop.CUT_OFF_US - 1, store=store)
    assert evidence(client) == (2 + 4, 1)
    with TestClient(create_app(shop.settings(data, store=store), clock)) as again:
        assert evidence(again) == (2 + 4, 1)
        assert send(again, placed("e5", "o11"))["events"][0]["seq"] == 2
        assert send(again, placed())["duplicates"] == 1
    assert evidence(client) == (2 + 5, 2)


def test_nothing_is_acknowledged_before_a_generation_is_there(tmp_path, store):
    settings = shop.settings(tmp_path / "data", store=store)
    with TestClient(create_app(settings, VirtualClock(shop.now_us()))) as client:
        response = client.post("/v1/events", json=placed())
        assert (response.status_code, response.headers["retry-after"]) == (503, "2")
        assert "no generation is published" in response.json()["detail"]


def test_a_full_disk_is_503_and_leaves_nothing(client, data, monkeypatch):
    def full(_descriptor):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("returnml.ledger.record_log.os.fsync", full)
        response = client.post("/v1/events", json=placed())
    assert (response.status_code, response.headers["retry-after"]) == (503, "2")
    assert "No space left" in response.json()["detail"]
    assert evidence(client) == (2 + 3, 0)
    assert list(read(DataPaths(data).ledger)) == []
    assert send(client, placed())["accepted"] == 1


def test_a_defect_in_the_writer_is_500_and_the_next_request_is_served(client, monkeypatch):
    def broken(*_):
        raise RuntimeError("secret")

    with monkeypatch.context() as patch:
        patch.setattr("returnml.store.event_writer.validate", broken)
        response = client.post("/v1/events", json=placed())
    assert (response.status_code, "secret" in response.text) == (500, False)
    assert send(client, placed())["accepted"] == 1
    assert evidence(client) == (2 + 4, 1)


def test_more_events_than_memory_may_hold_are_503(data, clock, store):
    settings = shop.settings(data, store=store, limits=LimitSettings(waiting_events=0))
    with TestClient(create_app(settings, clock)) as client:
        response = client.post("/v1/events", json=placed())
    assert (response.status_code, response.headers["retry-after"]) == (503, "2")


def test_a_damaged_ledger_stops_events_and_not_scores(client, data):
    send(client, [placed("e1", "o20"), placed("e2", "o21")])
    [segment] = DataPaths(data).ledger.glob("*.log")
    segment.write_bytes(segment.read_bytes()[:40])
    response = client.post("/v1/events", json=placed("e3", "o3"))
    assert (response.status_code, "that was acknowledged" in response.json()["detail"]) == (503, True)
    assert evidence(client) == (2 + 5, 2)


@pytest.mark.parametrize("body", [b"", b"{", b"[1,", b"\xff"])
def test_a_body_that_is_no_json_is_refused(client, body):
    response = client.post("/v1/events", content=body)
    assert response.status_code == 400
    assert response.headers["content-type"].startswith("application/problem+json")


def test_too_many_events_at_once_are_refused(client):
    response = client.post("/v1/events", content=b"[" + b",".join([b"1"] * 10_001) + b"]")
    assert (response.status_code, "at most 10000" in response.json()["detail"]) == (422, True)
    assert send(client, []) == {"accepted": 0, "duplicates": 0, "refused": 0, "conflicts": 0, "events": []}
