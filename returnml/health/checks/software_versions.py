"""Whether what decides was made for the features that this code declares, and by the libraries that are installed."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version

from returnml.clock import Clock
from returnml.findings import Finding
from returnml.release.deployment import DeploymentError, read_state
from returnml.release.folder import ReleaseError, read_manifest, release_folder
from returnml.release.manifest import Manifest
from returnml.settings import Settings
from returnml.tasks.declaration import Task
from returnml.tasks.registry import tasks


def find(settings: Settings, clock: Clock) -> Iterator[Finding]:
    """Champion and release that waits, of every task."""
    for name, role, release, made, here in of_other_features(settings):
        yield Finding(
            code="release_of_other_features",
            where=release,
            what=f"the {role} of {name} was made for features {made[:12]}, this code declares {here[:12]}",
            meaning="Nothing is scored with it.",
            mend="returnml upgrade --yes",
        )
    for task, role, manifest in _held(settings):
        others = {name: (made, _installed(name)) for name, made in manifest.libraries.items() if _installed(name) != made}
        if others:
            told = ", ".join(f"{name} {made}, here {here or 'not installed'}" for name, (made, here) in others.items())
            yield Finding(
                code="other_libraries",
                where=manifest.version,
                what=f"the {role} of {task.name} was made with {told}",
                meaning="It scores as before; it cannot be made again to the bit here (returnml release rebuild).",
                mend="nothing has to be done: the next training is made with what is installed",
                is_command=False,
                is_damage=False,
            )


def of_other_features(settings: Settings) -> Iterator[tuple[str, str, str, str, str]]:
    """Champions and releases that wait which this code cannot score with: task, role, version, and both hashes."""
    for task, role, manifest in _held(settings):
        if manifest.feature_set_hash != task.feature_set.hash:
            yield task.name, role, manifest.version, manifest.feature_set_hash, task.feature_set.hash


def _held(settings: Settings) -> Iterator[tuple[Task, str, Manifest]]:
    """What cannot be read is told by the checks of trails and releases."""
    for task in tasks(settings.shop_attributes).values():
        try:
            state = read_state(settings.paths.deployment_state(task.name))
        except DeploymentError:
            continue
        for role in ("champion", "pending"):
            held = getattr(state, role)
            if not held:
                continue
            try:
                yield task, role, read_manifest(release_folder(settings.paths.releases, held))
            except ReleaseError:
                continue


def _installed(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
