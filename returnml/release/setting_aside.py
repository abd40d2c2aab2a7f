"""Taking a release that is not what its manifest says out of the folder of releases, and out of force."""

from __future__ import annotations

import os
from pathlib import Path

from returnml.clock import Clock
from returnml.files import sync_folder
from returnml.release.commit import transition
from returnml.release.deployment import DeploymentError, DeploymentState
from returnml.release.folder import ReleaseError, load_release, release_folder
from returnml.release.proof import prove_trail
from returnml.release.seal import seal_of
from returnml.settings import Settings

SET_ASIDE = ".set-aside"
"""A folder below the releases. Its content is no release; people may look into it and remove it."""


def set_aside(
    settings: Settings, version: str, tasks: list[str], *, by: str, why: str, clock: Clock
) -> dict[str, DeploymentState]:
    """Take the roles from a damaged release, then move its folder, as it is, out of sight; killed, it is done again.

    Where it decided, the release before decides again if it is whole, else nothing does.

    Args:
        version: the name of its folder.
        tasks: whose states may name it.

    Returns:
        The states that changed, by task.

    Raises:
        DeploymentError: where the release is whole, or not there, or a state or trail cannot be trusted otherwise.
        ReleaseError: for what is no name of a release.
    """
    releases = settings.paths.releases
    folder = release_folder(releases, version)
    if not os.path.lexists(folder):
        raise DeploymentError(f"{folder}: there is no such release")
    try:
        load_release(folder)
    except ReleaseError as error:
        found = str(error)
    else:
        raise DeploymentError(f"{folder}: is what its manifest says; returnml release reject refuses one that waits")
    changed = {}
    for task in tasks:
        path, seal = settings.paths.deployment_state(task), seal_of(settings.trail)
        state = prove_trail(path, seal).refuse_damaged().state
        if version in state.roles.values():
            after = _roles_without(releases, state, version)
            changed[task] = transition(
                path, state, after, action="set_aside", by=by, why=why, clock=clock, evidence={"found": found}, seal=seal
            )
    _move(folder, releases / SET_ASIDE / version)
    return changed


def _roles_without(releases: Path, state: DeploymentState, version: str) -> dict[str, str | None]:
    roles = {role: None if held == version else held for role, held in state.roles.items()}
    if state.champion != version or state.previous is None:
        return roles
    try:
        load_release(release_folder(releases, state.previous))
    except ReleaseError:
        return roles
    return roles | {"champion": state.previous, "previous": None}


def _move(folder: Path, target: Path) -> None:
    """Rename, whatever it is: nothing in it is opened or followed."""
    target.parent.mkdir(exist_ok=True)
    number = 0
    while os.path.lexists(free := target.with_name(f"{target.name}.{number}" if number else target.name)):
        number += 1
    os.rename(folder, free)
    sync_folder(target.parent)
    sync_folder(folder.parent)
