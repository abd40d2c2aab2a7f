"""What the online store asks of the place where it is kept: LMDB on one host, or Redis for several.

One interface, so that the rules (what an event changes, what a reader sees, when a generation is refused) are written
once. A backend keeps generations, which never change, and the live part: three tables and in one of them the pointer
to the published generation and the mark.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from returnml.errors import Unavailable
from returnml.features.feature_set import FeatureSet
from returnml.ledger.record_log import START, Position
from returnml.store.generation_manifest import (
    GenerationManifest,
    StoreError,
)

META, STATE, EVENTS = range(3)
"""The tables of the live part: pointer and mark; tiles and what is known of order lines; what became of event ids."""
POINTER, MARK, OWNER = b"pointer", b"mark", b"owner"
_MARK_WORDS = struct.Struct("<4Q")

Values = list[bytes | None]


class StoreUnavailable(StoreError, Unavailable):
    """The store's server is away, or hangs."""


class Published(Protocol):
    """A generation that can be read."""

    manifest: GenerationManifest

    @property
    def name(self) -> str: ...

    @property
    def cut_off_us(self) -> int: ...

    def read(self, keys: Sequence[bytes]) -> Values:
        """The values of ``keys``, None where unknown."""
        ...


@dataclass(frozen=True)
class Mark:
    """Up to where the ledger is applied: the last event's ``seq`` and ``known_at``, and where the log goes on."""

    seq: int = 0
    known_at_us: int = 0
    position: Position = START


@dataclass(frozen=True)
class Snapshot:
    """What a reader sees: a generation and the ledger up to ``seq``, the last event known at ``known_at_us``.

    Attributes:
        is_stale: whether there is more that could not be read.
    """

    generation: Published
    seq: int
    known_at_us: int
    is_stale: bool = False

    def moment_us(self, now_us: int) -> int:
        """``requested_at`` of a request that arrives now: after everything that it sees."""
        return max(now_us, self.generation.cut_off_us, self.known_at_us + 1)


Found = tuple[Snapshot, Values, Values | None]
"""What is seen, the generation's values and the live ones (None where there is no live part)."""
Choose = Callable[[str | None], Published]
"""From the name of the published generation to the one to read: that one, or an older one if it must be refused."""


class Transaction(Protocol):
    """One writer's turn: it reads what it wrote; all of it takes effect at the end, or nothing.

    Attributes:
        is_remote: whether each ``get`` of what was not asked for by ``load`` is a journey over the network.
    """

    is_remote: bool

    def get(self, table: int, key: bytes) -> bytes | None: ...

    def put(self, table: int, key: bytes, value: bytes) -> None: ...

    def delete(self, table: int, key: bytes) -> None: ...

    def clear(self, table: int) -> None: ...

    def load(self, table: int, keys: Sequence[bytes]) -> None:
        """Fetch at once what will be asked for."""
        ...

    def items(self, table: int) -> Iterator[tuple[bytes, bytes]]:
        """All of ``STATE`` or ``EVENTS`` as it was before this turn, in any order."""
        ...


class Backend(Protocol):
    """Where the store is kept. Cheap to make: nothing is opened before it is used.

    Attributes:
        root: the folder of this host's generations, beside the ledger.
        owner: the id of the data root that it lies in. What another one owns is refused wherever it is met.
    """

    root: Path

    @property
    def owner(self) -> str: ...

    def published(self) -> str | None:
        """The name of the published generation. May be asked beside a ``read`` in another thread.

        Where ``read`` found the store unavailable it fails at once, without trying, until this one succeeds.

        Raises:
            StoreError: where the store cannot be read.
        """
        ...

    def open(self, name: str, feature_set: FeatureSet, is_verified: bool = True) -> Published:
        """Open a generation.

        Args:
            is_verified: whether all of it is checked; else only what takes no time.

        Raises:
            StoreError: if it is of other declarations, torn, or not readable.
        """
        ...

    def read(self, keys: Sequence[bytes], choose: Choose) -> Found:
        """Pointer, mark and the values of ``keys``, all of one snapshot.

        Where ``choose`` takes another generation than the published one, that one is read alone: the live part is the
        published one's.

        Raises:
            StoreError: where the store cannot be read, and what ``choose`` raises.
        """
        ...

    def writing(self) -> AbstractContextManager[Transaction]:
        """A turn; committed at the end, undone by an exception.

        Raises:
            StoreError: where the store cannot be written, or the commit is refused.
        """
        ...

    def install(self, folder: Path) -> None:
        """Bring a generation that was written into ``root`` to where it can be published, all of it, whatever is there.

        Raises:
            StoreError: where it cannot be written, or there is no room for it beside the published one; nothing is left of it.
        """
        ...

    def keep_only(self, names: Sequence[str]) -> None:
        """Remove all other generations, those in ``root`` apart."""
        ...


def read_generation(generation: Published, keys: Sequence[bytes], is_stale: bool = False) -> Found:
    """Read a generation alone: as of the events that it holds."""
    snapshot = Snapshot(generation, generation.manifest.ledger_seq, generation.cut_off_us - 1, is_stale)
    return snapshot, generation.read(keys), None


def snapshot_at(generation: Published, mark: bytes | None) -> Snapshot:
    """A generation with the live part at a stored mark."""
    seq, known_at_us, _, _ = (0, 0, 0, 0) if mark is None else _MARK_WORDS.unpack(mark)
    return Snapshot(generation, seq, known_at_us)


def read_mark(transaction: Transaction) -> Mark:
    """Up to where the ledger is applied; before the first event everything is 0."""
    value = transaction.get(META, MARK)
    if value is None:
        return Mark()
    seq, known_at_us, segment, byte = _MARK_WORDS.unpack(value)
    return Mark(seq, known_at_us, Position(segment, byte))


def write_mark(transaction: Transaction, mark: Mark) -> None:
    """Say up to where the ledger is applied."""
    value = _MARK_WORDS.pack(mark.seq, mark.known_at_us, *mark.position)
    if value != transaction.get(META, MARK):  # a turn without events writes nothing
        transaction.put(META, MARK, value)


def read_published(transaction: Transaction) -> str | None:
    """The name of the published generation."""
    value = transaction.get(META, POINTER)
    return None if value is None else value.decode()


def write_published(transaction: Transaction, name: str, owner: str) -> None:
    """Flip the pointer: readers see another generation once the turn is committed."""
    transaction.put(META, POINTER, name.encode())
    transaction.put(META, OWNER, owner.encode())
