"""Changing a deployment state: the one way, and what a person does about one that cannot be trusted.

The record goes into the trail first, and counts from then on; the state follows. A kill between the two leaves a state
that everybody reads as the one the record leads to, and that the next transition writes.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Literal

import msgspec

from returnml.clock import Clock
from returnml.files import (
    locked,
    readable_json,
    replace_file,
    sha256,
)
from returnml.findings import damages
from returnml.release.deployment import AuditRecord, DeploymentError, DeploymentState, audit_path, read_state, state_after
from returnml.release.proof import prove, prove_trail, restored_lines, unproven_roles, whole_records
from returnml.release.seal import UNSIGNED, Seal, SealError
from returnml.release.trail import Head, TrailError, append, heads, lines, set_aside, sign_head, signed


def transition(
    path: Path,
    before: DeploymentState,
    after: dict[str, str | None],
    *,
    action: str,
    by: str,
    why: str,
    clock: Clock,
    evidence: Mapping[str, str] | None = None,
    seal: Seal = UNSIGNED,
) -> DeploymentState:
    """Give the roles anew: append the record, then write the state. Nothing is written where they are held so already.

    Args:
        before: the state that this was decided on.
        after: all roles, by name.

    Raises:
        DeploymentError: if the state moved on since ``before``, nobody or no reason is named, or state and trail do not prove
            each other, or the key cannot be used; nothing is written then.
    """
    _refuse_blank(path, by, why)
    with _turn(path):
        proof = prove_trail(path, seal).refuse_damaged()
        state = proof.state
        if state.revision != before.revision:
            raise DeploymentError(f"{path}: at revision {state.revision}, not {before.revision}: somebody else changed it")
        if any(finding.code == "unfinished" for finding in proof.findings):
            _write(path, state)
        if state.roles == after:
            return state
        return _commit(path, state, after, action, by, why, clock, evidence or {}, seal)


def anchor(path: Path, seal: Seal = UNSIGNED) -> str:
    """Upgrade a state from before trails were anchored, or from before there was a key; returns what was done, or nothing.

    Such a state was written before its trail: what a kill left out of the trail is put there, and said.

    Raises:
        DeploymentError: where state and trail do not agree otherwise, or the key cannot be used; nothing is written then.
        TrailError: where the trail is no plain file.
    """
    with _turn(path):
        state, trail = read_state(path), audit_path(path)
        own, said = state.last_transition, "anchored"
        if own is not None and state.trail is None and len(lines(trail)) == state.revision - 1:
            if restored_lines(trail, state) is None:
                prove_trail(path).refuse_damaged()
            append(trail, own)
            said = f"anchored; only the state had its last transition: {own.action} by {own.by} ({own.why})"
        proof = prove_trail(path, seal)
        wrong = [f for f in damages(proof.findings) if f.code not in ("unanchored", "unsigned")]
        if wrong:
            raise DeploymentError("; ".join(str(finding) for finding in wrong))
        if not damages(proof.findings) or not proof.records:
            return ""
        newest = proof.records[-1]
        try:
            end = sign_head(trail, newest, heads(lines(trail))[-1], seal)
        except SealError as error:
            raise DeploymentError(str(error)) from error
        _write(path, state_after(newest, end))
        return said


def mend(
    path: Path,
    releases: Path,
    trust: Literal["state", "trail", "neither"],
    *,
    by: str,
    why: str,
    clock: Clock,
    seal: Seal = UNSIGNED,
) -> DeploymentState:
    """Make state and trail agree again by a person's word, which is a record of its own; what was wrong is kept beside it.

    Releases whose own manifest does not vouch for them lose their roles; where the champion does, the one before decides
    again, or nothing.

    Args:
        trust: ``trail``: the state is written anew. ``state``: its last transition takes the place of the trail's newest record.
            ``neither``: the trail begins anew with the roles that the state says.

    Raises:
        DeploymentError: if nothing is wrong, what is trusted is damaged itself, or nobody or no reason is named; nothing is
            written then.
    """
    _refuse_blank(path, by, why)
    with _turn(path):
        proof = prove(path, releases, seal)
        wrong = damages(proof.findings)
        if not wrong:
            raise DeploymentError(f"{path}: state and trail agree: there is nothing to mend")
        trail = audit_path(path)
        base = {"state": _from_state, "trail": _from_trail, "neither": read_state}[trust](path)
        evidence = {"trusted": trust, "found": "; ".join(f"{f.code}: {f.what}" for f in wrong)}
        evidence |= _kept(path, trail)
        after = _proven_roles(path, releases, base)
        if trust == "neither":
            trail.unlink(missing_ok=True)
            base = DeploymentState()
        elif trust == "state":
            content = restored_lines(trail, base) or []
            replace_file(trail, b"".join(line + b"\n" for line in content))
        return _commit(path, base, after, "mend", by, why, clock, evidence, seal)


def _from_state(path: Path) -> DeploymentState:
    state = read_state(path)
    if restored_lines(audit_path(path), state) is None:
        raise DeploymentError(f"{path}: its last transition does not go on from what is left of the trail: it cannot be trusted")
    return state


def _from_trail(path: Path) -> DeploymentState:
    trail = audit_path(path)
    try:
        records = whole_records(trail, lines(trail))
    except TrailError as error:
        raise DeploymentError(f"{error}: it cannot be trusted") from error
    if not records:
        raise DeploymentError(f"{trail}: there is no record: it cannot be trusted")
    return state_after(records[-1], heads(lines(trail))[-1])


def _proven_roles(path: Path, releases: Path, state: DeploymentState) -> dict[str, str | None]:
    unproven = unproven_roles(path, releases, state)
    roles = {role: None if role in unproven else held for role, held in state.roles.items()}
    if "champion" in unproven:
        roles |= {"champion": roles["previous"], "previous": None}
    return roles


def _kept(path: Path, trail: Path) -> dict[str, str]:
    """Where what was wrong is kept, for whoever looks into it."""
    try:
        kept = set_aside(trail)
    except TrailError as error:
        raise DeploymentError(f"{error}; move it away first") from error
    found = {"damaged_trail": kept} if kept else {}
    if path.exists():
        content = path.read_bytes()
        found |= {"damaged_state_sha256": sha256(content), "damaged_state": content.decode(errors="replace")}
    return found


def _commit(
    path: Path,
    before: DeploymentState,
    after: dict[str, str | None],
    action: str,
    by: str,
    why: str,
    clock: Clock,
    evidence: Mapping[str, str],
    seal: Seal,
) -> DeploymentState:
    """Append the record and write the state that it leads to; the caller has the turn, and both agree."""
    trail = audit_path(path)
    record = AuditRecord(
        revision=before.revision + 1,
        at_us=clock.now_us(),
        by=by,
        action=action,
        why=why,
        before=before.roles,
        after=after,
        evidence=dict(evidence),
        previous=heads(lines(trail))[-1].sha256,
    )
    try:
        record = signed(trail, record, seal)
    except SealError as error:
        raise DeploymentError(str(error)) from error
    append(trail, record)
    new = state_after(record, Head(record.revision, sha256(msgspec.json.encode(record))))
    _write(path, new)
    return new


def _write(path: Path, state: DeploymentState) -> None:
    replace_file(path, readable_json(state))


def _turn(path: Path) -> AbstractContextManager[None]:
    return locked(path.with_name(f".{path.name}.lock"))


def _refuse_blank(path: Path, by: str, why: str) -> None:
    for name, said in (("by", by), ("why", why)):
        if not said.strip():
            raise DeploymentError(f"{path}: `{name}` is blank; the audit trail says who and why")
