"""Reading generation and live part as one, and which generation is good enough for it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from returnml.features.declarations import FeatureSet
from returnml.store.backend import Backend, Consume, Published
from returnml.store.manifest import StoreError

T = TypeVar("T")


class LiveStore:
    """Reads generation and live part as one. Not for use by two threads at once, ``refresh`` apart."""

    def __init__(self, backend: Backend, feature_set: FeatureSet) -> None:
        self._backend = backend
        self._feature_set = feature_set
        self._verified: Published | None = None
        self._current: Published | None = None
        self._refused: str | None = None

    @property
    def generation(self) -> Published:
        """The one that the last read or refresh used.

        Raises:
            StoreError: before there was any.
        """
        if self._current is None:
            raise StoreError(f"{self._backend.root}: no generation is published")
        return self._current

    def published(self) -> str | None:
        """The name of the published generation, which may not be loaded yet.

        Raises:
            StoreError: where the store cannot be read.
        """
        return self._backend.published()

    def refresh(self) -> None:
        """Load and verify the published generation, all of it; what was loaded before stays if that fails.

        Raises:
            StoreError: if nothing is published, or what is cannot be used.
        """
        name = self.published()
        if name is None:
            raise StoreError(f"{self._backend.root}: no generation is published")
        try:
            generation = self._backend.open(name, self._feature_set)
        except StoreError:
            self._refused, self._current = name, self._verified
            raise
        self._verified = self._current = generation
        self._refused = None

    def read(self, keys: Sequence[bytes], consume: Consume[T]) -> T:
        """Hand the values of ``keys``, all of one snapshot, to ``consume``; the buffers are valid only inside it.

        Where the published generation was refused, what is read is the one before it *without* a live part, which is
        the published one's: old, and exact for the mark that the snapshot says.

        Raises:
            StoreError: while there is no good generation.
        """
        return self._backend.read(keys, self._choose, consume)

    def _choose(self, name: str | None) -> Published:
        """The one loaded, or the one published a moment ago; ``refresh`` verifies all of that afterwards."""
        current = self._current
        if current is not None and current.name == name:
            return current
        if name is not None and name != self._refused:
            try:
                self._current = self._backend.open(name, self._feature_set, is_verified=False)
            except StoreError:
                self._refused, self._current = name, self._verified
        return self.generation
