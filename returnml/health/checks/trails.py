"""States, audit trails, erasures and the ledger against each other."""

from __future__ import annotations

from collections.abc import Iterator

from returnml.clock import Clock
from returnml.findings import Finding
from returnml.ledger.event_records import decode_payload
from returnml.ledger.events import CustomerErased
from returnml.ledger.record_log import LogError, read
from returnml.release.erasures import Erasure, prove_erasures
from returnml.release.proof import proof_of
from returnml.release.seal import seal_of
from returnml.settings import Settings
from returnml.tasks.registry import tasks


def find(settings: Settings, clock: Clock) -> Iterator[Finding]:
    """Every trail that is; what the ledger lacks is asked where the ledger can be read (its damage is the store's finding)."""
    try:
        yield from trail_findings(settings)
    except LogError:
        yield from _of_tasks(settings)
        yield from prove_erasures(settings.paths.erasures, seal_of(settings.trail))[1]


def trail_findings(settings: Settings) -> list[Finding]:
    """
    Raises:
        LogError: where the ledger, which has every erasure as well, cannot be read.
    """
    erased = [erasure.pseudonym for erasure in erasures_of_ledger(settings, "", "")]
    return [*_of_tasks(settings), *prove_erasures(settings.paths.erasures, seal_of(settings.trail), erased)[1]]


def erasures_of_ledger(settings: Settings, by: str, why: str) -> Iterator[Erasure]:
    """The erasures of the event ledger, as if by somebody.

    Raises:
        LogError: where it cannot be read.
    """
    for record in read(settings.paths.ledger):
        event = decode_payload(record).event
        if isinstance(event, CustomerErased):
            yield Erasure(pseudonym=event.customer_id, at_us=record.known_at_us, by=by, why=why, seq=record.seq)


def _of_tasks(settings: Settings) -> list[Finding]:
    return [finding for task in tasks() for finding in proof_of(settings, task).findings]
