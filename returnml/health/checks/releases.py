"""Every release folder against its manifest, byte by byte."""

from __future__ import annotations

from collections.abc import Iterator

from returnml.clock import Clock
from returnml.findings import Finding
from returnml.release.deployment import DeploymentError, read_state
from returnml.release.folder import ReleaseError, load_release
from returnml.release.proof import prove_trail
from returnml.settings import Settings
from returnml.tasks.registry import tasks


def find(settings: Settings, clock: Clock) -> Iterator[Finding]:
    """What is damaged, whether or not it has a role."""
    paths = settings.paths
    folders = [path for path in sorted(paths.releases.glob("*")) if not path.name.startswith(".")]
    roles = _roles(settings)
    for folder in folders:
        try:
            load_release(folder)
        except ReleaseError as error:
            role = roles.get(folder.name)
            yield Finding(
                code="release_damaged",
                what=str(error),
                meaning=f"It has the role {role}: no worker that starts now scores with it." if role else "It has no role.",
                mend=f"returnml release set-aside {folder.name} --by WHO --why WHY",
            )
    there = {folder.name for folder in folders}
    for version, role in roles.items():
        if role == "previous" and version not in there:
            yield Finding(
                code="previous_gone",
                where=str(paths.releases),
                what=f"{version}, which decided before, is gone",
                meaning="Nobody can go back to it.",
                mend="nothing has to be done",
                is_command=False,
                is_damage=False,
            )
    yield from nothing_decides(settings)


def nothing_decides(settings: Settings) -> Iterator[Finding]:
    """Tasks of which a release decided once and none does now."""
    for task in tasks():
        path = settings.paths.deployment_state(task)
        proof = prove_trail(path)
        state = proof.state
        decided = [held for record in proof.records if (held := record.after.get("champion"))]
        if state.champion is not None or not decided:
            continue  # where the trail cannot be read its own check says so
        waits = f"{state.pending} waits for a person's word" if state.pending else "none waits"
        yield Finding(
            code="nothing_decides",
            where=str(path),
            what=f"{decided[-1]} decided about {task} before; no release does now, {waits}",
            meaning="Nothing is scored. Where a candidate was trained, returnml release list says which gates it did not hold: "
            "it takes more data, or other settings of the gates.",
            mend=f"returnml release approve {state.pending} --by WHO --why WHY" if state.pending else "returnml run",
        )


def _roles(settings: Settings) -> dict[str, str]:
    found: dict[str, str] = {}
    for task in tasks():
        try:
            state = read_state(settings.paths.deployment_state(task))
        except DeploymentError:
            continue  # the check of the trails says so
        found |= {version: role for role, version in state.roles.items() if version}
    return found
