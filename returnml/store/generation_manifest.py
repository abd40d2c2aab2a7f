"""What a generation says about itself, and the pointer to the published one."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path

import msgspec

from returnml.errors import Refusal
from returnml.features.declarations import Aggregation, KeyGroup, Operation, Stream
from returnml.features.feature_set import FeatureSet
from returnml.features.windows import Window
from returnml.files import (
    UNDECODABLE,
    replace_file,
)
from returnml.release.plain import NotPlain, plain, read_plain
from returnml.store.generation_layout import StoreLayout

MANIFEST_FILE = "manifest.json"
POINTER_FILE = "current.json"
WRITING_LOCK = ".lock"
"""Held by whoever writes or loads a generation."""
FORMAT = 5


class StoreError(Refusal):
    """A store that cannot be used; the message names the file and the rule."""


class DamagedGeneration(StoreError):
    """A generation in this host's folder that is not what was written."""


class ServedFeatureSet(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A feature set of which the generation holds every tile."""

    name: str
    version: int
    hash: str


class StreamManifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One stream's declaration."""

    table: str
    columns: dict[str, int]
    is_derived: bool
    texts: tuple[str, ...]


class AggregationManifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One aggregation's declaration; its stream by name."""

    stream: str
    operation: str
    column: str | None
    windows: list[str]


class GroupManifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One group's declaration, and how many keys and tiles it has."""

    name: str
    key_columns: list[str]
    aggregations: list[AggregationManifest]
    keys: int
    tiles: int


class GenerationManifest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, dict=True):
    """All that decides how a generation is read; the same inputs give the same manifest, database bytes apart.

    Attributes:
        cut_off_us: every event with ``known_at`` before it is in, none other is.
        ledger_seq: events of the ledger up to this one are in, those after it in the live part.
        feature_sets: those that it serves.
        streams, groups: what is held for all of them together, as declared; who reads or feeds it goes by this and not by
            the feature sets of its own code.
        layout_hash: of ``StoreLayout``, by the code that wrote it.
        content_sha256: over all keys and values in order.
        database_bytes, database_sha256: of the data file as written.
        owner: the id of the data root whose it is.
    """

    cut_off_us: int
    ledger_seq: int
    feature_sets: list[ServedFeatureSet]
    layout_hash: str
    streams: dict[str, StreamManifest]
    groups: list[GroupManifest]
    content_sha256: str
    database_bytes: int
    database_sha256: str
    owner: str
    format: int = FORMAT

    @property
    def name(self) -> str:
        """``<cut-off>-<content hash>``: the folder's name."""
        return generation_name(self.cut_off_us, self.content_sha256)

    @cached_property
    def layout(self) -> StoreLayout:
        return StoreLayout([_declared(group, self.streams) for group in self.groups])

    @cached_property
    def promise(self) -> str:
        """What a prepared reader relies on; it holds for another generation with the same."""
        return " ".join([self.layout_hash, *(served.hash for served in self.feature_sets)])


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


def store_ready(manifest: GenerationManifest, feature_set_hash: str) -> bool:
    """Whether the generation holds every tile that a feature set needs."""
    return any(served.hash == feature_set_hash for served in manifest.feature_sets)


def require_served(manifest: GenerationManifest, feature_set: FeatureSet, where: object) -> None:
    """Refuse a generation that cannot be read with these declarations.

    Args:
        where: it is, for the message.

    Raises:
        StoreError: naming its format, what it serves, or that its rows are laid out otherwise than this code reads them.
    """
    if manifest.format != FORMAT:
        raise StoreError(f"{where}: format {manifest.format}, this code reads {FORMAT}: publish again")
    if not store_ready(manifest, feature_set.hash):
        served = ", ".join(f"{s.name} {s.hash[:12]}" for s in manifest.feature_sets)
        raise StoreError(
            f"{where}: foreign generation: it serves the feature sets {served}; "
            f"this code declares {feature_set.name} {feature_set.hash[:12]}"
        )
    if manifest.layout_hash != manifest.layout.hash:
        raise StoreError(f"{where}: foreign generation: its rows are laid out as {manifest.layout_hash[:12]}")


def group_manifest(group: KeyGroup, keys: int, tiles: int) -> GroupManifest:
    """The declaration as it stands in a manifest."""
    aggregations = [
        AggregationManifest(a.stream.name, a.operation.value, a.column, [w.name for w in a.windows]) for a in group.aggregations
    ]
    return GroupManifest(group.name, list(group.keys), aggregations, keys, tiles)


def stream_manifest(stream: Stream) -> StreamManifest:
    """The declaration as it stands in a manifest."""
    return StreamManifest(stream.table, stream.columns, stream.is_derived, stream.texts)


def _declared(group: GroupManifest, streams: dict[str, StreamManifest]) -> KeyGroup:
    named = {name: Stream(name, s.table, s.columns, s.is_derived, s.texts) for name, s in streams.items()}
    aggregations = (
        Aggregation(named[a.stream], Operation(a.operation), a.column, tuple(Window.parse(name) for name in a.windows))
        for a in group.aggregations
    )
    return KeyGroup(group.name, tuple(group.key_columns), tuple(aggregations))


def read_pointer(store_root: Path) -> Pointer:
    """The pointer; without generations where nothing was published yet.

    Raises:
        StoreError: if it cannot be decoded.
    """
    path = store_root / POINTER_FILE
    try:
        pointer = msgspec.json.decode(read_plain(store_root, POINTER_FILE), type=Pointer)
    except FileNotFoundError:
        return Pointer([])
    except (*UNDECODABLE, NotPlain) as error:
        raise StoreError(f"{path}: {error}") from error
    for name in pointer.generations:
        generation_folder(store_root, name)
    return pointer


def generation_folder(store_root: Path, name: str) -> Path:
    """Where a generation of this name lies: what a pointer names is looked for nowhere else.

    Raises:
        StoreError: for what is no name of a generation.
    """
    try:
        return store_root / plain(name)
    except NotPlain as error:
        raise StoreError(f"{store_root}: a generation is asked for by {error}") from error


def listed_generation(store_root: Path) -> str:
    """The name of the generation that this host's folder says is published.

    Raises:
        StoreError: if none is, or the pointer cannot be decoded.
    """
    generations = read_pointer(store_root).generations
    if not generations:
        raise StoreError(f"{store_root / POINTER_FILE}: no generation is published")
    return generations[0]


def write_pointer(store_root: Path, pointer: Pointer) -> None:
    """Flip the pointer atomically."""
    replace_file(store_root / POINTER_FILE, msgspec.json.encode(pointer) + b"\n")


def read_manifest(folder: Path) -> GenerationManifest:
    """The manifest of a generation's folder.

    Raises:
        DamagedGeneration: if it is missing, cannot be decoded, or is not of this folder.
    """
    path = folder / MANIFEST_FILE
    try:
        manifest = msgspec.json.decode(read_plain(folder, MANIFEST_FILE), type=GenerationManifest)
    except OSError as error:
        raise DamagedGeneration(f"{path}: not readable: {error.strerror}") from error
    except (*UNDECODABLE, NotPlain) as error:
        raise DamagedGeneration(f"{path}: {error}") from error
    if manifest.name != folder.name:
        raise DamagedGeneration(f"{path}: the manifest is of generation {manifest.name}")
    return manifest
