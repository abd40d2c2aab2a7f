"""``EventConsumer`` while things go wrong around it: the store, the disk, the brokers, other members, ``kill -9``."""

import errno
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from contextlib import closing
from pathlib import Path

import msgspec
import pytest
from confluent_kafka import Consumer

from returnml.ledger.record_log import read
from returnml.settings import DataPaths
from returnml.store.inlet import EventInlet
from returnml.warehouse.publishing.generation_content import publish_generation
from returnml_tests.redis_server import RedisProcess
from returnml_tests.roots import rooted
from returnml_tests.serving import shop
from returnml_tests.streaming.mock_kafka import FETCH, OFFSET_COMMIT
from returnml_tests.streaming.stream_shop import GROUP, QUICK, TOPIC, consume, consumer, ids, placed, settings
from returnml_tests.waiting import PATIENCE_SECONDS, eventually

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]


class Running:
    """A consumer in a thread; ``told`` is how many messages it has said to be through with."""

    def __init__(self, chosen, before_commit=None):
        self.told = 0
        self.consumer = consumer(chosen, self._changed)
        if before_commit is not None:
            commit = self.consumer._commit
            self.consumer._commit = lambda: (before_commit(), commit())
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self.consumer.run, args=(self._stop.is_set,))
        self._thread.start()

    def _changed(self, taken):
        self.told = taken.messages

    @property
    def taken(self):
        return self.consumer.taken

    def stop(self):
        self._stop.set()
        self._thread.join(PATIENCE_SECONDS)
        assert not self._thread.is_alive()


@pytest.fixture
def running():
    started = []

    def start(chosen):
        started.append(Running(chosen))
        return started[-1]

    yield start
    for one in started:
        one.stop()


def test_a_store_that_is_away_is_waited_for(kafka, tmp_path, running):
    data = tmp_path / "data"
    kafka.send(TOPIC, [placed(n) for n in range(5)])
    one = running(settings(data, kafka.servers))
    eventually(lambda: one.taken.waits >= 2)
    assert "no generation is published" in one.taken.trouble
    assert (one.taken.messages, kafka.committed(GROUP, TOPIC)) == (0, -1001)
    kafka.send(TOPIC, [placed(5)])
    shop.publish(data)
    eventually(lambda: one.taken.messages == 6)
    assert one.taken.trouble is None
    assert ids(data) == [f"e{n}" for n in range(6)]
    ledger = DataPaths(data).ledger
    ledger.rename(data / "elsewhere")
    kafka.send(TOPIC, [placed(6)])
    eventually(lambda: one.taken.trouble)
    assert kafka.committed(GROUP, TOPIC) == 6
    if ledger.exists():
        (ledger / ".writer.lock").unlink()
        ledger.rmdir()
    (data / "elsewhere").rename(ledger)
    eventually(lambda: one.taken.messages == 7)
    assert ids(data) == [f"e{n}" for n in range(7)]
    eventually(lambda: kafka.committed(GROUP, TOPIC) == 7)


def test_a_full_disk_is_waited_for(kafka, data, monkeypatch):
    fsync, failures, seen = os.fsync, [3], []

    def full(descriptor):
        if failures[0]:
            failures[0] -= 1
            seen.append(kafka.committed(GROUP, TOPIC))
            raise OSError(errno.ENOSPC, "No space left on device")
        fsync(descriptor)

    monkeypatch.setattr("returnml.ledger.record_log.os.fsync", full)
    monkeypatch.setattr("returnml.streaming.consumer.FIRST_WAIT_SECONDS", 0.02)
    kafka.send(TOPIC, [placed(1), b"{", placed(2)])
    done = consume(settings(data, kafka.servers))
    assert (done.taken.waits, done.taken.messages, seen) == (3, 3, [-1001] * 3)
    assert [r.seq for r in read(DataPaths(data).ledger)] == [1, 2]


def test_told_to_stop_while_the_store_is_away_it_stops_and_commits_nothing(kafka, tmp_path, running):
    kafka.send(TOPIC, [placed(1)])
    one = running(settings(tmp_path / "data", kafka.servers))
    eventually(lambda: one.taken.waits)
    one.stop()
    assert kafka.committed(GROUP, TOPIC) == -1001


