"""Applying events: judged, stamped, logged and applied in one transaction, by one writer at a time.

The order inside a turn: apply what the log holds beyond the store (a writer was killed between the two, or the store
is older than the log), then judge and stamp, write the state, flush the log, commit. Until the commit nobody sees
anything; after the flush nothing can be lost.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import msgspec

from returnml.features.declarations import FeatureSet
from returnml.ledger.clock import Clock
from returnml.ledger.events import AnyEvent
from returnml.ledger.log import LogWriter, Record, read
from returnml.ledger.records import Judged, decode_payload, encode_payload
from returnml.ledger.validator import validate
from returnml.store.backend import (
    EVENTS,
    STATE,
    Backend,
    Mark,
    Published,
    Transaction,
    read_mark,
    read_published,
    write_mark,
    write_published,
)
from returnml.store.keys import encode_key
from returnml.store.manifest import StoreError
from returnml.store.state import LiveState

_AT_ONCE = 5_000
"""Events of the log that are applied in one go."""


class Outcome(msgspec.Struct, array_like=True, frozen=True):
    """What became of an event id: the position of its event, and the rule that refused it, if one did."""

    seq: int
    rule: str | None = None
    field: str | None = None
    message: str | None = None


@dataclass(frozen=True)
class Applied:
    """The answer to one submitted event; a duplicate has the outcome of the first."""

    outcome: Outcome
    is_duplicate: bool


_ENCODE = msgspec.msgpack.Encoder().encode
_DECODE = msgspec.msgpack.Decoder(Outcome).decode


def ledger_folder(store_root: Path) -> Path:
    """The ledger lies beside the store that is made from it."""
    return store_root.with_name("ledger")


class EventWriter:
    """Takes events in. For one thread; other writers may be in other threads and processes.

    Args:
        feature_set: one that the generation must serve. Its tiles are kept for all that it serves.

    Raises:
        OSError: where the ledger's folder cannot be written.
    """

    def __init__(self, backend: Backend, feature_set: FeatureSet, clock: Clock) -> None:
        self._backend = backend
        self._feature_set = feature_set
        self._clock = clock
        self._log = LogWriter(ledger_folder(backend.root))
        self._generation: Published | None = None

    def submit(self, events: Sequence[AnyEvent]) -> list[Applied]:
        """Take events in, in the given order. After the return each of them is durable, and applied once.

        Raises:
            StoreError: where there is no usable generation, or the store cannot be written; nothing is acknowledged.
            LogError, OSError: where the ledger is damaged or the disk full; nothing is acknowledged.
        """
        with self._log.turn():
            while True:
                with self._backend.writing() as transaction:
                    generation = self._published(transaction)
                    state = LiveState(transaction, generation)
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
        for event in events:
            before = transaction.get(EVENTS, _event_key(event))
            if before is not None:
                answers.append(Applied(_DECODE(before), True))
                continue
            seq += 1
            known_at_us = max(self._clock.now_us(), known_at_us + 1, cut_off_us)
            judged = Judged(event, validate(event, state, known_at_us))
            records.append(Record(seq, known_at_us, encode_payload(judged)))
            answers.append(Applied(_take(transaction, state, seq, known_at_us, judged), False))
        position = mark.position
        if records:
            state.flush()
            position = self._log.append(records, position)
        write_mark(transaction, Mark(seq, known_at_us, position))
        return answers

    def close(self) -> None:
        self._log.close()

    def _published(self, transaction: Transaction) -> Published:
        name = read_published(transaction)
        if name is None:
            raise StoreError(f"{self._backend.root}: no generation is published")
        if self._generation is None or self._generation.name != name:
            self._generation = self._backend.open(name, self._feature_set, is_verified=False)
        return self._generation

    def _catch_up(self, transaction: Transaction, state: LiveState) -> tuple[Mark, bool]:
        """Apply what the log holds beyond the store; returns the new mark, and whether that was all."""
        mark = read_mark(transaction)
        tail, position = self._log.tail(mark.position, _AT_ONCE)
        if not tail:
            return Mark(mark.seq, mark.known_at_us, position), True
        judged = [decode_payload(record) for record in tail]
        _prepare(transaction, state, [j.event for j in judged])
        for record, one in zip(tail, judged, strict=True):
            _take(transaction, state, record.seq, record.known_at_us, one)
        state.flush()
        mark = Mark(tail[-1].seq, tail[-1].known_at_us, position)
        write_mark(transaction, mark)
        return mark, len(tail) < _AT_ONCE


def _prepare(transaction: Transaction, state: LiveState, events: Sequence[AnyEvent]) -> None:
    if transaction.is_remote:
        transaction.load(EVENTS, [_event_key(event) for event in events])
        state.prepare(events)


def _take(transaction: Transaction, state: LiveState, seq: int, known_at_us: int, judged: Judged) -> Outcome:
    """Note the event's id and let it take effect if it was accepted."""
    outcome = _note(transaction, seq, judged)
    if judged.verdict.is_accepted:
        state.apply(judged.event, judged.verdict, known_at_us)
    return outcome


def _note(transaction: Transaction, seq: int, judged: Judged) -> Outcome:
    verdict = judged.verdict
    outcome = Outcome(seq, verdict.rule, verdict.field, verdict.message)
    transaction.put(EVENTS, _event_key(judged.event), _ENCODE(outcome))
    return outcome


def _event_key(event: AnyEvent) -> bytes:
    return encode_key(0, (event.event_id,))


def publish_live(backend: Backend, generation: Published) -> None:
    """Let readers see ``generation``, with the ledger's events after it as the live part, in one transaction.

    The live state is built anew from the ledger: whatever it was, it is right afterwards. Readers go on meanwhile,
    writers wait.

    Raises:
        StoreError: where an event that is not in the generation was known before its cut-off, and the declarations ask
            for ``last``, which then depends on the order of both.
        LogError: where the ledger is damaged.
    """
    folder = ledger_folder(backend.root)
    log = LogWriter(folder)
    manifest = generation.manifest
    try:
        with log.turn(), backend.writing() as transaction:
            mark = _note_tail(transaction, log)
            transaction.clear(STATE)
            state = LiveState(transaction, generation)
            records = read(folder, manifest.ledger_seq)
            while batch := list(islice(records, _AT_ONCE)):
                judged = [(record, decode_payload(record)) for record in batch]
                accepted = [(record, one) for record, one in judged if one.verdict.is_accepted]
                state.prepare([one.event for _, one in accepted])
                for record, one in accepted:
                    if manifest.layout.has_last and record.known_at_us < manifest.cut_off_us:
                        raise StoreError(
                            f"{folder}: event {one.event.event_id!r} (seq {record.seq}) was known before the cut-off of "
                            f"{manifest.name}, which does not hold it: ingest the ledger first"
                        )
                    state.apply(one.event, one.verdict, record.known_at_us)
                state.flush()
            write_mark(transaction, mark)
            write_published(transaction, manifest.name)
    finally:
        log.close()


def _note_tail(transaction: Transaction, log: LogWriter) -> Mark:
    """Note the ids of the events that the log holds beyond the store; returns the mark after them."""
    mark = read_mark(transaction)
    while True:
        tail, position = log.tail(mark.position, _AT_ONCE)
        for record in tail:
            _note(transaction, record.seq, decode_payload(record))
        mark = Mark(tail[-1].seq, tail[-1].known_at_us, position) if tail else Mark(mark.seq, mark.known_at_us, position)
        if len(tail) < _AT_ONCE:
            return mark
