"""LMDB: one environment per generation, written once and then only read, and one that lives."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import lmdb

from returnml.store.backend import EVENTS, MARK, META, POINTER, STATE
from returnml.store.generation_manifest import StoreError

DATABASE_FILE = "data.mdb"
LOCK_FILE = "lock.mdb"

_open_environments: weakref.WeakValueDictionary[tuple[int, int], _Environment] = weakref.WeakValueDictionary()
_opening = threading.Lock()


class _Environment:
    """Holds an environment open as long as somebody reads it: LMDB refuses to open one twice in a process."""

    def __init__(self, folder: Path) -> None:
        self.lmdb = lmdb.open(str(folder), readonly=True, lock=False, create=False, max_spare_txns=8)

    def __del__(self) -> None:
        if hasattr(self, "lmdb"):
            self.lmdb.close()


class LmdbReader:
    """Reads one generation. Folders may be removed meanwhile: the mapped file stays.

    Raises:
        StoreError: where it is no database.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        stat = (folder / DATABASE_FILE).stat()
        with _opening, _explained(folder):
            environment = _open_environments.get((stat.st_dev, stat.st_ino))
            if environment is None:
                environment = _Environment(folder)
                _open_environments[stat.st_dev, stat.st_ino] = environment
        self._environment = environment
        self._begin = environment.lmdb.begin

    def read(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """The values of ``keys``, None where unknown.

        Raises:
            StoreError: where the database turns out to be damaged.
        """
        try:
            with self._begin() as transaction:
                get = transaction.get
                return [get(key) for key in keys]
        except lmdb.Error as error:
            raise StoreError(f"{self._folder}: {error}") from error

    @property
    def entries(self) -> int:
        """How many keys there are."""
        return int(self._environment.lmdb.stat()["entries"])

    def items(self) -> Iterator[tuple[bytes, bytes]]:
        """All keys in ascending order, with their values."""
        with self._begin() as transaction, transaction.cursor() as cursor:
            yield from cursor


def write_database(folder: Path, items: Iterable[tuple[bytes, bytes | memoryview]], size_bytes: int) -> None:
    """Write a new database and flush it to disk.

    Args:
        folder: an existing, empty folder.
        items: keys in ascending order with their values.
        size_bytes: of all keys and values together, to size the map.

    Raises:
        StoreError: where it cannot be written (a full disk).
    """
    with _explained(folder):
        environment = lmdb.open(str(folder), map_size=4 * size_bytes + (64 << 20), sync=False, metasync=False)
        try:
            with environment.begin(write=True) as transaction, transaction.cursor() as cursor:
                cursor.putmulti(items, append=True)
            environment.sync(True)
        finally:
            environment.close()
    (folder / LOCK_FILE).unlink(missing_ok=True)


MAP_BYTES = 64 << 30
"""Address space, not disk: the file grows as it is written."""
_LIVE_TABLES = {META: b"meta", STATE: b"state", EVENTS: b"events"}

_open_lives: weakref.WeakValueDictionary[tuple[int, int], LiveDatabase] = weakref.WeakValueDictionary()


class LiveTransaction:
    """Reads and writes the tables ``META``, ``STATE`` and ``EVENTS`` as one."""

    is_remote = False

    def __init__(self, transaction: Any, tables: list[Any]) -> None:
        self._transaction = transaction
        self._tables = tables

    def get(self, table: int, key: bytes) -> Any:
        """The value as bytes; None where there is none."""
        return self._transaction.get(key, db=self._tables[table])

    def put(self, table: int, key: bytes, value: bytes) -> None:
        self._transaction.put(key, value, db=self._tables[table])

    def delete(self, table: int, key: bytes) -> None:
        """Remove a key if it is there."""
        self._transaction.delete(key, db=self._tables[table])

    def items(self, table: int) -> Iterator[tuple[bytes, bytes]]:
        """All keys in ascending order, with their values."""
        with self._transaction.cursor(self._tables[table]) as cursor:
            yield from cursor

    def load(self, table: int, keys: Sequence[bytes]) -> None:
        """They are at hand."""

    def clear(self, table: int) -> None:
        self._transaction.drop(self._tables[table], delete=False)


class LiveDatabase:
    """The environment that all workers write in turn. Get it from ``open_live``.

    A commit is flushed once, its last page is not: a power cut may undo the last commit, never half of it. The event log
    has it, and the next writer applies it again.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._lmdb = lmdb.open(str(folder), map_size=MAP_BYTES, max_dbs=len(_LIVE_TABLES), metasync=False, max_spare_txns=8)
        self._tables = [self._lmdb.open_db(_LIVE_TABLES[table]) for table in sorted(_LIVE_TABLES)]
        self._file = _identity(folder / DATABASE_FILE)

    def is_there(self) -> bool:
        """Whether the file is still the one in the folder."""
        return _identity(self.folder / DATABASE_FILE) == self._file

    def about(self, key: bytes) -> bytes | None:
        """What ``META`` says.

        Raises:
            StoreError: as ``read``.
        """
        try:
            with self._lmdb.begin(self._tables[META]) as transaction:
                value: bytes | None = transaction.get(key)
                return value
        except lmdb.Error as error:
            raise StoreError(f"{self.folder}: {error}") from error

    def read(self, keys: Sequence[bytes]) -> tuple[bytes | None, bytes | None, list[bytes | None]]:
        """The pointer, the mark, and the values of ``keys`` in ``STATE``, of one snapshot; never blocks and is never blocked.

        Raises:
            StoreError: where LMDB cannot read (too many readers, damage).
        """
        try:
            with self._lmdb.begin(self._tables[STATE]) as transaction:
                get, meta = transaction.get, self._tables[META]
                return get(POINTER, None, meta), get(MARK, None, meta), [get(key) for key in keys]
        except lmdb.Error as error:
            raise StoreError(f"{self.folder}: {error}") from error

    @contextmanager
    def writing(self) -> Iterator[LiveTransaction]:
        """Waits for other writers; committed at the end, undone by an exception.

        Raises:
            StoreError: where LMDB cannot write (a full map, a full disk).
        """
        with _explained(self.folder):
            # What a killed process was reading would be kept for ever.
            self._lmdb.reader_check()
            with self._lmdb.begin(write=True) as transaction:
                yield LiveTransaction(transaction, self._tables)

    def __del__(self) -> None:
        if hasattr(self, "_lmdb"):
            self._lmdb.close()


def open_live(folder: Path) -> LiveDatabase:
    """Open, or create, the live environment: once in a process, as LMDB demands.

    Raises:
        StoreError: where it cannot be opened.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        stat = folder.stat()
        with _opening:
            live = _open_lives.get((stat.st_dev, stat.st_ino))
            if live is None or not live.is_there():
                live = LiveDatabase(folder)
                _open_lives[stat.st_dev, stat.st_ino] = live
            return live
    except (lmdb.Error, OSError) as error:
        raise StoreError(f"{folder}: cannot be opened: {error}") from error


@contextmanager
def _explained(folder: Path) -> Iterator[None]:
    try:
        yield
    except lmdb.Error as error:
        raise StoreError(f"{folder}: {error}") from error


def _identity(file: Path) -> tuple[int, int] | None:
    try:
        stat = file.stat()
    except FileNotFoundError:
        return None
    return stat.st_dev, stat.st_ino
