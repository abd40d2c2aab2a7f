"""Reads what is long written and rarely read anew, slowly and in the background: a bit that flips is found before it is needed.

One pass reads the published generation, what a server has of it, and the ledger. What it found stands in a file, so that
every process of the host knows it: who scores, who takes events in, and who looks.
"""

from __future__ import annotations

import fcntl
import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from returnml.clock import Clock
from returnml.features.feature_set import FeatureSet
from returnml.files import (
    readable_json,
    replace_file,
)
from returnml.findings import Finding
from returnml.ledger.record_log import LogError, read, segments
from returnml.store.backend import Backend
from returnml.store.event_writer import ledger_folder
from returnml.store.generation import open_generation
from returnml.store.generation_manifest import (
    DamagedGeneration,
    generation_folder,
    read_manifest,
)
from returnml.store.lmdb.environments import DATABASE_FILE
from returnml.store.proving.scrub_report import REPORT_FILE, Scrubbed
from returnml.store.proving.store_findings import generation_damaged, ledger_damaged, loaded_generation_differs
from returnml.store.proving.verification import compare_loaded

LOCK_FILE = ".scrubbing.lock"
_CHUNK = 1 << 20

Pace = Callable[[int], None]
"""Told how many bytes were read; returns when more may be."""


def scrub(backend: Backend, feature_set: FeatureSet, clock: Clock, pace: Pace) -> Scrubbed:
    """One pass; its report is written where it is found again.

    Args:
        feature_set: one that the generation serves.
        pace: decides how fast it goes.

    Raises:
        StoreError: where it cannot be read what is published, or the report cannot be written.
    """
    count = 0

    def counted(size: int) -> None:
        nonlocal count
        count += size
        pace(size)

    name = backend.published()
    findings = list(_generation_findings(backend, name, feature_set, counted)) if name else []
    segment, damage = _ledger_findings(ledger_folder(backend.root), counted)
    done = Scrubbed(checked_at_us=clock.now_us(), generation=name, bytes=count, segment=segment, findings=[*findings, *damage])
    if backend.root.exists():
        replace_file(backend.root / REPORT_FILE, readable_json(done))
    return done


@contextmanager
def only_one(store_root: Path) -> Iterator[bool]:
    """Whether nobody else on this host scrubs this store; until the end nobody else does."""
    with open(store_root / LOCK_FILE, "w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True


def _generation_findings(backend: Backend, name: str, feature_set: FeatureSet, pace: Pace) -> Iterator[Finding]:
    folder = generation_folder(backend.root, name)
    if not folder.exists():
        return  # a host that only scores from a server has no folder to compare with
    cut_off_us: int | None = None
    try:
        manifest = read_manifest(folder)
        cut_off_us = manifest.cut_off_us
        found = _paced_hash(folder / DATABASE_FILE, pace)
        if found != (manifest.database_bytes, manifest.database_sha256):
            raise DamagedGeneration(f"{folder / DATABASE_FILE}: torn or changed: its {found[0]} bytes do not match the manifest")
    except (DamagedGeneration, OSError) as error:
        yield generation_damaged(str(error), cut_off_us)
        return
    local = open_generation(folder, feature_set, is_verified=False)
    yield from map(loaded_generation_differs, compare_loaded(backend, local, feature_set, pace))


def _paced_hash(path: Path, pace: Pace) -> tuple[int, str]:
    digest, size = hashlib.sha256(), 0
    with open(path, "rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
            size += len(chunk)
            pace(len(chunk))
    return size, digest.hexdigest()


def _ledger_findings(folder: Path, pace: Pace) -> tuple[str | None, list[Finding]]:
    files = segments(folder)
    last = files[-1].name if files else None
    waiting = 0
    try:
        for record in read(folder):
            waiting += len(record.payload)
            if waiting >= _CHUNK:
                pace(waiting)
                waiting = 0
    except LogError as error:
        return last, [ledger_damaged(str(error))]
    pace(waiting)
    return last, []
