"""Applying events: judged, stamped, logged and applied in one transaction, by one writer at a time.

The order inside a turn: apply what the log holds beyond the store (a writer was killed between the two, or the store
is older than the log), then judge and stamp, write the state, flush the log, commit. Until the commit nobody sees
anything; after the flush nothing can be lost.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import msgspec

from returnml.attributes import Attributes
from returnml.clock import Clock
from returnml.exchange.rate_file import Exchange
from returnml.features.feature_set import FeatureSet
from returnml.instants import instant
from returnml.ledger.content import content_of
from returnml.ledger.conversion import RATE_MISSING, NoRate, converted
from returnml.ledger.event_records import (
    Judged,
    decode_payload,
    encode_payload,
)
from returnml.ledger.events import AnyEvent, CustomerErased, LedgerEvent, OrderPlaced
from returnml.ledger.record_log import LogWriter, Record, read
from returnml.ledger.validator import ACCEPTED, Verdict, validate
from returnml.privacy.customers import CustomerIds
from returnml.store.backend import (
    EVENTS,
    Backend,
    Mark,
    Published,
    Transaction,
    read_mark,
    read_published,
    write_mark,
)
from returnml.store.generation_manifest import StoreError
from returnml.store.keys import encode_key
from returnml.store.live_state import LiveState
from returnml.store.naming import Naming, misnamed

logger = logging.getLogger(__name__)

T = TypeVar("T")

AT_ONCE = 5_000
"""Events of the log that are applied in one go."""


CONFLICT = "conflict"
"""The rule that refuses an event whose id was used for one of other content. It is not in the ledger."""


class Outcome(msgspec.Struct, array_like=True, frozen=True):
    """What became of an event id: the position of its event, the rule that refused it, if one did, and its content's digest.

    Attributes:
        content: see ``ledger.content``; None where it was noted by a version that did not.
    """

    seq: int
    rule: str | None = None
    field: str | None = None
    message: str | None = None
    content: bytes | None = None


@dataclass(frozen=True)
class Applied:
    """The answer to one submitted event; a duplicate has the outcome of the first, unless that was another event."""

    outcome: Outcome
    is_duplicate: bool

    @property
    def is_conflict(self) -> bool:
        """Whether its id belongs to another event: nothing of this one was taken in."""
        return self.outcome.rule == CONFLICT


_ENCODE = msgspec.msgpack.Encoder().encode
decode_outcome = msgspec.msgpack.Decoder(Outcome).decode


def ledger_folder(store_root: Path) -> Path:
    """The ledger lies beside the store that is made from it."""
    return store_root.with_name("ledger")


class _NotOpened(Exception):
    """The published generation is not open yet; nothing was done."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


