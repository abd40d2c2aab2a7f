"""What releases were made from: the snapshots that their manifests name, and the trained variants, byte by byte."""

from __future__ import annotations

import hashlib
import shlex
from collections.abc import Iterator
from pathlib import Path

import msgspec

from returnml.clock import Clock
from returnml.files import UNDECODABLE
from returnml.findings import Finding
from returnml.modeling.data.snapshot import MANIFEST_FILE, SnapshotError, read_snapshot, snapshot_folder, verify_snapshot
from returnml.release.folder import ReleaseError, read_manifest
from returnml.release.plain import NotPlain, read_plain
from returnml.settings import Settings

_SCORES_AS_BEFORE = "What was released scores as before, but cannot be made again to the bit (returnml release rebuild)."


def find(settings: Settings, clock: Clock) -> Iterator[Finding]:
    """Snapshots that are damaged or gone, variants that are damaged."""
    named = _named(settings)
    for snapshot, versions in sorted(named.items()):
        try:
            folder = snapshot_folder(settings.paths.training, snapshot[:32])
        except SnapshotError:
            continue  # no manifest that was written here says so, and its release has no role
        if not folder.exists():
            yield Finding(
                code="snapshot_gone",
                where=str(folder),
                what=f"the snapshot of {', '.join(versions)} is gone",
                meaning=_SCORES_AS_BEFORE,
                mend="bring it back from a backup, if such a release is to be made again",
                is_command=False,
                is_damage=False,
            )
    for folder in _entries(settings.paths.training):
        if _is_of_before(folder):
            continue  # this code reads none of its rows: nothing is trained from it
        try:
            verify_snapshot(read_snapshot(folder))
        except SnapshotError as error:
            of = next((versions for name, versions in named.items() if name[:32] == folder.name), [])
            yield _damaged("snapshot_damaged", folder, f"{error}{f'; {of[0]} was trained on it' if of else ''}")
    for file in sorted(settings.paths.variants.rglob("*.msgpack")):
        with open(file, "rb") as content:
            digest = hashlib.file_digest(content, "sha256").hexdigest()
        if digest[:32] not in file.name:
            yield _damaged("variant_damaged", file, f"{file}: its bytes are not those that it was named after")


class _About(msgspec.Struct):
    """What tells the formats of snapshots apart."""

    content_sha256: str
    young: int | msgspec.UnsetType = msgspec.UNSET


def _is_of_before(folder: Path) -> bool:
    """Whether a snapshot is of the format that had no young rows."""
    try:
        about = msgspec.json.decode(read_plain(folder, MANIFEST_FILE), type=_About)
    except (OSError, NotPlain, *UNDECODABLE):
        return False
    return about.young is msgspec.UNSET and about.content_sha256.startswith(folder.name)


def _named(settings: Settings) -> dict[str, list[str]]:
    """The releases of each snapshot; a manifest that cannot be read is the releases' finding."""
    found: dict[str, list[str]] = {}
    for folder in _entries(settings.paths.releases):
        try:
            manifest = read_manifest(folder)
        except ReleaseError:
            continue
        found.setdefault(manifest.training_snapshot, []).append(manifest.version)
    return found


def _entries(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("*") if not path.name.startswith("."))


def _damaged(code: str, path: Path, what: str) -> Finding:
    return Finding(
        code=code,
        what=what,
        meaning=f"Nothing is trained from it: a training that meets it fails. {_SCORES_AS_BEFORE}",
        mend=f"bring it back from a backup; the next training writes its own where there is none: rm -r {shlex.quote(str(path))}",
        is_command=False,
    )
