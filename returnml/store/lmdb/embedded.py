"""The embedded backend: generations in folders, the live part in one LMDB environment together with the pointer.

Two environments are not one snapshot. Pointer, mark and state change in one transaction of the live environment; a
reader takes them from one snapshot and then reads the generation that this snapshot names, which never changes.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path

from returnml.features.declarations import FeatureSet
from returnml.store.backend import (
    Choose,
    Found,
    Transaction,
    read_generation,
    snapshot_at,
)
from returnml.store.generation import Generation, open_generation
from returnml.store.generation_manifest import generation_folder
from returnml.store.lmdb.environments import (
    LiveDatabase,
    open_live,
)

LIVE_FOLDER = "live"


class LmdbBackend:
    """The store in one folder of this host, for any number of processes. See ``backend.Backend``."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._live: LiveDatabase | None = None

    def published(self) -> str | None:
        self._follow()
        name, _, _ = self._database().read([])
        return None if name is None else name.decode()

    def open(self, name: str, feature_set: FeatureSet, is_verified: bool = True) -> Generation:
        return open_generation(generation_folder(self.root, name), feature_set, is_verified)

    def read(self, keys: Sequence[bytes], choose: Choose) -> Found:
        pointer, mark, live = self._database().read(keys)
        name = None if pointer is None else pointer.decode()
        generation = choose(name)
        if generation.name != name:
            return read_generation(generation, keys, is_stale=True)
        return snapshot_at(generation, mark), generation.read(keys), live

    def writing(self) -> AbstractContextManager[Transaction]:
        self._follow()
        return self._database().writing()

    def install(self, folder: Path) -> None:
        """It is where it is read."""

    def keep_only(self, names: Sequence[str]) -> None:
        """There are none but those in ``root``."""

    def _follow(self) -> None:
        """Leave a live part that was lost, and perhaps made anew: what is read and written there, nobody else sees."""
        if self._live is not None and not self._live.is_there():
            self._live = None

    def _database(self) -> LiveDatabase:
        if self._live is None:
            self._live = open_live(self.root / LIVE_FOLDER)
        return self._live
