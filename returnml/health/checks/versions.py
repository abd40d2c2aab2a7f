"""Whether what decides was made for the features that this code declares, and by the libraries that are installed."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version

from returnml.clock import Clock
from returnml.findings import Finding
from returnml.release.deployment import DeploymentError, read_state
from returnml.release.folder import ReleaseError, read_manifest, release_folder
from returnml.settings import Settings
from returnml.tasks.registry import tasks


def find(settings: Settings, clock: Clock) -> Iterator[Finding]:
    """Champion and release that waits, of every task."""
    for task in tasks().values():
        try:
            state = read_state(settings.paths.deployment_state(task.name))
        except DeploymentError:
            continue  # the check of the trails says so
        for role in ("champion", "pending"):
            held = getattr(state, role)
            try:
                manifest = read_manifest(release_folder(settings.paths.releases, held)) if held else None
            except ReleaseError:
                continue  # the check of the releases says so
            if manifest is None:
                continue
            if manifest.feature_set_hash != task.feature_set.hash:
                yield Finding(
                    code="release_of_other_features",
                    where=held,
                    what=f"the {role} of {task.name} was made for features {manifest.feature_set_hash[:12]}, this code declares "
                    f"{task.feature_set.hash[:12]}",
                    meaning="Nothing is scored with it.",
                    mend="returnml upgrade --yes",
                )
            others = {name: (made, _installed(name)) for name, made in manifest.libraries.items() if _installed(name) != made}
            if others:
                told = ", ".join(f"{name} {made}, here {here or 'not installed'}" for name, (made, here) in others.items())
                yield Finding(
                    code="other_libraries",
                    where=held,
                    what=f"the {role} of {task.name} was made with {told}",
                    meaning="It scores as before; it cannot be made again to the bit here (returnml release rebuild).",
                    mend="nothing has to be done: the next training is made with what is installed",
                    is_command=False,
                    is_damage=False,
                )


def _installed(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
