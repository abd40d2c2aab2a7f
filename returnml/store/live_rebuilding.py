"""Building the live part anew from a generation and the ledger: when one is published, and to prove or mend it."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice, takewhile
from pathlib import Path

import msgspec

from returnml.ledger.event_records import decode_payload
from returnml.ledger.record_log import LogWriter, read
from returnml.store.backend import EVENTS, STATE, Backend, Mark, Published, Transaction, read_mark, write_mark, write_published
from returnml.store.event_writer import (
    AT_ONCE,
    apply_judged,
    decode_outcome,
    event_key,
    ledger_folder,
    note_tail,
    outcome_of,
)
from returnml.store.generation import Generation
from returnml.store.generation_manifest import (
    GenerationManifest,
    StoreError,
    read_pointer,
)
from returnml.store.live_state import LiveState

logger = logging.getLogger(__name__)


def install_and_publish(backend: Backend, generation: Generation, is_anew: bool = False) -> None:
    """Bring a generation of this host's folder to where it is read, and publish it; see ``publish_live``.

    What was loaded of it is removed where it cannot be published.

    Raises:
        StoreError, LogError: see ``Backend.install`` and ``publish_live``.
    """
    backend.install(generation.path)
    try:
        publish_live(backend, generation, is_anew)
    except Exception:
        _remove_unpublished(backend)
        raise


def _remove_unpublished(backend: Backend) -> None:
    try:
        published = backend.published()
        backend.keep_only([*read_pointer(backend.root).generations, *([published] if published else [])])
    except StoreError as error:
        logger.warning("what was loaded and not published is removed by the next publication: %s", error)


@contextmanager
def in_turn(backend: Backend) -> Iterator[Transaction]:
    """A transaction in a writer's turn: whoever writes the store without it could hold up those who have it, for ever."""
    log = LogWriter(ledger_folder(backend.root))
    try:
        with log.turn(), backend.writing() as transaction:
            yield transaction
    finally:
        log.close()


def publish_live(backend: Backend, generation: Published, is_anew: bool = False) -> None:
    """Let readers see ``generation``, with the ledger's events after it as the live part, in one transaction.

    The live state is built anew from the ledger: whatever it was, it is right afterwards. Readers go on meanwhile,
    writers wait.

    Args:
        is_anew: what became of every event id is noted anew, too.

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
            mark = note_tail(transaction, log, Mark() if is_anew else read_mark(transaction))
            transaction.clear(STATE)
            replay_ledger(LiveState(transaction, generation), folder, manifest)
            write_mark(transaction, mark)
            write_published(transaction, manifest.name, backend.owner)
    finally:
        log.close()


def replay_ledger(state: LiveState, folder: Path, manifest: GenerationManifest, until_seq: int | None = None) -> None:
    """Let the accepted events after a generation take effect.

    Args:
        state: of nothing but the generation.
        folder: of the ledger.
        until_seq: the last one; default: all.

    Raises:
        StoreError: see ``publish_live``.
        LogError: where the ledger is damaged.
    """
    records = read(folder, manifest.ledger_seq)
    if until_seq is not None:
        records = takewhile(lambda record: record.seq <= until_seq, records)
    while batch := list(islice(records, AT_ONCE)):
        judged = [(record, decode_payload(record)) for record in batch]
        accepted = [(record, one) for record, one in judged if one.verdict.is_accepted]
        state.prepare([one.event for _, one in accepted])
        for record, one in accepted:
            if manifest.layout.has_last and record.known_at_us < manifest.cut_off_us:
                raise StoreError(
                    f"{folder}: event {one.event.event_id!r} (seq {record.seq}) was known before the cut-off of "
                    f"{manifest.name}, which does not hold it: ingest the ledger first"
                )
            apply_judged(state, folder, one, record.known_at_us)
        state.flush()


def noted_otherwise(backend: Backend, until_seq: int) -> Iterator[str]:
    """The first event up to ``until_seq`` whose id is not noted with its verdict, in words; verdicts never change.

    Raises:
        LogError: where the ledger is damaged.
        StoreError: where the store cannot be read.
    """
    records = takewhile(lambda record: record.seq <= until_seq, read(ledger_folder(backend.root)))
    while batch := list(islice(records, AT_ONCE)):
        noted = {event_key(one.event): outcome_of(record.seq, one) for record in batch for one in [decode_payload(record)]}
        with in_turn(backend) as transaction:
            transaction.load(EVENTS, list(noted))
            for key, outcome in noted.items():
                found = transaction.get(EVENTS, key)
                noted_as = None if found is None else decode_outcome(found)
                if noted_as is not None and noted_as.content is None:  # of a version that did not note it
                    outcome = msgspec.structs.replace(outcome, content=None)
                if noted_as != outcome:
                    yield f"what became of event {outcome.seq} is noted as {noted_as}, the ledger says {outcome}"
                    return