def test_brokers_that_go_down_and_come_back(kafka, data, running):
    kafka.send(TOPIC, [placed(1)])
    one = running(settings(data, kafka.servers))
    eventually(lambda: one.told == 1)
    kafka.take_down()
    eventually(lambda: one.taken.trouble)
    kafka.bring_up()
    kafka.send(TOPIC, [placed(2)])
    eventually(lambda: one.taken.messages >= 2)
    eventually(lambda: kafka.committed(GROUP, TOPIC) >= 2)
    # What an old connection says late is taken back by the next message.
    eventually(lambda: kafka.send(TOPIC, [placed(2)]) or one.taken.trouble is None)


def test_brokers_that_leave_in_the_middle_of_a_commit_hold_up_no_stop(kafka, data, monkeypatch):
    """Without a bound a commit, and leaving the group, wait until the session ends: here longer than any test waits."""
    monkeypatch.setattr("returnml.streaming.consumer.COMMIT_SECONDS", 0.5)
    monkeypatch.setattr("returnml.streaming.consumer.CLOSE_SECONDS", 1.0)
    session = QUICK | {"session.timeout.ms": 1_500_000, "max.poll.interval.ms": 1_500_000}
    chosen = settings(data, kafka.servers, options=session)
    kafka.send(TOPIC, [placed(1)])
    one = Running(chosen, before_commit=kafka.take_down)
    eventually(lambda: one.taken.trouble)
    one.stop()
    assert one.taken.trouble.startswith("the brokers did not let us go within 1 s")
    assert ids(data) == ["e1"]
    kafka.bring_up()


def test_errors_of_the_brokers_lose_nothing(kafka, data):
    kafka.send(TOPIC, [placed(n) for n in range(20)])
    kafka.fail(FETCH, 6, 5, 7)  # not the leader, no leader, timed out
    kafka.fail(OFFSET_COMMIT, 14, 15, 16)  # coordinator loading, away, not the coordinator
    done = consume(settings(data, kafka.servers, batch_size=5))
    assert ids(data) == [f"e{n}" for n in range(20)]
    assert done.taken.messages >= 20
    assert kafka.committed(GROUP, TOPIC) == 20


@pytest.mark.parametrize("strategy", ["range", "cooperative-sticky"])
def test_members_that_come_and_go_lose_nothing_and_apply_nothing_twice(kafka, data, running, strategy):
    kafka.create_topic("many", 4)
    chosen = settings(
        data, kafka.servers, topic="many", batch_size=10, options=QUICK | {"partition.assignment.strategy": strategy}
    )
    sent = 0

    def send(count):
        nonlocal sent
        for number in range(sent, sent + count):
            kafka.send("many", [placed(number)], number % 4)
        sent += count

    send(80)
    one = running(chosen)
    eventually(lambda: one.taken.messages)
    two = running(chosen)
    eventually(lambda: send(4) or two.taken.messages)
    eventually(lambda: len(ids(data)) == sent)
    one.stop()
    send(80)
    eventually(lambda: len(ids(data)) == sent)
    eventually(lambda: sum(kafka.committed(GROUP, "many", n) for n in range(4)) == sent)
    assert sorted(ids(data)) == sorted(f"e{n}" for n in range(sent))
    assert one.taken.accepted + two.taken.accepted == sent
    for partition in range(4):
        of_partition = [i for i in ids(data) if int(i[1:]) % 4 == partition]
        assert of_partition == sorted(of_partition, key=lambda i: int(i[1:]))


KILLED_BEFORE_COMMIT = """
import os, signal
from returnml.streaming.consumer import EventConsumer
commit, batches = EventConsumer._commit, 0
def killed(self):
    global batches
    batches += 1
    os.kill(os.getpid(), signal.SIGKILL) if batches == 3 else commit(self)
EventConsumer._commit = killed
from returnml.cli import main
main()
"""


