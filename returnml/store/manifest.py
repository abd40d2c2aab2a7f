"""What a generation says about itself, and the pointer to the published one."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from returnml.features.declarations import FeatureSet
from returnml.features.tiles import GroupLayout
from returnml.release.files import replace_file, sha256

MANIFEST_FILE = "manifest.json"
POINTER_FILE = "current.json"
FORMAT = 2


class StoreError(Exception):
    """A store that cannot be used; the message names the file and the rule."""


class GroupManifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: str
    keys: int
    tiles: int


class GenerationManifest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All that decides how a generation is read; the same inputs give the same manifest, database bytes apart.

    Attributes:
        cut_off_us: every event with ``known_at`` before it is in, none other is.
        ledger_seq: events of the ledger up to this one are in, those after it in the live part.
        layout_hash: of the words of every group's rows.
        content_sha256: over all keys and values in order.
        database_bytes, database_sha256: of the data file as written.
    """

    cut_off_us: int
    ledger_seq: int
    feature_set: str
    feature_set_hash: str
    layout_hash: str
    groups: list[GroupManifest]
    content_sha256: str
    database_bytes: int
    database_sha256: str
    format: int = FORMAT

    @property
    def name(self) -> str:
        """``<cut-off>-<content hash>``: the folder's name."""
        return generation_name(self.cut_off_us, self.content_sha256)


class Pointer(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``current.json``: the published generation first, then those before it that are kept."""

    generations: list[str]
    revision: int = 0


def generation_name(cut_off_us: int, content_sha256: str) -> str:
    """
    >>> generation_name(1_308_096_000_000_000, "ab12" * 16)
    '20110615T000000000000Z-ab12ab12ab12'
    """
    at = datetime.fromtimestamp(cut_off_us // 1_000_000, UTC)
    return f"{at:%Y%m%dT%H%M%S}{cut_off_us % 1_000_000:06d}Z-{content_sha256[:12]}"


def layout_hash(feature_set: FeatureSet) -> str:
    return sha256(json.dumps([GroupLayout(group).as_data() for group in feature_set.groups]).encode())


def read_pointer(store_root: Path) -> Pointer:
    """The pointer; without generations where nothing was published yet.

    Raises:
        StoreError: if it cannot be decoded.
    """
    path = store_root / POINTER_FILE
    try:
        return msgspec.json.decode(path.read_bytes(), type=Pointer)
    except FileNotFoundError:
        return Pointer([])
    except msgspec.DecodeError as error:
        raise StoreError(f"{path}: {error}") from error


def write_pointer(store_root: Path, pointer: Pointer) -> None:
    """Flip the pointer atomically."""
    replace_file(store_root / POINTER_FILE, msgspec.json.encode(pointer) + b"\n")


def read_manifest(folder: Path) -> GenerationManifest:
    """The manifest of a generation's folder.

    Raises:
        StoreError: if it is missing, cannot be decoded, or is not of this folder.
    """
    path = folder / MANIFEST_FILE
    try:
        manifest = msgspec.json.decode(path.read_bytes(), type=GenerationManifest)
    except OSError as error:
        raise StoreError(f"{path}: not readable: {error.strerror}") from error
    except msgspec.DecodeError as error:
        raise StoreError(f"{path}: {error}") from error
    if manifest.format != FORMAT:
        raise StoreError(f"{path}: format {manifest.format}, this code reads {FORMAT}")
    if manifest.name != folder.name:
        raise StoreError(f"{path}: the manifest is of generation {manifest.name}")
    return manifest
