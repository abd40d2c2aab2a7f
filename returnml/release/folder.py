"""Release folders: written once, whole; loaded only if every file matches the manifest."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import msgspec

from returnml.release.files import UNDECODABLE, new_folder, sha256
from returnml.release.manifest import MANIFEST_FILE, MODEL_FILE, Manifest


class ReleaseError(Exception):
    """A release that cannot be used; the message names the folder, the file and the rule."""


@dataclass(frozen=True)
class Release:
    """A verified release folder."""

    path: Path
    manifest: Manifest

    @property
    def version(self) -> str:
        return self.path.name

    def read(self, name: str) -> bytes:
        """One of its files, verified again.

        Raises:
            ReleaseError: if it is not of the release, or its bytes changed.
        """
        expected = self.manifest.files.get(name)
        if expected is None:
            raise ReleaseError(f"{self.path}: the manifest names no file {name!r}")
        return _read_verified(self.path / name, expected)

    @property
    def model(self) -> bytes:
        return self.read(MODEL_FILE)


def write_release(releases: Path, manifest: Manifest, files: dict[str, bytes]) -> Release:
    """Write a release folder atomically, or return the equal one that is already there.

    Args:
        releases: the folder of all releases.
        manifest: without ``files``; they are filled in here.
        files: name to content; must hold ``model.onnx``. Names may have one folder level (``plots/roc.png``).

    Raises:
        ReleaseError: if the model is missing, or a folder of this version is there with other content.
    """
    if MODEL_FILE not in files:
        raise ReleaseError(f"a release needs {MODEL_FILE}")
    manifest = msgspec.structs.replace(manifest, files={name: sha256(content) for name, content in sorted(files.items())})
    target = releases / manifest.version
    if target.exists():
        return load_release(target)
    with new_folder(target) as folder:
        for name, content in {**files, MANIFEST_FILE: manifest.encode()}.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content)
    return load_release(target)


def load_release(path: Path) -> Release:
    """Load and verify a release folder.

    Raises:
        ReleaseError: if the manifest cannot be read, the folder's name is not its version, or a file is missing,
            changed or not in the manifest.
    """
    try:
        manifest = msgspec.json.decode((path / MANIFEST_FILE).read_bytes(), type=Manifest)
    except OSError as error:
        raise ReleaseError(f"{path}: no readable {MANIFEST_FILE}: {error.strerror}") from error
    except UNDECODABLE as error:
        raise ReleaseError(f"{path / MANIFEST_FILE}: {error}") from error
    if manifest.version != path.name:
        raise ReleaseError(f"{path}: the manifest is of version {manifest.version}: the folder or its manifest was changed")
    for name, expected in manifest.files.items():
        _read_verified(path / name, expected)
    present = {p.relative_to(path).as_posix() for p in path.rglob("*") if p.is_file()} - {MANIFEST_FILE}
    foreign = sorted(present - set(manifest.files))
    if foreign:
        raise ReleaseError(f"{path / foreign[0]}: a file that the manifest does not name")
    return Release(path, manifest)


def _read_verified(path: Path, expected: str) -> bytes:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ReleaseError(f"{path}: named by the manifest but not readable: {error.strerror}") from error
    if sha256(content) != expected:
        raise ReleaseError(
            f"{path}: its bytes do not match the manifest (sha256 {sha256(content)[:12]}, expected {expected[:12]})"
        )
    return content
