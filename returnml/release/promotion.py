"""Copies a release from one data root to another: verifies every byte, takes along the record that let it decide."""

from __future__ import annotations

import msgspec

from returnml.clock import Clock
from returnml.files import sha256
from returnml.release.deployment import AuditRecord, DeploymentError
from returnml.release.folder import Release, load_release, release_folder, write_release
from returnml.release.proof import proof_of
from returnml.release.seal import seal_of
from returnml.release.transitions import Settled, settle
from returnml.settings import Settings


def promote(version: str, source: Settings, target: Settings, *, by: str, why: str, clock: Clock) -> Settled:
    """Copy a release that decided here, and let the other root settle what becomes of it, by its own settings.

    Raises:
        ReleaseError: if a folder is not what its manifest says.
        DeploymentError: if the release never decided here, both roots are one, or an audit trail cannot be trusted.
    """
    if source.paths.root == target.paths.root:
        raise DeploymentError(
            f"profiles {source.profile} and {target.profile} have one data root, {source.paths.root}: set "
            f"`data` in [profiles.{target.profile}]"
        )
    release = load_release(release_folder(source.paths.releases, version))
    record = _made_champion(source, release)
    arrived = copy_release(release, target)
    evidence = {
        "from_profile": source.profile,
        "from_revision": str(record.revision),
        "from_action": record.action,
        "from_by": record.by,
        "from_why": record.why,
        "from_at_us": str(record.at_us),
        "from_record_sha256": sha256(msgspec.json.encode(record)),
    }
    task = release.manifest.task
    state, approval = target.paths.deployment_state(task), target.of_task(task).gates.require_approval
    said, seal = f"promoted from {source.profile}: {why}", seal_of(target.trail)
    return settle(state, arrived, approval, by, clock, said=said, evidence=evidence, seal=seal)


def copy_release(release: Release, target: Settings) -> Release:
    """The release in another root; nothing is written where it is there already.

    Raises:
        ReleaseError: if a byte changed, here or there.
    """
    files = {name: release.read(name) for name in release.manifest.files}
    return write_release(target.paths.releases, msgspec.structs.replace(release.manifest, files={}), files)


def _made_champion(source: Settings, release: Release) -> AuditRecord:
    task, version = release.manifest.task, release.version
    found = proof_of(source, task).refuse_damaged().records
    records = [r for r in found if r.after.get("champion") == version != r.before.get("champion")]
    if not records:
        raise DeploymentError(f"{task}: {version} never decided here; only what did is promoted")
    return records[-1]
