"""Release folders: written once, whole; loaded only if every file matches the manifest."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import msgspec

from returnml.errors import Refusal
from returnml.files import (
    UNDECODABLE,
    new_folder,
    sha256,
)
from returnml.release.graph import GraphError, refuse_external
from returnml.release.manifest import MANIFEST_FILE, MODEL_FILE, Manifest
from returnml.release.plain import NotPlain, plain, plain_files, plain_parts, read_plain


class ReleaseError(Refusal):
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
        return _read_verified(self.path, name, expected)

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
        ReleaseError: if the model is missing or lies partly elsewhere, a name leads out of the folder, or a folder of this
            version is there with other content; nothing is written.
    """
    if MODEL_FILE not in files:
        raise ReleaseError(f"a release needs {MODEL_FILE}")
    _refuse_external(releases, files[MODEL_FILE])
    try:
        _ = [plain_parts(name) for name in files]
    except NotPlain as error:
        raise ReleaseError(f"{releases}: a release cannot have this file: {error}") from error
    manifest = msgspec.structs.replace(manifest, files={name: sha256(content) for name, content in sorted(files.items())})
    target = releases / manifest.version
    if target.exists():
        return load_release(target)
    with new_folder(target) as folder:
        for name, content in {**files, MANIFEST_FILE: manifest.encode()}.items():
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_bytes(content)
    return load_release(target)


def release_folder(releases: Path, version: str) -> Path:
    """Where a release of this name lies: what a state, a manifest, a log or a person names is looked for nowhere else.

    Raises:
        ReleaseError: for what is no name of a release.
    """
    try:
        return releases / plain(version)
    except NotPlain as error:
        raise ReleaseError(f"{releases}: a release is asked for by {error}") from error


def load_release(path: Path) -> Release:
    """Load and verify a release folder.

    Raises:
        ReleaseError: if the manifest cannot be read, the folder's name is not its version, a file is missing, changed, not in
            the manifest or no plain file, or the model lies partly in another file.
    """
    manifest = read_manifest(path)
    try:
        foreign = sorted(set(plain_files(path)) - {MANIFEST_FILE} - set(manifest.files))
    except NotPlain as error:
        raise ReleaseError(f"{error}: a release holds plain files only") from error
    if foreign:
        raise ReleaseError(f"{path / foreign[0]}: a file that the manifest does not name")
    for name, expected in manifest.files.items():
        content = _read_verified(path, name, expected)
        if name == MODEL_FILE:
            _refuse_external(path, content)
    return Release(path, manifest)


def read_manifest(path: Path) -> Manifest:
    """The manifest of a release folder; its files are not looked at.

    Raises:
        ReleaseError: if it cannot be read, or the folder's name is not its version.
    """
    try:
        manifest = msgspec.json.decode(read_plain(path, MANIFEST_FILE), type=Manifest)
    except OSError as error:
        raise ReleaseError(f"{path}: no readable {MANIFEST_FILE}: {error.strerror}") from error
    except NotPlain as error:
        raise ReleaseError(f"{error}: a release holds plain files only") from error
    except UNDECODABLE as error:
        raise ReleaseError(f"{path / MANIFEST_FILE}: {error}") from error
    if manifest.version != path.name:
        raise ReleaseError(f"{path}: the manifest is of version {manifest.version}: the folder or its manifest was changed")
    return manifest


def _read_verified(folder: Path, name: str, expected: str) -> bytes:
    try:
        content = read_plain(folder, name)
    except OSError as error:
        raise ReleaseError(f"{folder / name}: named by the manifest but not readable: {error.strerror}") from error
    except NotPlain as error:
        raise ReleaseError(f"{folder / MANIFEST_FILE}: names what is not its own: {error}") from error
    if sha256(content) != expected:
        raise ReleaseError(f"{folder / name}: its bytes do not match the manifest")
    return content


def _refuse_external(folder: Path, model: bytes) -> None:
    try:
        refuse_external(model)
    except GraphError as error:
        raise ReleaseError(f"{folder / MODEL_FILE}: {error}") from error
