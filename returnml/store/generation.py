"""One generation's content, and opening it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from returnml.features.feature_set import FeatureSet
from returnml.features.tiles.arithmetic import WORD
from returnml.release.plain import NotPlain, plain_files
from returnml.store.backend import Values
from returnml.store.generation_manifest import (
    MANIFEST_FILE,
    DamagedGeneration,
    GenerationManifest,
    StoreError,
    generation_folder,
    listed_generation,
    read_manifest,
    require_served,
)
from returnml.store.keys import TILES, in_section
from returnml.store.lmdb.environments import (
    DATABASE_FILE,
    LOCK_FILE,
    LmdbReader,
)
from returnml.store.owner import owner_beside, require_owned

Item = tuple[bytes, bytes | memoryview]


@dataclass(frozen=True)
class Packed:
    """Many values, one after the other.

    Attributes:
        words: int64.
        ends: int64, shape (keys,): where each value ends, in words.
    """

    words: np.ndarray
    ends: np.ndarray

    def values(self) -> list[memoryview]:
        content = memoryview(self.words.tobytes())
        ends = (self.ends * WORD).tolist()
        return [content[begin:end] for begin, end in zip([0, *ends], ends, strict=False)]


@dataclass(frozen=True)
class EncodedGroup:
    """The content of one key group.

    Attributes:
        keys: encoded, in any order, no two alike.
        heads, tiles: the values in the order of ``keys`` (see ``features.tiles.heads`` and ``features.tiles.arithmetic``).
        tile_count: how many tiles they hold.
        lists: ascending by key, the values of ``distinct`` measures (see ``features.tiles.value_lists``).
    """

    name: str
    keys: list[bytes]
    heads: Packed
    tiles: Packed
    tile_count: int
    lists: Sequence[Item] = ()

    def items(self) -> tuple[list[Item], list[Item]]:
        """Heads and tiles, each with their keys in ascending order."""
        order = sorted(range(len(self.keys)), key=self.keys.__getitem__)
        heads, tiles = self.heads.values(), self.tiles.values()
        return [(self.keys[i], heads[i]) for i in order], [(in_section(TILES, self.keys[i]), tiles[i]) for i in order]


class Generation:
    """An opened generation in its folder: its manifest and its values."""

    def __init__(self, path: Path, manifest: GenerationManifest) -> None:
        self.path = path
        self.manifest = manifest
        self.name = manifest.name
        self._reader = LmdbReader(path)

    @property
    def cut_off_us(self) -> int:
        return self.manifest.cut_off_us

    def read(self, keys: Sequence[bytes]) -> Values:
        """The values of ``keys``, None where unknown."""
        return self._reader.read(keys)

    @property
    def entries(self) -> int:
        """How many keys it has."""
        return self._reader.entries

    def items(self) -> Iterator[tuple[bytes, bytes]]:
        """All keys in ascending order, with their values."""
        return self._reader.items()


def open_generation(folder: Path, feature_set: FeatureSet, is_verified: bool = True) -> Generation:
    """Open one generation.

    Args:
        feature_set: one that it must serve.
        is_verified: whether every byte is checked; else only the manifest and the file's size, which takes no time.

    Raises:
        DamagedGeneration: if it is torn or not readable.
        StoreError: if it does not serve the feature set, is another data root's, or holds anything but its own plain files.
    """
    manifest = read_manifest(folder)
    require_served(manifest, feature_set, folder / MANIFEST_FILE)
    require_owned(manifest.owner, owner_beside(folder.parent), folder / MANIFEST_FILE)
    database = folder / DATABASE_FILE
    try:
        foreign = sorted(set(plain_files(folder)) - {MANIFEST_FILE, DATABASE_FILE, LOCK_FILE})
        if foreign:
            raise StoreError(f"{folder / foreign[0]}: no file of a generation")
        size, digest = file_hash(database) if is_verified else (database.stat().st_size, manifest.database_sha256)
    except OSError as error:
        raise DamagedGeneration(f"{database}: not readable: {error.strerror}") from error
    except NotPlain as error:
        raise StoreError(f"{error}: a generation holds plain files only") from error
    if (size, digest) != (manifest.database_bytes, manifest.database_sha256):
        raise DamagedGeneration(f"{database}: torn or changed: its {size} bytes do not match the manifest")
    return Generation(folder, manifest)


def open_current(store_root: Path, feature_set: FeatureSet) -> Generation:
    """Open the published generation.

    Raises:
        StoreError: if nothing is published, or what is cannot be used.
    """
    return open_generation(generation_folder(store_root, listed_generation(store_root)), feature_set)


def file_hash(path: Path) -> tuple[int, str]:
    """Size in bytes, and sha256 (hex)."""
    with open(path, "rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        return file.tell(), digest
