"""The online store against ledger, folder and server, byte by byte: what ``returnml store verify`` finds, and whose it is."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

from returnml.clock import Clock
from returnml.findings import Finding
from returnml.instants import instant
from returnml.ledger.record_log import LogError
from returnml.root import read_root
from returnml.settings import Settings
from returnml.store.backend import Backend, StoreUnavailable
from returnml.store.backend_choice import open_backend
from returnml.store.generation_manifest import StoreError
from returnml.store.owner import ForeignStore
from returnml.store.proving.scrub_report import REPORT_FILE, read_report
from returnml.store.proving.store_findings import foreign_store, ledger_damaged, store_refused, store_unreachable
from returnml.store.proving.verification import read_ledger, verify_store
from returnml.tasks.live_sets import live_feature_sets

HOUR_US = 3_600_000_000
STALE_PASSES = 2
"""So many times the hours between two passes, and the scrubber is taken not to run."""


def find(settings: Settings, clock: Clock) -> Iterator[Finding]:
    """Nothing where nothing was published yet; the ledger is read in any case."""
    try:
        backend = open_backend(settings)
        is_there = settings.paths.store.exists() or settings.store.backend != "lmdb"
        if (is_there and backend.published() is not None) or _has_pointer(settings):
            yield from verify_store(backend, live_feature_sets(settings.shop_attributes)[0]).findings
        else:
            yield from _ledger(backend)
    except ForeignStore as error:
        own = f"{{returnml-{read_root(settings.paths.root).root_id[:12]}}}:"
        yield foreign_store(str(error), own)
    except StoreUnavailable as error:
        yield store_unreachable(str(error))
    except StoreError as error:
        yield store_refused(str(error))
    yield from _report(settings, clock)


def _has_pointer(settings: Settings) -> bool:
    """Whether something was published from here, whatever the server says now."""
    return (settings.paths.store / "current.json").exists()


def _ledger(backend: Backend) -> Iterator[Finding]:
    try:
        read_ledger(backend)
    except LogError as error:
        yield ledger_damaged(str(error))


def _report(settings: Settings, clock: Clock) -> Iterator[Finding]:
    """What the service's scrubber said last, which every worker of this host heeds."""
    path = settings.paths.store / REPORT_FILE
    mend = f"rm {shlex.quote(str(path))}"
    try:
        report = read_report(settings.paths.store)
    except StoreError as error:
        meaning = "What the last pass over generation and ledger found is not known."
        yield Finding(code="scrub_report_unreadable", what=str(error), meaning=meaning, mend=mend)
        return
    if report is None:
        return
    at = f"{instant(report.checked_at_us):%Y-%m-%d %H:%M}"
    if report.findings:
        yield Finding(
            code="scrub_failed",
            where=str(path),
            what=f"the pass of {at} found {len(report.findings)} wrong: {report.findings[0].what}",
            meaning="Workers of this host heed it: nothing is scored, or no event taken in. Mend what is found above first; a "
            "service that runs then looks again within a minute.",
            mend=mend,
        )
    due_us = round(STALE_PASSES * settings.store.scrub_every_hours * HOUR_US)
    if due_us and clock.now_us() - report.checked_at_us > due_us:
        yield Finding(
            code="scrub_stale",
            where=str(path),
            what=f"the last pass was at {at}, one is due every {settings.store.scrub_every_hours:g} hours",
            meaning="No service runs here, or its scrubber does not: what flips from now on is seen by nobody but this command.",
            mend="start the service (returnml serve); where it runs, its log says why it does not scrub",
            is_command=False,
            is_damage=False,
        )
