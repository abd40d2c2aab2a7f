"""The embedded backend: one LMDB environment per generation, written once and then only read."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TypeVar

import lmdb

DATABASE_FILE = "data.mdb"
LOCK_FILE = "lock.mdb"

T = TypeVar("T")

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
    """Reads one generation. Folders may be removed meanwhile: the mapped file stays."""

    def __init__(self, folder: Path) -> None:
        stat = (folder / DATABASE_FILE).stat()
        with _opening:
            environment = _open_environments.get((stat.st_dev, stat.st_ino))
            if environment is None:
                environment = _Environment(folder)
                _open_environments[stat.st_dev, stat.st_ino] = environment
        self._environment = environment
        self._begin = environment.lmdb.begin

    def read(self, keys: Sequence[bytes], consume: Callable[[list[memoryview | None]], T]) -> T:
        """Hand the values of ``keys`` to ``consume``, all from one snapshot and without copying.

        The buffers are valid only inside ``consume``.
        """
        with self._begin(buffers=True) as transaction:
            get = transaction.get
            return consume([get(key) for key in keys])


def write_database(folder: Path, items: Iterable[tuple[bytes, memoryview]], size_bytes: int) -> None:
    """Write a new database and flush it to disk.

    Args:
        folder: an existing, empty folder.
        items: keys in ascending order with their values.
        size_bytes: of all keys and values together, to size the map.
    """
    environment = lmdb.open(str(folder), map_size=4 * size_bytes + (64 << 20), sync=False, metasync=False)
    try:
        with environment.begin(write=True) as transaction, transaction.cursor() as cursor:
            cursor.putmulti(items, append=True)
        environment.sync(True)
    finally:
        environment.close()
    (folder / LOCK_FILE).unlink(missing_ok=True)
