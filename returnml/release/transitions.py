"""What becomes of a candidate: it decides, it waits for a person's word, or it is rejected."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from returnml.clock import Clock
from returnml.release.commit import transition
from returnml.release.deployment import AuditRecord, DeploymentError, DeploymentState
from returnml.release.folder import Release, load_release, release_folder
from returnml.release.manifest import MODEL_FILE
from returnml.release.proof import prove
from returnml.release.seal import UNSIGNED, Seal


@dataclass(frozen=True)
class Settled:
    """What became of a candidate, and why."""

    verdict: Literal["champion", "pending", "rejected"]
    why: str
    state: DeploymentState


def settle(
    path: Path,
    candidate: Release,
    require_approval: bool,
    by: str,
    clock: Clock,
    *,
    said: str = "",
    evidence: Mapping[str, str] | None = None,
    seal: Seal = UNSIGNED,
) -> Settled:
    """Let a candidate decide if its gates hold; or wait, where a person must say so.

    It waits where approval is required, and where it was not held against what decides now: the champion changed
    meanwhile, or could not be compared. One whose model is the champion's, made again with another card or report, need not be.

    Args:
        path: the deployment state.
        said: why it comes at all; put before the reason.
        evidence: kept in the audit record.

    Raises:
        DeploymentError: if the state moved on meanwhile; or state, trail and manifests do not prove each other.
        ReleaseError: if the champion's folder is not what its manifest says.
    """
    proof = prove(path, candidate.path.parent, seal).refuse_damaged()
    state, version, manifest = proof.state, candidate.version, candidate.manifest
    if manifest.rejected:
        return Settled("rejected", f"gates that do not hold: {', '.join(manifest.rejected)}", state)
    if state.champion == version:
        return Settled("champion", "it decides already", state)
    refusal = _last_word(proof.records, version)
    if refusal is not None:
        return Settled("rejected", f"{refusal.by} rejected it: {refusal.why}", state)
    verdict: Literal["champion", "pending"] = "pending"
    if require_approval:
        held = "its gates hold; approval is required"
    elif state.champion is None:
        verdict, held = "champion", "its gates hold and nothing was deployed"
    elif state.champion == manifest.compared_with:
        verdict, held = "champion", "its gates hold"
    elif _is_same_model(candidate, state.champion):
        verdict, held = "champion", "its gates hold, and its model is the champion's to the bit"
    else:
        held = f"its gates hold, but it was compared with {manifest.compared_with or 'no champion'}, not with what decides"
    why = f"{said}; {held}" if said else held
    after = state.with_champion(version) if verdict == "champion" else state.with_pending(version)
    settled = transition(path, state, after, action=f"make_{verdict}", by=by, why=why, clock=clock, evidence=evidence, seal=seal)
    return Settled(verdict, why, settled)


def approve(path: Path, release: Release, *, by: str, why: str, clock: Clock, seal: Seal = UNSIGNED) -> DeploymentState:
    """Let the release that waits decide.

    Raises:
        DeploymentError: if it does not wait; or state, trail and manifests do not prove each other.
    """
    state = _awaiting(path, release, seal)
    after = state.with_champion(release.version)
    return transition(path, state, after, action="approve", by=by, why=why, clock=clock, seal=seal)


def reject(path: Path, release: Release, *, by: str, why: str, clock: Clock, seal: Seal = UNSIGNED) -> DeploymentState:
    """Refuse the release that waits; made again, it does not wait again.

    Raises:
        DeploymentError: if it does not wait; or state, trail and manifests do not prove each other.
    """
    state = _awaiting(path, release, seal)
    return transition(path, state, state.with_pending(None), action="reject", by=by, why=why, clock=clock, seal=seal)


def _is_same_model(candidate: Release, champion: str) -> bool:
    """Whether the champion, in the folder beside the candidate's, decides the same about every row by the same policy."""
    ours, theirs = (r.manifest for r in (candidate, load_release(release_folder(candidate.path.parent, champion))))
    return (ours.files[MODEL_FILE], ours.feature_set_hash, ours.policy_hash) == (
        theirs.files[MODEL_FILE],
        theirs.feature_set_hash,
        theirs.policy_hash,
    )


def _awaiting(path: Path, release: Release, seal: Seal) -> DeploymentState:
    """The state in which a release waits."""
    state = prove(path, release.path.parent, seal).refuse_damaged().state
    if state.pending != release.version:
        raise DeploymentError(f"{path}: {release.version} is not pending (pending: {state.pending or 'none'})")
    return state


def _last_word(records: list[AuditRecord], version: str) -> AuditRecord | None:
    """The record of a person's refusal, if that was the last that was said about the release."""
    about = [r for r in records if version in (r.before.get("pending"), r.after.get("champion"))]
    return about[-1] if about and about[-1].action == "reject" else None
