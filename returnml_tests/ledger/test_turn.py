"""A writer's turn: one at a time, and none that a stopped process keeps. Real processes, really stopped."""

import os
import signal
import subprocess
import sys
import threading
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from returnml.ledger import turn
from returnml.ledger.record_log import LogWriter, read
from returnml.ledger.turn import Holder, Turn, read_holder, this_process
from returnml.store.event_writer import ledger_folder
from returnml.store.proving.verification import verify_store
from returnml.warehouse.publishing.generation_content import publish_generation
from returnml_tests.redis_server import RedisProcess
from returnml_tests.store.live_shop import FEATURES, T0, Ledger
from returnml_tests.waiting import PATIENCE_SECONDS, eventually

ROOT = Path(__file__).resolve().parents[2]
HOLD = """
import sys
from pathlib import Path
from returnml.ledger.turn import Turn
with Turn(Path(sys.argv[1])).taken():
    print("taken", flush=True)
    sys.stdin.readline()
"""


@contextmanager
def process(code, *arguments):
    started = subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield started
    finally:
        started.kill()
        started.communicate(timeout=PATIENCE_SECONDS)


def wait_until_stopped(started):
    _, status = os.waitpid(started.pid, os.WUNTRACED)
    assert os.WIFSTOPPED(status), status


@pytest.fixture
def soon(monkeypatch):
    monkeypatch.setattr(turn, "STOPPED_SECONDS", 0.2)


def test_a_stopped_holder_is_ended_and_the_turn_goes_on(tmp_path, soon):
    with process(HOLD, tmp_path / "lock") as holder:
        assert holder.stdout.readline() == "taken\n"
        holder.send_signal(signal.SIGSTOP)
        wait_until_stopped(holder)
        with Turn(tmp_path / "lock").taken():
            assert read_holder(tmp_path / "lock") == this_process()
        assert holder.wait(PATIENCE_SECONDS) == -signal.SIGKILL
    assert read_holder(tmp_path / "lock") is None


def test_a_holder_that_runs_is_waited_for_however_slow_it_is(tmp_path, soon, monkeypatch):
    looks, ended = [], []
    monkeypatch.setattr(turn, "STOPPED_SECONDS", 0.0)
    monkeypatch.setattr(turn, "_LOOK_SECONDS", 0.0)
    seen = turn.read_holder
    monkeypatch.setattr(turn, "read_holder", lambda path: looks.append(path) or seen(path))
    monkeypatch.setattr(Holder, "end", lambda holder: ended.append(holder))
    with process(HOLD, tmp_path / "lock") as holder:
        assert holder.stdout.readline() == "taken\n"
        taken = threading.Event()

        def wait():
            with Turn(tmp_path / "lock").taken():
                taken.set()

        waiting = threading.Thread(target=wait)
        waiting.start()
        eventually(lambda: len(looks) > 50)
        assert (taken.is_set(), ended, holder.poll()) == (False, [], None)
        holder.communicate("\n", timeout=PATIENCE_SECONDS)
        waiting.join(PATIENCE_SECONDS)
    assert (taken.is_set(), holder.returncode) == (True, 0)


