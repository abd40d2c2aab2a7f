"""A release made again from its manifest: the same bits, or which files differ."""

from __future__ import annotations

import tempfile
from importlib.metadata import version
from pathlib import Path

import msgspec

from returnml.errors import Refusal
from returnml.modeling.data.snapshot import (
    SnapshotError,
    read_snapshot,
    snapshot_folder,
    verify_snapshot,
)
from returnml.modeling.fit.variants import recipe_of
from returnml.modeling.making.candidate import (
    POLICY_FILE,
    train_release,
)
from returnml.policy.document import Policy
from returnml.release.folder import Release, load_release, release_folder
from returnml.release.promotion import copy_release
from returnml.settings import DataPaths, GateSettings, Settings, TrainingSettings
from returnml.tasks.declaration import Task


class RebuildError(Refusal):
    """A release that cannot be made again here; the message says what is missing."""


def rebuild(release: Release, task: Task, paths: DataPaths) -> list[str]:
    """Train again on the release's snapshot with what its manifest says, in a folder of its own.

    Returns:
        The files whose bits differ; empty: none do, and the version is the same.

    Raises:
        RebuildError: if the snapshot, the feature set or a library's version is another.
        ReleaseError: if the champion that it was compared with cannot be read.
    """
    manifest, feature_set = release.manifest, task.feature_set
    if manifest.feature_set_hash != feature_set.hash:
        raise RebuildError(
            f"{release.version}: made for feature set {manifest.feature_set_hash[:12]}; this code declares "
            f"{feature_set.hash[:12]}"
        )
    other = [f"{name} {version(name)} (was {was})" for name, was in manifest.libraries.items() if version(name) != was]
    if other:
        raise RebuildError(f"{release.version}: other libraries are installed: {', '.join(other)}")
    try:
        snapshot = read_snapshot(snapshot_folder(paths.training, manifest.training_snapshot[:32]))
        verify_snapshot(snapshot)
    except SnapshotError as error:
        raise RebuildError(f"{release.version}: its snapshot: {error}") from error
    policy = msgspec.json.decode(release.read(POLICY_FILE), type=Policy)
    with tempfile.TemporaryDirectory() as folder:
        settings = _settings(release, folder)
        if manifest.compared_with is not None:
            copy_release(load_release(release_folder(paths.releases, manifest.compared_with)), settings)
        again = train_release(
            snapshot,
            task,
            settings,
            settings.paths.releases,
            manifest.compared_with,
            policy=policy,
            recipe=recipe_of(manifest.parameters),
        ).release.manifest
    names = sorted({*manifest.files, *again.files})
    differing = [name for name in names if manifest.files.get(name) != again.files.get(name)]
    return differing or ([] if again == manifest else ["manifest.json"])


def _settings(release: Release, folder: str) -> Settings:
    manifest = release.manifest
    known = {name: manifest.parameters[name] for name in TrainingSettings.__struct_fields__ if name in manifest.parameters}
    return Settings(
        data=str(Path(folder)),
        training=msgspec.convert(known, TrainingSettings),
        gates=msgspec.convert(manifest.gates, GateSettings),
    )
