"""Files and folders written whole or not at all, one writer at a time, and their hashes."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal
from urllib.parse import quote

import msgspec

UNDECODABLE = (msgspec.DecodeError, UnicodeDecodeError)
"""What msgspec raises for bytes that are no document of a type; text that is no UTF-8 is no error of its own."""


def sha256(content: bytes) -> str:
    """Hex digest."""
    return hashlib.sha256(content).hexdigest()


def readable_json(value: object, order: Literal["sorted"] | None = None) -> bytes:
    """JSON that people can read, too, with a last newline; ``sorted``: canonical, the same content gives the same bytes."""
    return msgspec.json.format(msgspec.json.encode(value, order=order), indent=2) + b"\n"


def sqlite_url(path: Path, driver: str = "sqlite") -> str:
    """The SQLAlchemy URL of a database file, whatever characters its path has.

    >>> sqlite_url(Path("/data/50%41 off #1/study.db"))
    'sqlite:////data/50%2541%20off%20%231/study.db'
    """
    return f"{driver}:///{quote(str(path))}"


def sync_folder(folder: Path) -> None:
    """Make renames and new names in a folder survive a power cut."""
    _flush(folder)


def write_synced(path: Path, content: bytes) -> None:
    """Write a new file and flush it to disk. Not atomic by itself: see ``replace_file``."""
    with open(path, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def replace_file(path: Path, content: bytes) -> None:
    """Replace a file atomically: a reader, or a kill at any moment, sees the old content or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    write_synced(temporary, content)
    os.replace(temporary, path)
    sync_folder(path.parent)


@contextmanager
def new_file(target: Path) -> Iterator[Path]:
    """A path for others to write a file to, which is ``target`` afterwards: whole, or after an exception not at all.

    It is flushed to disk before it gets its name; what had the name is replaced.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    temporary.unlink(missing_ok=True)
    try:
        yield temporary
        _flush(temporary)
        os.replace(temporary, target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_folder(target.parent)


def create_private(path: Path, content: bytes) -> None:
    """Create a file that only its owner may read; see ``create_whole``."""
    create_whole(path, content, 0o600)


def create_whole(path: Path, content: bytes, mode: int = 0o644) -> None:
    """Create a file, whole or not at all; one that is there is left as it is, and not opened."""
    if path.exists():
        return
    descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    os.close(descriptor)
    os.chmod(temporary, mode)
    write_synced(Path(temporary), content)
    try:
        os.link(temporary, path)
    except FileExistsError:
        pass
    finally:
        os.unlink(temporary)
    sync_folder(path.parent)


@contextmanager
def new_folder(target: Path) -> Iterator[Path]:
    """A folder to be filled, which is ``target`` afterwards: whole, or after an exception or a kill not at all.

    Its files and their names are flushed to disk before it gets its name.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=".unfinished-", dir=target.parent))
    try:
        yield temporary
        for path in (*temporary.rglob("*"), temporary):
            _flush(path)
        temporary.chmod(0o755)
        os.replace(temporary, target)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    sync_folder(target.parent)


@contextmanager
def locked(lock: Path) -> Iterator[None]:
    """Wait until nobody else, in this process or another, holds this file, and hold it."""
    lock.parent.mkdir(parents=True, exist_ok=True)
    with open(lock, "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _flush(path: Path) -> None:
    """A file's content or a folder's names, to disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