def test_a_holder_that_went_on_in_time_is_left_alone(tmp_path, monkeypatch):
    """Seen stopped, then running, then stopped: only the last counts."""
    monkeypatch.setattr(turn, "_LOOK_SECONDS", 0.0)
    now, ended, states = [0.0], [], iter([True, True, False, True, True, True])
    monkeypatch.setattr(turn.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(Holder, "is_stopped", property(lambda _: next(states)))
    monkeypatch.setattr(Holder, "end", lambda _: ended.append(now[0]))
    monkeypatch.setattr(turn, "read_holder", lambda _: Holder(1, 2, "n"))
    watch = turn._Watch(tmp_path / "lock")
    for at in (0.0, 2.9, 5.0, 6.0, 8.9, 9.0):
        now[0] = at
        watch.look()
    assert ended == [9.0]


def test_who_is_somebody_else_by_now_or_elsewhere_is_nobody_to_be_ended(tmp_path):
    with process(HOLD, tmp_path / "lock") as holder:
        assert holder.stdout.readline() == "taken\n"
        found = read_holder(tmp_path / "lock")
        assert found.pid == holder.pid
        holder.send_signal(signal.SIGSTOP)
        wait_until_stopped(holder)
        assert found.is_stopped
        others = [Holder(found.pid, found.started + 1, found.namespace), Holder(found.pid, found.started, "pid:[1]")]
        for other in others:
            assert not other.is_stopped
            other.end()
        holder.send_signal(signal.SIGCONT)
        holder.communicate("\n", timeout=PATIENCE_SECONDS)
        assert holder.returncode == 0
        found.end()


STOPPED_WRITER = """
import os, signal, sys
from pathlib import Path
import returnml.store.event_writer as writing
from returnml.ledger.record_log import LogWriter
from returnml.privacy.customers import AS_DELIVERED
from returnml.clock import VirtualClock
from returnml_tests.store.live_shop import FEATURES, T0
from returnml_tests.ledger.test_turn import backend_at, order
where, store, url = sys.argv[1:]
append = LogWriter.append
def stop(*_):
    os.kill(os.getpid(), signal.SIGSTOP)
def before(*arguments):
    stop()
    return append(*arguments)
def after(*arguments):
    position = append(*arguments)
    stop()
    return position
writer = writing.EventWriter(backend_at(store, url), FEATURES, VirtualClock(T0), AS_DELIVERED)
writer.submit([order(1)])
LogWriter.append = before if where == "before the log" else after
writer.submit([order(2)])
print("acknowledged", flush=True)
"""


def order(n):
    from returnml_tests.store.live_shop import event

    line = {"line_id": f"l{n}", "article_id": "x", "quantity": 1, "unit_price_cents": 900}
    body = {"type": "order", "event_id": f"e{n}", "order_id": f"o{n}", "customer_id": "c", "lines": [line]}
    return event(body, T0)


def backend_at(store, url):
    from returnml.store.lmdb.embedded import LmdbBackend
    from returnml.store.redis.remote import RedisBackend

    return RedisBackend(Path(store), url, "{returnml}:") if url else LmdbBackend(Path(store))


@pytest.mark.parametrize("where", ["before the log", "after the log"])
@pytest.mark.parametrize("kind", ["lmdb", "redis"])
def test_a_writer_stopped_in_its_turn_holds_up_nobody_and_changes_nothing_later(tmp_path, soon, where, kind):
    from returnml.clock import VirtualClock
    from returnml.privacy.customers import AS_DELIVERED
    from returnml.store.event_writer import EventWriter

    server = RedisProcess() if kind == "redis" else None
    try:
        store, url = tmp_path / "store", server.settings.redis_url if server else ""
        backend = backend_at(store, url)
        publish_generation(Ledger(store).warehouse(), [FEATURES], T0, backend)
        with process(STOPPED_WRITER, where, store, url) as stopped:
            wait_until_stopped(stopped)
            with closing(EventWriter(backend_at(store, url), FEATURES, VirtualClock(T0), AS_DELIVERED)) as writer:
                [taken] = writer.submit([order(3)])
                stopped.send_signal(signal.SIGCONT)
                out, _ = stopped.communicate(timeout=PATIENCE_SECONDS)
                assert (stopped.returncode, out) == (-signal.SIGKILL, "")
                [again] = writer.submit([order(2)])
        was_logged = where == "after the log"
        assert (taken.outcome.seq, again.is_duplicate) == (3 if was_logged else 2, was_logged)
        assert [record.seq for record in read(ledger_folder(store))] == [1, 2, 3]
        assert verify_store(backend, FEATURES).problems == []
    finally:
        if server is not None:
            server.close()


def test_a_full_disk_takes_no_turn_away(tmp_path):
    """Whose turn it is is written in place."""
    log = LogWriter(tmp_path)
    with log.turn():
        size = (tmp_path / ".writer.lock").stat().st_size
    for _ in range(3):
        with log.turn():
            assert (tmp_path / ".writer.lock").stat().st_size == size
