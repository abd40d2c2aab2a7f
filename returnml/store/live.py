"""Reading generation and live part as one, and which generation is good enough for it."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from returnml.features.feature_set import FeatureSet
from returnml.store.backend import Backend, Found, Published, StoreUnavailable, read_generation
from returnml.store.generation import open_generation
from returnml.store.generation_manifest import (
    StoreError,
    generation_folder,
    read_pointer,
)

logger = logging.getLogger(__name__)


class LiveStore:
    """Reads generation and live part as one. Not for use by two threads at once, ``published`` and ``refresh`` apart.

    Args:
        allows_stale: whether the last generation in this host's folder is read while the store is unavailable, or its
            pointer is lost. That is exact for the mark that the snapshot says.
    """

    def __init__(self, backend: Backend, feature_set: FeatureSet, allows_stale: bool = False) -> None:
        self._backend = backend
        self._feature_set = feature_set
        self._allows_stale = allows_stale
        self._last: Published | None = None
        self._verified: Published | None = None
        self._current: Published | None = None
        self._refused: str | None = None
        self._why = ""

    @property
    def generation(self) -> Published:
        """The one that the last read or refresh used.

        Raises:
            StoreError: before there was any.
        """
        generation = self._current or self._last
        if generation is None:
            raise StoreError(self._why or self._nothing())
        return generation

    @property
    def has_generation(self) -> bool:
        """Whether there is any to read."""
        return self._current is not None or self._last is not None

    def published(self) -> str | None:
        """The name of the published generation, which may not be loaded yet. Asked every now and then it also makes
        ``read`` try again after the store was unavailable.

        Raises:
            StoreError: where the store cannot be read.
        """
        if self._allows_stale:
            self._keep_last()
        return self._backend.published()

    def refresh(self) -> None:
        """Load and verify the published generation, all of it; what was loaded before stays if that fails.

        Raises:
            StoreError: if nothing is published, or what is cannot be used.
        """
        name = self.published()
        if name is None:
            raise StoreError(self._nothing())
        try:
            generation = self._backend.open(name, self._feature_set)
        except StoreUnavailable:
            raise
        except StoreError as error:
            self._refuse(name, error)
            raise
        self._verified = self._current = generation
        self._refused = None

    def read(self, keys: Sequence[bytes]) -> Found:
        """The values of ``keys``, all of one snapshot.

        If the published generation was refused, this reads the generation before it, *without* the live part: the live part
        belongs to the published one. These values are old, and exact as of the mark in the snapshot.

        Raises:
            StoreUnavailable: while the store is, and nothing stale is allowed or at hand.
            StoreError: while there is no good generation.
        """
        try:
            return self._backend.read(keys, self._choose)
        except StoreUnavailable:
            if self._last is None:
                raise
            return read_generation(self._last, keys, is_stale=True)

    def _keep_last(self) -> None:
        """Have the generation at hand that this host's folder says was published last."""
        try:
            listed = read_pointer(self._backend.root).generations
            if listed and (self._last is None or self._last.name != listed[0]):
                self._last = open_generation(generation_folder(self._backend.root, listed[0]), self._feature_set)
        except StoreError as error:
            logger.warning("not kept for when the store is unavailable: %s", error)

    def _choose(self, name: str | None) -> Published:
        """The one loaded, or the one published a moment ago; ``refresh`` verifies all of that afterwards."""
        current = self._current
        if current is not None and current.name == name:
            return current
        if name is not None and name != self._refused:
            try:
                self._current = self._backend.open(name, self._feature_set, is_verified=False)
            except StoreUnavailable:
                raise
            except StoreError as error:
                self._refuse(name, error)
        if name is None and not self._allows_stale:
            # Whatever was taken in since the last generation would be missing from every answer.
            raise StoreError(self._nothing())
        if name is None and self._last is not None:
            return self._last  # what lost the pointer may have lost the generation, too: this host's folder has it
        return self.generation

    def _refuse(self, name: str, why: StoreError) -> None:
        """Read the one before instead, if there is one: the one that was good when it was loaded may be damaged since."""
        if self._verified is not None and self._verified.name == name:
            self._verified = None
        self._refused, self._current = name, self._verified
        self._why = str(why)

    def _nothing(self) -> str:
        return f"{self._backend.root}: no generation is published: returnml store rebuild, or publish where none was"
