"""Applying events: judged, stamped, logged and applied in one transaction, by one writer at a time.

The order inside a turn: apply what the log holds beyond the store (a writer was killed between the two, or the store
is older than the log), then judge and stamp, write the state, flush the log, commit. Until the commit nobody sees
anything; after the flush nothing can be lost.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
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

_FLUSH_EVERY = 20_000


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
        with self._log.turn(), self._backend.writing() as transaction:
            generation = self._published(transaction)
            state = LiveState(transaction, generation)
            mark = self._catch_up(transaction, state)
            records: list[Record] = []
            answers: list[Applied] = []
            seq, known_at_us = mark.seq, mark.known_at_us
            for event in events:
                before = transaction.get(EVENTS, encode_key(0, (event.event_id,)))
                if before is not None:
                    answers.append(Applied(_DECODE(before), True))
                    continue
                seq += 1
                known_at_us = max(self._clock.now_us(), known_at_us + 1, generation.cut_off_us)
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

    def _catch_up(self, transaction: Transaction, state: LiveState) -> Mark:
        mark = read_mark(transaction)
        tail, position = self._log.tail(mark.position)
        for record in tail:
            _take(transaction, state, record.seq, record.known_at_us, decode_payload(record))
        if not tail:
            return Mark(mark.seq, mark.known_at_us, position)
        state.flush()
        return Mark(tail[-1].seq, tail[-1].known_at_us, position)


def _take(transaction: Transaction, state: LiveState, seq: int, known_at_us: int, judged: Judged) -> Outcome:
    """Note the event's id and let it take effect if it was accepted."""
    outcome = _note(transaction, seq, judged)
    if judged.verdict.is_accepted:
        state.apply(judged.event, judged.verdict, known_at_us)
    return outcome


def _note(transaction: Transaction, seq: int, judged: Judged) -> Outcome:
    verdict = judged.verdict
    outcome = Outcome(seq, verdict.rule, verdict.field, verdict.message)
    transaction.put(EVENTS, encode_key(0, (judged.event.event_id,)), _ENCODE(outcome))
    return outcome


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
            mark = read_mark(transaction)
            tail, position = log.tail(mark.position)
            transaction.clear(STATE)
            state = LiveState(transaction, generation)
            for record in tail:
                _note(transaction, record.seq, decode_payload(record))
            for n, record in enumerate(read(folder, manifest.ledger_seq), 1):
                judged = decode_payload(record)
                if not judged.verdict.is_accepted:
                    continue
                if manifest.layout.has_last and record.known_at_us < manifest.cut_off_us:
                    raise StoreError(
                        f"{folder}: event {judged.event.event_id!r} (seq {record.seq}) was known before the cut-off of "
                        f"{manifest.name}, which does not hold it: ingest the ledger first"
                    )
                state.apply(judged.event, judged.verdict, record.known_at_us)
                if n % _FLUSH_EVERY == 0:
                    state.flush()
            state.flush()
            seq, known_at_us = (tail[-1].seq, tail[-1].known_at_us) if tail else (mark.seq, mark.known_at_us)
            write_mark(transaction, Mark(seq, known_at_us, position))
            write_published(transaction, manifest.name)
    finally:
        log.close()