def start(data, kafka, *code, until_end=True, **variables):
    command = [sys.executable, *(code or ("-m", "returnml.cli")), "consume", "--data", str(data), "--json"]
    environment = os.environ | {
        "RETURNML_KAFKA__BOOTSTRAP_SERVERS": kafka.servers,
        "RETURNML_KAFKA__TOPIC": TOPIC,
        "RETURNML_KAFKA__GROUP_ID": GROUP,
        "RETURNML_KAFKA__BATCH_SIZE": "10",
        "RETURNML_PRIVACY__CUSTOMER_IDS": "as_delivered",
        "RETURNML_KAFKA__OPTIONS__SESSION_TIMEOUT_MS": "4000",
        "RETURNML_KAFKA__OPTIONS__HEARTBEAT_INTERVAL_MS": "100",
        **variables,
    }
    return subprocess.Popen(
        command + ["--until-end"] * until_end,
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_a_kill_between_applying_and_committing(kafka, data):
    kafka.send(TOPIC, [placed(n) for n in range(50)])
    killed = start(data, kafka, "-c", KILLED_BEFORE_COMMIT)
    assert killed.wait(PATIENCE_SECONDS) == -signal.SIGKILL
    committed = max(kafka.committed(GROUP, TOPIC), 0)
    assert committed in (0, 10, 20)  # as the brokers had heard of the two commits before
    assert ids(data) == [f"e{n}" for n in range(30)]
    out, _ = start(data, kafka).communicate(timeout=PATIENCE_SECONDS)
    told = json.loads(out)
    assert (told["messages"], told["accepted"], told["duplicates"]) == (50 - committed, 20, 30 - committed)
    assert ids(data) == [f"e{n}" for n in range(50)]
    assert kafka.committed(GROUP, TOPIC) == 50


def test_kills_at_random_moments(kafka, data):
    """However fast either side is: it is fed until it is killed, and what is left after the last kill may be nothing."""
    chance, sent = random.Random(5), 0
    for _ in range(3):
        before = len(ids(data))
        process, moment = start(data, kafka, until_end=False), None
        longest = time.monotonic() + PATIENCE_SECONDS
        while moment is None or time.monotonic() < moment:
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < longest, "it takes nothing in"
            applied = len(ids(data))
            if moment is None and applied > before:
                moment = time.monotonic() + chance.random() * 0.1
            more = max(0, 500 - (sent - applied))
            kafka.send(TOPIC, [placed(n) for n in range(sent, sent + more)])
            sent += more
        process.kill()
        process.communicate(timeout=PATIENCE_SECONDS)
        assert kafka.committed(GROUP, TOPIC) <= len(ids(data)) <= sent
    applied = len(ids(data))
    out, error = start(data, kafka).communicate(timeout=PATIENCE_SECONDS)
    assert ids(data) == [f"e{n}" for n in range(sent)], error
    told = json.loads(out)
    assert (told["accepted"], told["messages"]) == (sent - applied, sent - applied + told["duplicates"])
    assert kafka.committed(GROUP, TOPIC) == sent


def test_sigterm_ends_it_cleanly(kafka, data):
    kafka.send(TOPIC, [placed(n) for n in range(5)])
    process = start(data, kafka, until_end=False)
    eventually(lambda: len(ids(data)) == 5)
    process.send_signal(signal.SIGTERM)
    out, error = process.communicate(timeout=PATIENCE_SECONDS)
    assert (process.returncode, json.loads(out)["messages"]) == (0, 5), error
    assert kafka.committed(GROUP, TOPIC) == 5


STRATEGY = "partition.assignment.strategy"


def a_member_that_is_stuck(kafka, tmp_path, topic, strategy):
    """It has the topic, and takes nothing in: its store is not there."""
    variable = {f"RETURNML_KAFKA__OPTIONS__{STRATEGY.upper().replace('.', '_')}": strategy, "RETURNML_KAFKA__TOPIC": topic}
    stuck = start(rooted(tmp_path / "no_store"), kafka, **variable)
    eventually(lambda: "no generation is published" in stuck.stderr.readline())
    return stuck


@pytest.mark.parametrize(("partitions", "strategy"), [(2, "range"), (1, "cooperative-sticky")])
def test_the_end_is_that_of_the_group_though_a_member_is_killed(kafka, data, tmp_path, partitions, strategy):
    """A member is not at the end while another one's partition is not read: once that one is dead, it is its own."""
    kafka.create_topic("many", partitions)
    for partition in range(partitions):
        kafka.send("many", [placed(30 * partition + n) for n in range(30)], partition)
    stuck = a_member_that_is_stuck(kafka, tmp_path, "many", strategy)
    beside, ended = consumer(settings(data, kafka.servers, topic="many", options=QUICK | {STRATEGY: strategy})), []
    thread = threading.Thread(target=lambda: ended.append(beside.run(lambda: False, until_end=True)))
    thread.start()
    eventually(lambda: (beside.taken.trouble or "").startswith("waiting for the group: partitions "))
    assert (beside.taken.messages, ended) == (30 * (partitions - 1), [])
    stuck.kill()
    stuck.communicate(timeout=PATIENCE_SECONDS)
    thread.join(PATIENCE_SECONDS)
    assert ended == [True]
    assert (beside.taken.accepted, beside.taken.trouble) == (30 * partitions, None)
    assert [kafka.committed(GROUP, "many", partition) for partition in range(partitions)] == [30] * partitions


def test_until_end_stopped_before_it_says_so_and_fails(kafka, data, tmp_path):
    kafka.create_topic("many", 2)
    for partition in range(2):
        kafka.send("many", [placed(30 * partition + n) for n in range(3)], partition)
    stuck = a_member_that_is_stuck(kafka, tmp_path, "many", "range")
    beside = start(data, kafka, RETURNML_KAFKA__TOPIC="many")
    eventually(lambda: "waiting for the group" in beside.stderr.readline())
    beside.send_signal(signal.SIGTERM)
    out, error = beside.communicate(timeout=PATIENCE_SECONDS)
    assert (beside.returncode, json.loads(out)["messages"]) == (1, 3)
    assert "stopped before the end of many: waiting for the group: partitions " in error
    stuck.kill()
    stuck.communicate(timeout=PATIENCE_SECONDS)


def be_given_the_partition(kafka):
    """Be a member of the group until nobody else has it, then leave."""
    other = Consumer({"bootstrap.servers": kafka.servers, "group.id": GROUP, "enable.auto.commit": False, **QUICK})
    other.subscribe([TOPIC])
    eventually(lambda: other.poll(0.1) or other.assignment())
    other.close()


def test_a_writer_that_is_slower_than_the_group_allows_loses_nothing(kafka, data, running, monkeypatch):
    """It is put out of the group while it writes, joins again, and what it wrote comes again (at least that)."""
    submit, slow = EventInlet.submit, [True]

    def slowly(self, events):
        if slow:
            slow.clear()
            be_given_the_partition(kafka)
        return submit(self, events)

    monkeypatch.setattr("returnml.store.inlet.EventInlet.submit", slowly)
    kafka.send(TOPIC, [placed(n) for n in range(6)])
    options = QUICK | {"session.timeout.ms": 2_000, "max.poll.interval.ms": 2_000}
    one = running(settings(data, kafka.servers, batch_size=3, options=options))
    eventually(lambda: kafka.committed(GROUP, TOPIC) == 6)
    assert ids(data) == [f"e{n}" for n in range(6)]
    assert one.taken.accepted == 6
    assert one.taken.duplicates >= 3


def test_a_redis_that_goes_away_is_waited_for(kafka, tmp_path, running):
    with closing(RedisProcess()) as server:
        store = DataPaths(rooted(tmp_path / "data")).store
        publish_generation(shop.warehouse(), shop.FEATURE_SETS, shop.CUT_OFF_US, server.backend(store))
        chosen = msgspec.structs.replace(settings(tmp_path / "data", kafka.servers), store=server.settings)
        kafka.send(TOPIC, [placed(1)])
        one = running(chosen)
        eventually(lambda: one.taken.messages == 1)
        server.command("SAVE")
        server.kill()
        kafka.send(TOPIC, [placed(2)])
        eventually(lambda: one.taken.waits)
        assert kafka.committed(GROUP, TOPIC) == 1
        server.start()
        eventually(lambda: one.taken.messages == 2)
        eventually(lambda: kafka.committed(GROUP, TOPIC) == 2)
        assert ids(tmp_path / "data") == ["e1", "e2"]
