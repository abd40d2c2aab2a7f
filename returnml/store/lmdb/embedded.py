"""The embedded backend: generations in folders, the live part in one LMDB environment together with the pointer.

Two environments are not one snapshot. Pointer, mark and state change in one transaction of the live environment; a
reader takes them from one snapshot and then reads the generation that this snapshot names, which never changes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path

from returnml.features.feature_set import FeatureSet
from returnml.store.backend import (
    META,
    OWNER,
    POINTER,
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
from returnml.store.owner import owner_beside, require_owned

LIVE_FOLDER = "live"


class LmdbBackend:
    """The store in one folder of this host, for any number of processes. See ``backend.Backend``."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._live: LiveDatabase | None = None

    @cached_property
    def owner(self) -> str:
        return owner_beside(self.root)

    def published(self) -> str | None:
        self._follow()
        self._require_own(self._database().about(OWNER))
        name = self._database().about(POINTER)
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

    @contextmanager
    def writing(self) -> Iterator[Transaction]:
        self._follow()
        with self._database().writing() as transaction:
            self._require_own(transaction.get(META, OWNER))
            yield transaction

    def install(self, folder: Path) -> None:
        """It is where it is read."""

    def keep_only(self, names: Sequence[str]) -> None:
        """There are none but those in ``root``."""

    def _require_own(self, owner: bytes | None) -> None:
        """What says no owner was written before owners were: the next publication says it."""
        if owner is not None:
            require_owned(owner.decode(), self.owner, self.root / LIVE_FOLDER)

    def _follow(self) -> None:
        """Leave a live part that was lost, and perhaps made anew: what is read and written there, nobody else sees."""
        if self._live is not None and not self._live.is_there():
            self._live = None

    def _database(self) -> LiveDatabase:
        if self._live is None:
            self._live = open_live(self.root / LIVE_FOLDER)
        return self._live
