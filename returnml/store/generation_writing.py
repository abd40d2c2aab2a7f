"""Writing a generation and publishing it."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

from returnml.features.feature_set import FeatureSet
from returnml.features.union import union
from returnml.files import (
    locked,
    readable_json,
    sync_folder,
    write_synced,
)
from returnml.store.backend import Backend
from returnml.store.generation import EncodedGroup, Generation, Item, file_hash, open_generation
from returnml.store.generation_layout import StoreLayout
from returnml.store.generation_manifest import (
    MANIFEST_FILE,
    WRITING_LOCK,
    GenerationManifest,
    Pointer,
    ServedFeatureSet,
    StoreError,
    generation_name,
    group_manifest,
    read_manifest,
    read_pointer,
    stream_manifest,
    write_pointer,
)
from returnml.store.live_rebuilding import install_and_publish
from returnml.store.lmdb.environments import (
    DATABASE_FILE,
    write_database,
)

_TEMPORARY = ".generation-"


def write_generation(
    backend: Backend,
    feature_sets: Sequence[FeatureSet],
    cut_off_us: int,
    groups: Sequence[EncodedGroup],
    index: Iterable[tuple[bytes, bytes]] = (),
    ledger_seq: int = 0,
    keep: int = 3,
) -> Generation:
    """Write and publish a generation; the same content again is only published.

    A kill at any moment leaves the old generation published, or the new one.

    Args:
        backend: where it is published.
        feature_sets: those that it serves; whoever opens it asks for one of them.
        groups: one for each group of their union, in that order.
        index: order lines, returns and inspections that events may refer to, ascending by key.
        ledger_seq: the last event of the ledger that is in; those after it make the live part.
        keep: how many published generations stay on disk, the new one included.
    """
    store_root = backend.root
    declared = union(feature_sets)
    layout_hash = StoreLayout(declared).hash
    served = [ServedFeatureSet(f.name, f.version, f.hash) for f in feature_sets]
    with locked(store_root / WRITING_LOCK):
        for dead in store_root.glob(f"{_TEMPORARY}*"):
            shutil.rmtree(dead)
        heads, tiles = zip(*(group.items() for group in groups), strict=True)
        items: list[Item] = [item for part in (*heads, *tiles, *(group.lists for group in groups), index) for item in part]
        content_sha256 = _content_hash([layout_hash, *(f.hash for f in served)], ledger_seq, items)
        target = store_root / generation_name(cut_off_us, content_sha256)
        if not _is_intact(target, backend.owner):
            temporary = Path(tempfile.mkdtemp(prefix=_TEMPORARY, dir=store_root))
            write_database(temporary, items, sum(len(k) + len(v) for k, v in items))
            size, digest = file_hash(temporary / DATABASE_FILE)
            manifest = GenerationManifest(
                cut_off_us=cut_off_us,
                ledger_seq=ledger_seq,
                feature_sets=served,
                layout_hash=layout_hash,
                streams={s.name: stream_manifest(s) for group in declared for s in group.streams},
                groups=[group_manifest(d, len(g.keys), g.tile_count) for d, g in zip(declared, groups, strict=True)],
                content_sha256=content_sha256,
                database_bytes=size,
                database_sha256=digest,
                owner=backend.owner,
            )
            write_synced(temporary / MANIFEST_FILE, readable_json(manifest))
            temporary.chmod(0o755)
            sync_folder(temporary)
            if target.exists():
                shutil.rmtree(target)
            os.replace(temporary, target)
            sync_folder(store_root)
        generation = open_generation(target, feature_sets[0])
        install_and_publish(backend, generation)
        backend.keep_only(_list(store_root, target.name, keep))
    return generation


def _list(store_root: Path, name: str, keep: int) -> list[str]:
    """Say in a file what is published (the backend decides), and remove folders of long ago; returns what is kept."""
    pointer = read_pointer(store_root)
    kept = [name, *(g for g in pointer.generations if g != name)][: max(keep, 1)]
    if kept != pointer.generations:
        write_pointer(store_root, Pointer(kept, pointer.revision + 1))
    for manifest in store_root.glob(f"*/{MANIFEST_FILE}"):
        if manifest.parent.name not in kept:
            # Out of the way first: a kill inside rmtree must not leave half a generation under its name.
            dead = manifest.parent.rename(store_root / f"{_TEMPORARY}removed-{manifest.parent.name}")
            shutil.rmtree(dead)
    return kept


def _is_intact(folder: Path, owner: str) -> bool:
    try:
        manifest = read_manifest(folder)
        return manifest.owner == owner and file_hash(folder / DATABASE_FILE) == (
            manifest.database_bytes,
            manifest.database_sha256,
        )
    except (StoreError, OSError):
        return False


def _content_hash(declared: Sequence[str], ledger_seq: int, items: Iterable[Item]) -> str:
    digest = hashlib.sha256(f"{' '.join(declared)} {ledger_seq}".encode())
    for key, value in items:
        digest.update(len(key).to_bytes(4, "big") + len(value).to_bytes(8, "big") + key)
        digest.update(value)
    return digest.hexdigest()
