"""The live part: events known after the published generation, in one LMDB environment together with the pointer to it.

Two environments are not one snapshot. Pointer, mark and state change in one transaction of the live environment; a
reader takes them from one snapshot and then reads the generation that this snapshot names, which never changes.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from returnml.features.declarations import FeatureSet
from returnml.ledger.log import START, Position
from returnml.store.generation import Generation, open_generation
from returnml.store.lmdb_backend import META, STATE, LiveTransaction, open_live
from returnml.store.manifest import StoreError

LIVE_FOLDER = "live"
_POINTER, _MARK = b"pointer", b"mark"
_MARK_WORDS = struct.Struct("<4Q")
T = TypeVar("T")


@dataclass(frozen=True)
class Mark:
    """Up to where the ledger is applied: the last event's ``seq`` and ``known_at``, and where the log goes on."""

    seq: int = 0
    known_at_us: int = 0
    position: Position = START


@dataclass(frozen=True)
class Snapshot:
    """What a reader sees: a generation and the ledger up to ``seq``, the last event known at ``known_at_us``."""

    generation: Generation
    seq: int
    known_at_us: int

    def moment_us(self, now_us: int) -> int:
        """``requested_at`` of a request that arrives now: after everything that it sees."""
        return max(now_us, self.generation.cut_off_us, self.known_at_us + 1)


Values = list[memoryview | None]
Consume = Callable[[Snapshot, Values, Values | None], T]
"""Takes what is seen, the generation's values and the live ones (None where there is no live part)."""


def read_mark(transaction: LiveTransaction) -> Mark:
    value = transaction.get(META, _MARK)
    if value is None:
        return Mark()
    seq, known_at_us, segment, byte = _MARK_WORDS.unpack(value)
    return Mark(seq, known_at_us, Position(segment, byte))


def write_mark(transaction: LiveTransaction, mark: Mark) -> None:
    transaction.put(META, _MARK, _MARK_WORDS.pack(mark.seq, mark.known_at_us, *mark.position))


def read_published(transaction: LiveTransaction) -> str | None:
    """The name of the published generation."""
    value = transaction.get(META, _POINTER)
    return None if value is None else bytes(value).decode()


def write_published(transaction: LiveTransaction, name: str) -> None:
    transaction.put(META, _POINTER, name.encode())


class LiveStore:
    """Reads generation and live part as one. Not for use by two threads at once, ``refresh`` apart.

    Raises:
        StoreError: where the live environment cannot be opened.
    """

    def __init__(self, store_root: Path, feature_set: FeatureSet) -> None:
        self._store_root = store_root
        self._feature_set = feature_set
        self._live = open_live(store_root / LIVE_FOLDER)
        self._verified: Generation | None = None
        self._current: Generation | None = None
        self._refused: str | None = None

    @property
    def generation(self) -> Generation:
        """The one that the last read or refresh used.

        Raises:
            StoreError: before there was any.
        """
        if self._current is None:
            raise StoreError(f"{self._store_root}: no generation is published")
        return self._current

    def published(self) -> str | None:
        """The name of the published generation, which may not be loaded yet."""
        with self._live.reading() as transaction:
            return read_published(transaction)

    def refresh(self) -> None:
        """Load and verify the published generation, every byte of it; what was loaded before stays if that fails.

        Raises:
            StoreError: if nothing is published, or what is cannot be used.
        """
        name = self.published()
        if name is None:
            raise StoreError(f"{self._store_root}: no generation is published")
        try:
            generation = open_generation(self._store_root / name, self._feature_set)
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
        with self._live.reading() as transaction:
            name = read_published(transaction)
            generation = self._current
            if generation is None or generation.name != name:
                generation = self._follow(name)
                if generation.name != name:
                    return read_generation(generation, keys, consume)
            mark = read_mark(transaction)
            snapshot = Snapshot(generation, mark.seq, mark.known_at_us)
            live = transaction.get_all(STATE, keys)
            return generation.read(keys, lambda published: consume(snapshot, published, live))

    def _follow(self, name: str | None) -> Generation:
        """The generation that was published a moment ago; ``refresh`` verifies its bytes afterwards."""
        if name is not None and name != self._refused:
            try:
                self._current = open_generation(self._store_root / name, self._feature_set, is_verified=False)
            except StoreError:
                self._refused, self._current = name, self._verified
        return self.generation


def read_generation(generation: Generation, keys: Sequence[bytes], consume: Consume[T]) -> T:
    """Read a generation alone: as of the events that it holds."""
    snapshot = Snapshot(generation, generation.manifest.ledger_seq, generation.cut_off_us - 1)
    return generation.read(keys, lambda published: consume(snapshot, published, None))
