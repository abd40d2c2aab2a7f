"""What becomes of a candidate: it decides, it waits for a person's word, or it is rejected."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from returnml.ledger.clock import Clock
from returnml.release.deployment import (
    AuditRecord,
    DeploymentError,
    DeploymentState,
    audit_path,
    make_champion,
    make_pending,
    read_state,
    reject_pending,
    verify_audit,
)
from returnml.release.folder import Release


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
) -> Settled:
    """Let a candidate decide if its gates hold; or wait, where a person must say so.

    It waits where approval is required, and where it was not held against what decides now: the champion changed
    meanwhile, or could not be compared.

    Args:
        path: the deployment state.
        said: why it comes at all; put before the reason.
        evidence: kept in the audit record.

    Raises:
        DeploymentError: if the state moved on meanwhile, or the audit trail cannot be trusted.
    """
    state, version, manifest = read_state(path), candidate.version, candidate.manifest
    if manifest.rejected:
        return Settled("rejected", f"gates that do not hold: {', '.join(manifest.rejected)}", state)
    if state.champion == version:
        return Settled("champion", "it decides already", state)
    refusal = _last_word(path, version)
    if refusal is not None:
        return Settled("rejected", f"{refusal.by} rejected it: {refusal.why}", state)
    if require_approval:
        why = "its gates hold; approval is required"
    elif state.champion != manifest.compared_with and state.champion is not None:
        why = f"its gates hold, but it was compared with {manifest.compared_with or 'no champion'}, not with what decides"
    else:
        why = _joined(said, "its gates hold" if state.champion else "its gates hold and nothing was deployed")
        after = make_champion(path, version, expected_revision=state.revision, by=by, why=why, clock=clock, evidence=evidence)
        return Settled("champion", why, after)
    why = _joined(said, why)
    after = make_pending(path, version, expected_revision=state.revision, by=by, why=why, clock=clock, evidence=evidence)
    return Settled("pending", why, after)


def approve(path: Path, release: Release, *, by: str, why: str, clock: Clock) -> DeploymentState:
    """Let the release that waits decide.

    Raises:
        DeploymentError: if it does not wait.
    """
    state = read_state(path)
    if state.pending != release.version:
        raise DeploymentError(f"{path}: {release.version} is not pending (pending: {state.pending or 'none'})")
    return make_champion(path, release.version, expected_revision=state.revision, by=by, why=why, clock=clock, action="approve")


def reject(path: Path, release: Release, *, by: str, why: str, clock: Clock) -> DeploymentState:
    """Refuse the release that waits; made again, it does not wait again.

    Raises:
        DeploymentError: if it does not wait.
    """
    revision = read_state(path).revision
    return reject_pending(path, release.version, expected_revision=revision, by=by, why=why, clock=clock)


def _joined(said: str, why: str) -> str:
    return f"{said}; {why}" if said else why


def _last_word(path: Path, version: str) -> AuditRecord | None:
    """The record of a person's refusal, if that was the last that was said about the release."""
    about = [r for r in verify_audit(audit_path(path)) if version in (r.before.get("pending"), r.after.get("champion"))]
    return about[-1] if about and about[-1].action == "reject" else None
