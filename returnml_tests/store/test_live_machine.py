"""Whatever happens to the live store, in whatever order: every read equals the naive oracle over the ledger."""

import shutil
import tempfile
from pathlib import Path
from typing import ClassVar

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from returnml.features.windows import DAY_US
from returnml.ledger.event_records import decode_payload
from returnml.ledger.events import OrderPlaced, ReturnReceived
from returnml.ledger.record_log import read
from returnml.privacy.customers import AS_DELIVERED
from returnml.store.event_writer import (
    EventWriter,
    ledger_folder,
)
from returnml.store.generation_manifest import StoreError
from returnml.store.live import LiveStore
from returnml.store.lmdb.embedded import LmdbBackend
from returnml.store.reading.online import OnlineFeatures
from returnml.warehouse.publishing.generation_content import publish_generation
from returnml_tests.oracle import Moment, group_aggregates
from returnml_tests.redis_server import RedisProcess
from returnml_tests.store.live_shop import FEATURES, T0, Ledger, event

pytestmark = pytest.mark.slow

SLOT = 300_000_000
CUSTOMERS, SIZES = ("a", "b"), ("M", None)
IDS = st.one_of(st.integers(0, 5), st.integers(6, 10**6), st.integers(6, 10**6))
SMALL = st.integers(1, 3)
ORDER = st.fixed_dictionaries(
    {
        "type": st.just("order"),
        "event_id": IDS.map(lambda n: f"e{n}"),
        "order_id": st.just("o"),
        "customer_id": st.sampled_from(CUSTOMERS),
        "payment_method": st.sampled_from(["card", "invoice", "é", None]),
        "lines": st.lists(
            st.fixed_dictionaries(
                {
                    "line_id": IDS.map(lambda n: f"l{n}"),
                    "article_id": st.just("x"),
                    "size": st.sampled_from(SIZES),
                    "quantity": SMALL,
                    "unit_price_cents": st.one_of(SMALL, st.just(2**34)),
                }
            ),
            min_size=1,
            max_size=3,
        ),
    }
)
RETURN = st.fixed_dictionaries(
    {
        "type": st.just("return"),
        "event_id": IDS.map(lambda n: f"f{n}"),
        "return_id": IDS.map(lambda n: f"r{n}"),
        "line_id": st.one_of(st.none(), IDS.map(lambda n: f"l{n}")),
        "customer_id": st.one_of(st.none(), st.sampled_from(CUSTOMERS)),
        "currency": st.sampled_from(["EUR"] * 9 + ["JPY"]),
        "article_id": st.just("x"),
        "quantity": st.just(1),
        "refund_cents": st.integers(0, 3),
    }
)
EVENTS = st.lists(st.one_of(ORDER, RETURN), min_size=1, max_size=4)


def names(one):
    """What an event leaves behind, if it is accepted."""
    return {f"line {n.line_id}" for n in one.lines} if isinstance(one, OrderPlaced) else {f"return {one.return_id}"}


class HandClock:
    """May also step back."""

    def __init__(self, now):
        self.now = now

    def now_us(self):
        return self.now


class Killed(Exception):
    pass


