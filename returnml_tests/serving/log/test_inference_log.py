"""The inference log: nothing dropped unseen, one worker folder per process, what a kill tore is cut off."""

import os
import subprocess
import sys
import threading
from datetime import date

import pytest
from litestar.testing import TestClient

from returnml.clock import VirtualClock
from returnml.features.sets.order_line import ORDER_LINE
from returnml.ledger import answer_records
from returnml.ledger.answer_records import (
    DayWriter,
    day_folder,
    logged_days,
    read_day,
)
from returnml.ledger.record_log import LogError, segments
from returnml.settings import DataPaths, LimitSettings
from returnml_tests.serving import shop
from returnml_tests.waiting import PATIENT_LIMITS, eventually
from serving.app import create_app
from serving.log import inference_log

DAY = date(2011, 6, 15)


@pytest.fixture
def data(tmp_path):
    shop.publish(tmp_path)
    shop.deploy(tmp_path)
    return tmp_path


def client(data, policy="shed", limits=PATIENT_LIMITS, now_us=None):
    settings = shop.settings(data, policy, limits=limits)
    return TestClient(create_app(settings, VirtualClock(now_us or shop.now_us())), raise_server_exceptions=False)


def answers(data, day=DAY):
    return list(read_day(DataPaths(data).inference_log, day))


@pytest.mark.parametrize("policy", ["shed", "require"])
def test_what_is_answered_is_logged(data, policy):
    with client(data, policy) as service:
        posted = [service.post("/v1/score", json=shop.order()).json() for _ in range(3)]
        if policy == "require":
            assert len(answers(data)) == 3
        service.post("/v1/score", json=shop.order(lines=[]))
    logged = answers(data)
    assert [a.request_id for a in logged] == [p["request_id"] for p in posted]
    answer = logged[0]
    assert (answer.order_id, answer.role, answer.worker, answer.mark) == ("o9", "champion", "w0", 0)
    assert answer.requested_at_us == shop.now_us()
    assert answer.visible_until_us == answer.derived_until_us == shop.CUT_OFF_US
    assert answer.probability == [line["probability"] for line in posted[0]["lines"]]
    assert answer.inputs["line_id"] == ["l1", "l2"]
    assert answer.inputs["line_value_cents"] == [4000, 10000]
    assert answer.feature_set_hash == ORDER_LINE.hash
    assert len(answer.vectors) == 4 * 2 * len(ORDER_LINE.outputs)
    assert answer.latency_us > 0


def test_a_day_of_its_own_for_each_utc_day(data):
    for days in (0, 1, 0):
        with client(data, now_us=shop.now_us() + days * shop.DAY_US) as service:
            service.post("/v1/score", json=shop.order())
    assert logged_days(DataPaths(data).inference_log) == [DAY, date(2011, 6, 16)]
    assert [len(answers(data, day)) for day in (DAY, date(2011, 6, 16))] == [2, 1]


def test_workers_at_once_have_folders_of_their_own(data):
    with client(data) as first, client(data) as second:
        for service in (first, second):
            service.post("/v1/score", json=shop.order())
        eventually(lambda: len(answers(data)) == 2)
        names = {service.get("/health/ready").json()["inference_log"]["worker"] for service in (first, second)}
    assert names == {a.worker for a in answers(data)} == {"w0", "w1"}


def full_disk(*_):
    raise OSError(28, "No space left on device")


def test_required_and_the_disk_is_full(data, monkeypatch):
    monkeypatch.setattr(inference_log, "RETRY_SECONDS", 0.05)
    with client(data, "require") as service:
        with monkeypatch.context() as patched:
            patched.setattr(DayWriter, "append", full_disk)
            refused = service.post("/v1/score", json=shop.order())
            assert (refused.status_code, refused.headers["retry-after"]) == (503, "2")
            assert "No space left" in refused.json()["detail"]
            assert service.get("/health/ready").status_code == 503
            assert service.post("/v1/score", json=shop.order()).status_code == 503
        # Ready again by itself, without a request that tries.
        eventually(lambda: service.get("/health/ready").status_code == 200)
        good = service.post("/v1/score", json=shop.order()).json()
    assert [a.request_id for a in answers(data)] == [good["request_id"]]


