"""The online store against ledger, folder and server, byte by byte: what ``returnml store verify`` finds, and whose it is."""

from __future__ import annotations

from collections.abc import Iterator

from returnml.clock import Clock
from returnml.findings import Finding
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
    yield from _report(settings)


def _has_pointer(settings: Settings) -> bool:
    """Whether something was published from here, whatever the server says now."""
    return (settings.paths.store / "current.json").exists()


def _ledger(backend: Backend) -> Iterator[Finding]:
    try:
        read_ledger(backend)
    except LogError as error:
        yield ledger_damaged(str(error))


def _report(settings: Settings) -> Iterator[Finding]:
    path = settings.paths.store / REPORT_FILE
    try:
        read_report(settings.paths.store)
    except StoreError as error:
        meaning = "What the last pass over generation and ledger found is not known."
        yield Finding(code="scrub_report_unreadable", what=str(error), meaning=meaning, mend=f"rm {path}")
