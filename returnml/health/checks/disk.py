"""Whether the next nightly run has room."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

from returnml.clock import Clock
from returnml.findings import Finding
from returnml.settings import Settings
from returnml.store.generation_manifest import StoreError, generation_folder, read_pointer

SEGMENT_BYTES = 64 << 20
"""Of the event ledger: what may be written before anybody looks again."""


def find(settings: Settings, clock: Clock) -> Iterator[Finding]:
    """A run writes the copy for readers beside the old one, and a generation beside those that are kept."""
    paths = settings.paths
    needed = _size(paths.warehouse) + _generation(paths.store) + SEGMENT_BYTES
    free = shutil.disk_usage(paths.root).free
    if free < needed:
        yield Finding(
            code="disk_nearly_full",
            where=str(paths.root),
            what=f"{free >> 20:,} MiB are free; the copy of the warehouse, a generation and new events take {needed >> 20:,} MiB",
            meaning="The next run or publication may fail, and events be answered 503 once nothing can be appended.",
            mend="make room: returnml logs prune removes ingested days of the inference log; old training/, variants/ and "
            "reports/ may be moved away",
            is_command=False,
        )


def _size(file: Path) -> int:
    return file.stat().st_size if file.exists() else 0


def _generation(store: Path) -> int:
    try:
        newest = read_pointer(store).generations[0]
        return sum(_size(file) for file in generation_folder(store, newest).iterdir())
    except (StoreError, OSError, IndexError):
        return 0  # the check of the store says so