class EventWriter:
    """Takes events in. For one thread; other writers may be in other threads and processes.

    Args:
        feature_set: one that the generation must serve. Its tiles are kept for all that it serves.
        customers: what the customer ids of events become; no id of the shop gets into ledger or store.
        currency: of all amounts; default: that of the first.
        exchange: the rates into it; default: amounts in other currencies are refused.
        attributes: the shop's own fields that orders may carry.

    Raises:
        OSError: where the ledger's folder cannot be written.
    """

    def __init__(
        self,
        backend: Backend,
        feature_set: FeatureSet,
        clock: Clock,
        customers: CustomerIds,
        currency: str | None = None,
        exchange: Exchange | None = None,
        attributes: Attributes = (),
    ) -> None:
        self._currency = currency
        self._exchange = exchange
        self._attributes = attributes
        self._backend = backend
        self._feature_set = feature_set
        self._clock = clock
        self._customers = customers
        self._log = LogWriter(ledger_folder(backend.root))
        self._generation: Published | None = None

    def submit(self, events: Sequence[AnyEvent]) -> list[Applied]:
        """Take events in, in the given order. After the return each of them is durable, and applied once.

        Raises:
            StoreError: where there is no usable generation, or the store cannot be written; nothing is acknowledged.
            LogError, OSError: where the ledger is damaged or the disk full; nothing is acknowledged.
            KeyringError: where new customers cannot be registered; nothing is acknowledged.
            RatesError: where the recorded rates cannot be read; nothing is acknowledged.
        """
        return self._with_generation(lambda: self._submit(events))

    def _submit(self, events: Sequence[AnyEvent]) -> list[Applied]:
        with self._log.turn():
            while True:
                with self._backend.writing() as transaction:
                    generation = self._published(transaction)
                    state = LiveState(transaction, generation, self._currency)
                    mark, is_at_end = self._catch_up(transaction, state)
                    if is_at_end:
                        return self._take_in(transaction, state, mark, generation.cut_off_us, events)

    def _take_in(
        self, transaction: Transaction, state: LiveState, mark: Mark, cut_off_us: int, events: Sequence[AnyEvent]
    ) -> list[Applied]:
        _prepare(transaction, state, events)
        records: list[Record] = []
        answers: list[Applied] = []
        seq, known_at_us = mark.seq, mark.known_at_us
        new = [event for event in events if transaction.get(EVENTS, event_key(event)) is None]
        named = Naming(self._customers, new, state.owner)
        for event in events:
            before = transaction.get(EVENTS, event_key(event))
            if before is not None:
                answers.append(Applied(self._repeated(decode_outcome(before), event, state), True))
                continue
            seq += 1
            known_at_us = max(self._clock.now_us(), known_at_us + 1, cut_off_us)
            judged = self._judge(event, named(event), state, known_at_us)
            records.append(Record(seq, known_at_us, encode_payload(judged)))
            answers.append(Applied(self._take(transaction, state, records[-1], judged), False))
        position = mark.position
        if records:
            state.flush()
            position = self._log.append(records, position)
        write_mark(transaction, Mark(seq, known_at_us, position))
        return answers

    def _judge(self, event: AnyEvent, own: AnyEvent, state: LiveState, known_at_us: int) -> Judged:
        refusal, conversion = misnamed(event, self._customers), None
        if refusal is None and self._exchange is not None:
            try:
                own, conversion = converted(own, self._exchange.into, self._exchange.rates(), known_at_us)
            except NoRate as error:
                refusal = Verdict(RATE_MISSING, "currency", str(error))
        return Judged(own, refusal or validate(own, state, known_at_us, self._attributes), conversion)

    def erase(self, customer: str) -> int:
        """Write into the ledger that a customer was forgotten, and drop their live tiles; once, however often it is called.

        Before the first generation there are no tiles. The writer then writes the ledger alone; publishing reads it from there.

        Args:
            customer: the pseudonym.

        Returns:
            ``seq`` of the erasure.

        Raises:
            StoreError, LogError, OSError: as ``submit``.
        """
        return self._with_generation(lambda: self._erase(customer))

    def _erase(self, customer: str) -> int:
        with self._log.turn():
            while True:
                with self._backend.writing() as transaction:
                    if read_published(transaction) is None:
                        mark = note_tail(transaction, self._log, read_mark(transaction))
                        return self._take_erasure(transaction, None, mark, customer)
                    state = LiveState(transaction, self._published(transaction))
                    mark, is_at_end = self._catch_up(transaction, state)
                    if is_at_end:
                        return self._take_erasure(transaction, state, mark, customer)

    def _take_erasure(self, transaction: Transaction, state: LiveState | None, mark: Mark, customer: str) -> int:
        now_us = self._clock.now_us()
        event = CustomerErased(event_id=f"erasure of {customer}", occurred_at=instant(now_us), customer_id=customer)
        before = transaction.get(EVENTS, event_key(event))
        if before is not None:
            return decode_outcome(before).seq
        judged = Judged(event, ACCEPTED)
        earliest = 0 if state is None else state.generation.cut_off_us
        record = Record(mark.seq + 1, max(now_us, mark.known_at_us + 1, earliest), encode_payload(judged))
        if state is None:
            _note(transaction, record.seq, judged)
            self._log.append([record], mark.position)
        else:
            self._take(transaction, state, record, judged)
            position = self._log.append([record], mark.position)
            write_mark(transaction, Mark(record.seq, record.known_at_us, position))
        return record.seq

    def close(self) -> None:
        self._log.close()

    def _published(self, transaction: Transaction) -> Published:
        name = read_published(transaction)
        if name is None:
            raise StoreError(f"{self._backend.root}: no generation is published")
        if self._generation is None or self._generation.name != name:
            raise _NotOpened(name)
        return self._generation

    def _with_generation(self, act: Callable[[], T]) -> T:
        """Act, with the published generation open: a verdict is for ever, and none is given by a torn one.

        Every byte of it is read, which takes long: not in one's turn, so that other writers go on meanwhile.
        """
        while True:
            try:
                return act()
            except _NotOpened as found:
                self._generation = self._backend.open(found.name, self._feature_set)

    def _catch_up(self, transaction: Transaction, state: LiveState) -> tuple[Mark, bool]:
        """Apply what the log holds beyond the store; returns the new mark, and whether that was all."""
        mark = read_mark(transaction)
        tail, position = self._log.tail(mark.position, AT_ONCE)
        if not tail:
            return Mark(mark.seq, mark.known_at_us, position), True
        judged = [decode_payload(record) for record in tail]
        _prepare(transaction, state, [j.event for j in judged])
        for record, one in zip(tail, judged, strict=True):
            self._take(transaction, state, record, one)
        state.flush()
        mark = Mark(tail[-1].seq, tail[-1].known_at_us, position)
        write_mark(transaction, mark)
        return mark, len(tail) < AT_ONCE

    def _repeated(self, before: Outcome, event: AnyEvent, state: LiveState) -> Outcome:
        """What is answered to an event whose id was taken in before."""
        if before.content is None:
            is_same = before.rule is not None or state.has(event)
        else:
            is_same = before.content == content_of(event) and self._has_its_customer(event, state)
        if is_same:
            return before
        logger.warning("event id %r was sent again with other content: event %d stands", event.event_id, before.seq)
        message = f"event {before.seq} has this id and other content: it stands, and nothing of this one is taken in"
        return Outcome(before.seq, CONFLICT, "event_id", message)

    def _has_its_customer(self, event: AnyEvent, state: LiveState) -> bool:
        """Whether an order names the customer that its lines lie under; of somebody without a key, or forgotten, who can tell."""
        if not isinstance(event, OrderPlaced):
            return True
        line_id = event.lines[0].line_id
        name, owner = self._customers.find(event.customer_id), state.owner(line_id)
        return name in (None, owner) or owner is None or self._customers.forgotten_line(line_id) is not None

    def _take(self, transaction: Transaction, state: LiveState, record: Record, judged: Judged) -> Outcome:
        """Note the event's id and let it take effect if it was accepted."""
        outcome = _note(transaction, record.seq, judged)
        if judged.verdict.is_accepted:
            apply_judged(state, self._log.folder, judged, record.known_at_us)
        return outcome