class LiveStoreMachine(RuleBasedStateMachine):
    """On LMDB."""

    def make_backend(self):
        return LmdbBackend(self.store)

    @initialize()
    def start(self):
        self.folder = Path(tempfile.mkdtemp())
        self.store = self.folder / "store"
        self.backend = self.make_backend()
        self.clock = HandClock(T0 + DAY_US // 2)
        self.cut_off = T0
        self.answered = {}
        publish_generation(Ledger(self.store).warehouse(), [FEATURES], T0, self.backend)
        self.open()

    def open(self):
        self.writers = [EventWriter(self.make_backend(), FEATURES, self.clock, AS_DELIVERED) for _ in range(2)]
        self.online = OnlineFeatures(FEATURES, LiveStore(self.make_backend(), FEATURES))

    @rule(bodies=EVENTS, writer=st.integers(0, 1), late_us=st.sampled_from([0, 1, 5 * DAY_US]))
    def send(self, bodies, writer, late_us):
        sent = [event(b, self.clock.now - late_us) for b in bodies]
        known = {name for judged in self.ledger() if judged.verdict.is_accepted for name in names(judged.event)}
        for one, answer in zip(sent, self.writers[writer].submit(sent), strict=True):
            outcome = answer.outcome
            if answer.is_conflict:
                assert answer.is_duplicate
                assert self.taken(one.event_id) != one
                continue
            assert self.taken(one.event_id) == one
            assert outcome == self.answered.setdefault(one.event_id, outcome)
            if outcome.rule is None:
                assert not answer.is_duplicate or names(one) <= known
                known |= names(one)

    def taken(self, event_id):
        [found] = [judged.event for judged in self.ledger() if judged.event.event_id == event_id]
        return found

    @rule(writer=st.integers(0, 1), picked=st.randoms(use_true_random=False))
    def send_again(self, writer, picked):
        ledger = self.ledger()
        for again in picked.sample(ledger, min(3, len(ledger))):
            [answer] = self.writers[writer].submit([again.event])
            assert (answer.is_duplicate, answer.outcome.rule) == (True, again.verdict.rule)

    def ledger(self):
        return [decode_payload(record) for record in read(ledger_folder(self.store))]

    @rule(bodies=EVENTS, step=st.sampled_from(["write_mark", "log"]))
    def killed_while_sending(self, bodies, step):
        """After the log was flushed and before the commit, or before the log."""

        def killed(*_):
            raise Killed

        sent = [event(b, self.clock.now) for b in bodies]
        with pytest.MonkeyPatch.context() as patch:
            if step == "log":
                patch.setattr("returnml.ledger.record_log.LogWriter.append", killed)
            patch.setattr("returnml.store.event_writer.write_mark", killed)
            with pytest.raises(Killed):
                self.writers[0].submit(sent)
        self.writers[1].submit([])

    @rule(step_us=st.sampled_from([-DAY_US, -1, 1, SLOT, 3_600_000_000 - 1, DAY_US - SLOT, DAY_US, 2 * DAY_US]))
    def time_passes(self, step_us):
        self.clock.now += step_us

    @rule(off_us=st.integers(-1, 1))
    def the_next_slot_is_near(self, off_us):
        self.clock.now += -self.clock.now % SLOT + off_us

    @rule(back_us=st.sampled_from([0, 1, SLOT, DAY_US // 3, DAY_US, 3 * DAY_US]), at_midnight=st.booleans())
    def publish(self, back_us, at_midnight):
        ledger = Ledger(self.store)
        until = max([self.clock.now, *(at for at, _ in ledger.seqs)]) + 1 - back_us
        until = max(until // DAY_US * DAY_US if at_midnight else until, T0)
        publish_generation(ledger.warehouse(), [FEATURES], until, self.backend, ledger_seq=ledger.last_seq(until))

    @rule()
    def restart(self):
        for writer in self.writers:
            writer.close()
        self.open()

    @invariant()
    def equals_the_oracle(self):
        ledger = Ledger(self.store)
        assert len(set(ledger.ids)) == len(ledger.ids)
        self.orphans_are_linked_once()
        lines = [(c, s) for c in (*CUSTOMERS, "unknown") for s in SIZES]
        order = {"customer_id": [c for c, _ in lines], "size": [s for _, s in lines]}
        vectors = self.online.vectors(order, self.clock.now)
        assert vectors.seen.seq == len(ledger.ids)
        raw = vectors.raw()
        at = vectors.requested_at_us
        assert at > max((known for known, _ in ledger.seqs), default=0)
        for i, (customer, size) in enumerate(lines):
            moment = Moment(i, at, at, at, {"customer_id": customer, "size": size})
            for group in FEATURES.groups:
                expected = group_aggregates(group, ledger.streams(), moment)
                assert {name: raw[name][i] for name in expected} == expected

    def orphans_are_linked_once(self):
        """Whatever came first: a line's returns are those that it can take, each of them once, all in one currency."""
        judged = [one for one in self.ledger() if one.verdict.is_accepted]
        assert len({one.event.currency for one in judged}) <= 1
        returns = [one for one in judged if isinstance(one.event, ReturnReceived)]
        assert len({one.event.return_id for one in returns}) == len(returns)
        links = [link for one in judged for link in one.verdict.links]
        assert len({link.return_id for link in links}) == len(links)
        linked = {link.return_id: link.line_id for link in links if link.rule is None}
        linked |= {one.event.return_id: one.event.line_id for one in returns if not one.verdict.is_orphan}
        pieces = {line.line_id: line.quantity for one in judged for line in getattr(one.event, "lines", ())}
        for one in returns:
            line_id = one.event.line_id
            if one.event.return_id in linked:
                assert linked[one.event.return_id] == line_id
                pieces[line_id] -= one.event.quantity
        assert all(left >= 0 for left in pieces.values())
        for one in returns:  # nobody waits for a line that is there
            if one.event.return_id not in linked and one.event.line_id in pieces:
                [link] = [link for link in links if link.return_id == one.event.return_id]
                assert link.rule in ("return_before_order", "return_larger_than_order")

    def teardown(self):
        for writer in self.writers:
            writer.close()
        shutil.rmtree(self.folder)


class RedisMachine(LiveStoreMachine):
    """The same on a Redis server, which may also be killed and come back with what it saved last, or with nothing."""

    server: ClassVar[RedisProcess]

    def make_backend(self):
        return self.server.backend(self.store)

    @initialize()
    def start(self):
        self.server.command("FLUSHALL")
        self.server.forget_saved()
        super().start()

    @rule()
    def server_saves(self):
        assert self.server.command("SAVE") == "+OK"

    @rule()
    def server_is_killed(self):
        self.server.kill()
        with pytest.raises(StoreError, match="not available"):
            self.writers[0].submit([])
        self.server.start()
        if self.backend.published() is None:
            with pytest.raises(StoreError, match="no generation is published"):
                self.writers[0].submit([])
            self.publish(0, False)
        self.writers[1].submit([])


def test_a_key_whose_live_tiles_all_lie_before_its_windows_is_one_without_events():
    def order(n, customer):
        lines = [{"line_id": f"l{n}", "article_id": "x", "size": "M", "quantity": 1, "unit_price_cents": 1}]
        return {
            "type": "order",
            "event_id": f"e{n}",
            "order_id": "o",
            "customer_id": customer,
            "payment_method": "card",
            "lines": lines,
        }

    machine = LiveStoreMachine()
    machine.start()
    machine.send([order(0, "b")], 0, 1)
    machine.time_passes(DAY_US + 3_600_000_000)
    machine.killed_while_sending([order(1, "a")], "write_mark")
    machine.publish(3 * DAY_US, False)
    machine.equals_the_oracle()
    machine.teardown()


TestLmdb = LiveStoreMachine.TestCase
TestLmdb.settings = settings(max_examples=15, stateful_step_count=20)


class TestRedis(RedisMachine.TestCase):
    settings = settings(max_examples=15, stateful_step_count=20)

    @classmethod
    def setup_class(cls):
        RedisMachine.server = RedisProcess()

    @classmethod
    def teardown_class(cls):
        RedisMachine.server.close()