def test_required_and_the_disk_hangs(data, monkeypatch):
    append, is_back = DayWriter.append, threading.Event()
    monkeypatch.setattr(DayWriter, "append", lambda *args: (is_back.wait(), append(*args)))
    with client(data, "require", LimitSettings(log_seconds=0.05)) as service:
        refused = service.post("/v1/score", json=shop.order())
        is_back.set()
    assert refused.status_code == 503
    assert "not written within" in refused.json()["detail"]


def test_shed_answers_and_what_waits_is_written_when_the_disk_is_back(data, monkeypatch):
    monkeypatch.setattr(inference_log, "RETRY_SECONDS", 0.05)
    with client(data) as service:
        with monkeypatch.context() as patched:
            patched.setattr(DayWriter, "append", full_disk)
            first = service.post("/v1/score", json=shop.order()).json()
            eventually(lambda: any("No space left" in said for said in service.get("/health/ready").json()["warnings"]))
            assert service.get("/health/ready").json()["inference_log"]["waiting_lines"] == 2
        eventually(lambda: not service.get("/health/ready").json()["warnings"])
    assert [a.request_id for a in answers(data)] == [first["request_id"]]


def test_shed_counts_what_is_dropped(data, monkeypatch):
    monkeypatch.setattr(DayWriter, "append", full_disk)
    with client(data, limits=LimitSettings(waiting_log_lines=5)) as service:
        statuses = [service.post("/v1/score", json=shop.order()).status_code for _ in range(4)]
        assert statuses == [200] * 4
        eventually(lambda: service.get("/health/ready").json()["inference_log"]["failure"])
        ready = service.get("/health/ready").json()
        assert (ready["inference_log"]["shed"], ready["inference_log"]["waiting_lines"]) == (2, 4)
        assert "inference log: 2 answers were given and not logged" in ready["warnings"]
        metrics = service.get("/metrics").text
    assert 'returnml_inference_log_shed_total{worker="w0"} 2' in metrics
    assert "# TYPE returnml_inference_log_waiting_lines gauge" in metrics


def test_a_torn_tail_is_cut_off_and_the_log_goes_on(data):
    for _ in range(2):
        with client(data) as service:
            service.post("/v1/score", json=shop.order())
        [segment] = segments(day_folder(DataPaths(data).inference_log, "w0", DAY))
        with open(segment, "ab") as file:
            file.write(segment.read_bytes()[:100])
    assert len(answers(data)) == 2
    with client(data) as service:
        service.post("/v1/score", json=shop.order())
    assert len(answers(data)) == 3


def test_damage_is_an_error_that_names_the_file(data):
    with client(data, "require") as service:
        for _ in range(2):
            service.post("/v1/score", json=shop.order())
    [segment] = segments(day_folder(DataPaths(data).inference_log, "w0", DAY))
    content = bytearray(segment.read_bytes())
    content[60] ^= 1
    segment.write_bytes(content)
    with pytest.raises(LogError, match=segment.name):
        answers(data)


def test_another_format_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(answer_records, "FORMAT", b"\xff")
    writer = DayWriter(day_folder(tmp_path, "w0", DAY))
    writer.append([])
    writer.close()
    monkeypatch.undo()
    with pytest.raises(LogError, match="w0/2011-06-15, entry 1: inference log: unknown format"):
        list(read_day(tmp_path, DAY))


_POST_FOREVER = """
import sys
from litestar.testing import TestClient
from returnml.clock import VirtualClock
from returnml.settings import ServingSettings, Settings
from returnml_tests.serving import shop
from returnml_tests.waiting import eventually
from serving.app import create_app
settings = shop.settings(sys.argv[1], "require")
with TestClient(create_app(settings, VirtualClock(shop.now_us()))) as client:
    while True:
        print(client.post("/v1/score", json=shop.order()).json()["request_id"], flush=True)
"""


def test_required_answers_survive_kill_9(data):
    acknowledged = []
    for _ in range(2):
        process = subprocess.Popen(
            [sys.executable, "-c", _POST_FOREVER, str(data)], stdout=subprocess.PIPE, text=True, env=os.environ
        )
        assert process.stdout is not None
        acknowledged += [process.stdout.readline().strip() for _ in range(20)]
        process.kill()
        acknowledged += process.stdout.read().split()
        process.wait()
    logged = [a.request_id for a in answers(data)]
    assert len(set(logged)) == len(logged)
    assert {r for r in acknowledged if len(r) == 32} <= set(logged)
    assert {a.worker for a in answers(data)} == {"w0"}