def _prepare(transaction: Transaction, state: LiveState, events: Sequence[LedgerEvent]) -> None:
    if transaction.is_remote:
        transaction.load(EVENTS, [event_key(event) for event in events])
        state.prepare(events)


def apply_judged(state: LiveState, ledger: Path, judged: Judged, known_at_us: int) -> None:
    """Let an accepted event, or an erasure, take effect."""
    if isinstance(judged.event, CustomerErased):
        customer = judged.event.customer_id
        state.erase(customer, events_about(customer, ledger, state.generation.manifest.ledger_seq))
    else:
        state.apply(judged.event, judged.verdict, known_at_us)


def events_about(customer: str, ledger: Path, after_seq: int = 0) -> Iterator[tuple[LedgerEvent, Verdict]]:
    """The accepted events that name a customer. Naming made every return of a known line name its customer."""
    name = customer.encode()
    for record in read(ledger, after_seq):
        if name in record.payload:
            judged = decode_payload(record)
            if judged.verdict.is_accepted:
                yield judged.event, judged.verdict


def _note(transaction: Transaction, seq: int, judged: Judged) -> Outcome:
    outcome = outcome_of(seq, judged)
    transaction.put(EVENTS, event_key(judged.event), _ENCODE(outcome))
    return outcome


def outcome_of(seq: int, judged: Judged) -> Outcome:
    """What is answered to an event that was judged so."""
    verdict = judged.verdict
    return Outcome(seq, verdict.rule, verdict.field, verdict.message, content_of(judged.sent))


def event_key(event: LedgerEvent) -> bytes:
    """Its key in ``EVENTS``. Nobody can take the place of an erasure by sending an event with its id."""
    return encode_key(int(isinstance(event, CustomerErased)), (event.event_id,))


def note_tail(transaction: Transaction, log: LogWriter, mark: Mark) -> Mark:
    """Note the ids of the events that the log holds beyond ``mark``; returns the mark after them."""
    if mark == Mark():
        transaction.clear(EVENTS)
    while True:
        tail, position = log.tail(mark.position, AT_ONCE)
        for record in tail:
            _note(transaction, record.seq, decode_payload(record))
        mark = Mark(tail[-1].seq, tail[-1].known_at_us, position) if tail else Mark(mark.seq, mark.known_at_us, position)
        if len(tail) < AT_ONCE:
            return mark
