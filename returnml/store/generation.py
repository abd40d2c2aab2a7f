"""Publishing a generation, and opening the published one."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import msgspec
import numpy as np

from returnml.features.declarations import FeatureSet
from returnml.release.files import sync_folder, write_synced
from returnml.store.lmdb_backend import DATABASE_FILE, LmdbReader, write_database
from returnml.store.manifest import (
    MANIFEST_FILE,
    POINTER_FILE,
    GenerationManifest,
    GroupManifest,
    Pointer,
    StoreError,
    generation_name,
    layout_hash,
    read_manifest,
    read_pointer,
    write_pointer,
)

_TEMPORARY = ".generation-"
T = TypeVar("T")


@dataclass(frozen=True)
class EncodedGroup:
    """The content of one key group.

    Attributes:
        keys: encoded, in any order, no two alike.
        words: int64, all values one after the other, in the order of ``keys``.
        ends: int64, shape (keys,): where each value ends, in words.
        tiles: how many tiles they hold.
    """

    name: str
    keys: list[bytes]
    words: np.ndarray
    ends: np.ndarray
    tiles: int

    def items(self) -> Iterator[tuple[bytes, memoryview]]:
        """Keys in ascending order with their values."""
        content = memoryview(self.words.tobytes())
        ends = (self.ends * 8).tolist()
        begins = [0, *ends[:-1]]
        for i in sorted(range(len(self.keys)), key=self.keys.__getitem__):
            yield self.keys[i], content[begins[i] : ends[i]]


class Generation:
    """An opened generation: its manifest and its values."""

    def __init__(self, path: Path, manifest: GenerationManifest) -> None:
        self.path = path
        self.manifest = manifest
        self._reader = LmdbReader(path)

    @property
    def name(self) -> str:
        return self.manifest.name

    @property
    def cut_off_us(self) -> int:
        return self.manifest.cut_off_us

    def read(self, keys: Sequence[bytes], consume: Callable[[list[memoryview | None]], T]) -> T:
        """Hand the values of ``keys`` (None where unknown) to ``consume``; the buffers are valid only inside it."""
        return self._reader.read(keys, consume)


def write_generation(
    store_root: Path, feature_set: FeatureSet, cut_off_us: int, groups: Sequence[EncodedGroup], keep: int = 3
) -> Generation:
    """Write and publish a generation; the same content again is only published.

    A kill at any moment leaves the old generation published, or the new one.

    Args:
        store_root: the folder of all generations.
        groups: one for each of ``feature_set.groups``, in that order.
        keep: how many published generations stay on disk, the new one included.
    """
    store_root.mkdir(parents=True, exist_ok=True)
    with _locked(store_root):
        for dead in store_root.glob(f"{_TEMPORARY}*"):
            shutil.rmtree(dead)
        items = [item for group in groups for item in group.items()]
        content_sha256 = _content_hash(feature_set, items)
        target = store_root / generation_name(cut_off_us, content_sha256)
        if not _is_intact(target):
            temporary = Path(tempfile.mkdtemp(prefix=_TEMPORARY, dir=store_root))
            write_database(temporary, items, sum(len(k) + len(v) for k, v in items))
            size, digest = _file_hash(temporary / DATABASE_FILE)
            manifest = GenerationManifest(
                cut_off_us=cut_off_us,
                feature_set=feature_set.name,
                feature_set_hash=feature_set.hash,
                layout_hash=layout_hash(feature_set),
                groups=[GroupManifest(g.name, len(g.keys), g.tiles) for g in groups],
                content_sha256=content_sha256,
                database_bytes=size,
                database_sha256=digest,
            )
            write_synced(temporary / MANIFEST_FILE, msgspec.json.format(msgspec.json.encode(manifest), indent=2) + b"\n")
            temporary.chmod(0o755)
            sync_folder(temporary)
            if target.exists():
                shutil.rmtree(target)
            os.replace(temporary, target)
            sync_folder(store_root)
        _publish(store_root, target.name, keep)
    return open_generation(target, feature_set)


def open_generation(folder: Path, feature_set: FeatureSet) -> Generation:
    """Open and verify one generation.

    Raises:
        StoreError: if it is of other declarations, torn, or not readable.
    """
    manifest = read_manifest(folder)
    if manifest.feature_set_hash != feature_set.hash or manifest.layout_hash != layout_hash(feature_set):
        raise StoreError(
            f"{folder / MANIFEST_FILE}: foreign generation: feature-set hash {manifest.feature_set_hash[:12]}, "
            f"this code declares {feature_set.name} {feature_set.hash[:12]}"
        )
    database = folder / DATABASE_FILE
    try:
        size, digest = _file_hash(database)
    except OSError as error:
        raise StoreError(f"{database}: not readable: {error.strerror}") from error
    if (size, digest) != (manifest.database_bytes, manifest.database_sha256):
        raise StoreError(f"{database}: torn or changed: its {size} bytes do not match the manifest")
    return Generation(folder, manifest)


def open_current(store_root: Path, feature_set: FeatureSet) -> Generation:
    """Open the published generation.

    Raises:
        StoreError: if nothing is published, or what is cannot be used.
    """
    pointer = read_pointer(store_root)
    if not pointer.generations:
        raise StoreError(f"{store_root / POINTER_FILE}: no generation is published")
    return open_generation(store_root / pointer.generations[0], feature_set)


def _publish(store_root: Path, name: str, keep: int) -> None:
    pointer = read_pointer(store_root)
    kept = [name, *(g for g in pointer.generations if g != name)][: max(keep, 1)]
    if kept != pointer.generations:
        write_pointer(store_root, Pointer(kept, pointer.revision + 1))
    for manifest in store_root.glob(f"*/{MANIFEST_FILE}"):
        if manifest.parent.name not in kept:
            # Out of the way first: a kill inside rmtree must not leave half a generation under its name.
            dead = manifest.parent.rename(store_root / f"{_TEMPORARY}removed-{manifest.parent.name}")
            shutil.rmtree(dead)


def _is_intact(folder: Path) -> bool:
    try:
        manifest = read_manifest(folder)
        return _file_hash(folder / DATABASE_FILE) == (manifest.database_bytes, manifest.database_sha256)
    except (StoreError, OSError):
        return False


def _content_hash(feature_set: FeatureSet, items: Iterable[tuple[bytes, memoryview]]) -> str:
    digest = hashlib.sha256((feature_set.hash + layout_hash(feature_set)).encode())
    for key, value in items:
        digest.update(len(key).to_bytes(4, "big") + len(value).to_bytes(8, "big") + key)
        digest.update(value)
    return digest.hexdigest()


def _file_hash(path: Path) -> tuple[int, str]:
    with open(path, "rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        return file.tell(), digest


@contextmanager
def _locked(store_root: Path) -> Iterator[None]:
    with open(store_root / ".lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
