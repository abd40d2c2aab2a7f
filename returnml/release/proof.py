"""Whether deployment state, its last transition, audit trail and the manifests' own verdicts agree.

Everybody who acts on a state gets it from ``proven_state``. Who writes both files as a whole, with valid hashes, is
found by a signature (``release.seal``) or by heads that were exported before (``release.trail_heads``), by nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import msgspec

from returnml.files import sha256
from returnml.findings import Finding, damages
from returnml.release.deployment import (
    AuditRecord,
    DeploymentError,
    DeploymentState,
    audit_path,
    read_state,
    state_after,
)
from returnml.release.folder import ReleaseError, read_manifest, release_folder
from returnml.release.seal import UNSIGNED, Seal, SealError, seal_of
from returnml.release.trail import Head, TrailError, heads, is_torn, lines, mend_command, records_of, signature_problem
from returnml.settings import Settings

_NO_ROLES = DeploymentState().roles
_HAND = "Something other than a transition wrote it."


@dataclass(frozen=True)
class Proof:
    """A state and its trail, held against each other.

    Attributes:
        state: the one that both lead to; as written, where they do not agree.
        records: of the trail, oldest first; none where its chain is broken.
        findings: what does not agree, and what a kill left.
    """

    state: DeploymentState
    records: list[AuditRecord]
    findings: list[Finding]

    def refuse_damaged(self) -> Proof:
        """
        Raises:
            DeploymentError: with every damage.
        """
        found = damages(self.findings)
        if found:
            raise DeploymentError("; ".join(str(finding) for finding in found))
        return self


def prove(path: Path, releases: Path, seal: Seal = UNSIGNED) -> Proof:
    """Hold the state, its last transition, the trail and the manifests of all releases that have a role against each other.

    Args:
        path: the deployment state.
        releases: the folder of all releases. Manifests are read, no other file of a release is.
    """
    proof = prove_trail(path, seal)
    return Proof(proof.state, proof.records, [*proof.findings, *unproven_roles(path, releases, proof.state).values()])


def unproven_roles(path: Path, releases: Path, state: DeploymentState) -> dict[str, Finding]:
    """The roles whose releases their own manifests do not vouch for."""
    found = {role: _about(path, releases, role, held) for role, held in state.roles.items() if held}
    return {role: finding for role, finding in found.items() if finding is not None}


def proven_state(settings: Settings, task: str) -> DeploymentState:
    """The deployment state of a task, if all that speaks of it agrees.

    Raises:
        DeploymentError: with every damage.
    """
    return proof_of(settings, task).refuse_damaged().state


def proof_of(settings: Settings, task: str) -> Proof:
    """``prove`` for a task of a data root."""
    paths = settings.paths
    return prove(paths.deployment_state(task), paths.releases, seal_of(settings.trail))


def prove_trail(path: Path, seal: Seal = UNSIGNED) -> Proof:
    """Hold the state, its last transition and the trail against each other.

    Where a transition was killed between trail and state, the state is the one that the trail's last record leads to.
    """
    trail, state = audit_path(path), DeploymentState()
    try:
        state, found = _of_one_moment(path)
        records = whole_records(trail, found)
    except DeploymentError as error:
        mend = mend_command(path.parent.name, "--trust trail")
        return Proof(state, [], [Finding(code="state_unreadable", where=str(path), what=str(error), meaning=_HAND, mend=mend)])
    except TrailError as error:
        return Proof(state, [], [_of_trail("trail_broken", path, state, str(error), "Records were changed.")])
    ends = heads(found)
    findings = _compare(path, state, records, ends)
    if records and not damages(findings):
        findings += _unsigned(trail, records[-1], state.trail if state.revision == len(records) else None, seal)
        if state.revision < len(records):
            state = state_after(records[-1], ends[-1])
    if is_torn(trail):
        what, meaning = "its last line has no end", "It is being written, or its writer was killed; it counts as not there."
        findings.append(_left("torn_line", trail, what, meaning))
    return Proof(state, records, findings)


def is_of_itself(state: DeploymentState) -> bool:
    """Whether a state is what its own last transition led to."""
    own = state.last_transition
    if own is None:
        return state.revision == 0 and state.roles == _NO_ROLES and (state.trail is None or state.trail == Head())
    if state.trail is not None and (state.trail.count, state.trail.sha256) != (own.revision, sha256(msgspec.json.encode(own))):
        return False
    return (state.revision, state.roles) == (own.revision, _NO_ROLES | own.after)


def restored_lines(trail: Path, state: DeploymentState) -> list[bytes] | None:
    """The trail with the newest record taken from the state; None where what is left of the trail does not lead to it.

    Raises:
        TrailError: where the trail is no plain file.
    """
    own = state.last_transition
    if own is None or not is_of_itself(state):
        return None
    kept = lines(trail)[: state.revision - 1]
    try:
        whole_records(trail, kept)
    except TrailError:
        return None
    is_next = len(kept) == state.revision - 1 and heads(kept)[-1].sha256 == own.previous
    return [*kept, msgspec.json.encode(own)] if is_next else None


def _of_one_moment(path: Path) -> tuple[DeploymentState, list[bytes]]:
    """The state and the trail's lines, with at most one transition between the two."""
    state = read_state(path)
    while True:
        found = lines(audit_path(path))
        again = read_state(path)
        if again == state:
            return state, found
        state = again


def _compare(path: Path, state: DeploymentState, records: list[AuditRecord], ends: list[Head]) -> list[Finding]:
    count, own = len(records), state.last_transition
    from_trail = mend_command(path.parent.name, "--trust trail")
    if not is_of_itself(state):
        what = f"its roles or revision {state.revision} are not those that its last transition led to"
        return [Finding(code="state_edited", where=str(path), what=what, meaning=_HAND, mend=from_trail)]
    if state.revision > count:
        what = f"{count} records, but the state is of revision {state.revision}"
        meaning = "Records were dropped, or a state was put there that no transition wrote."
        if own is not None and count:
            meaning += f" If nobody knows of {own.action!r} by {own.by!r} ({own.why!r}), mend it by: {from_trail}."
        return [_of_trail("trail_shortened", path, state, what, meaning)]
    if own is not None and sha256(msgspec.json.encode(own)) != ends[state.revision].sha256:
        what = f"record {state.revision} is not the last transition of the state"
        return [_of_trail("trail_differs", path, state, what, "It was altered, or the trail was written anew.")]
    if state.revision < count - 1:
        what = f"at revision {state.revision}, but the trail has {count} records"
        return [Finding(code="state_behind", where=str(path), what=what, meaning="An older state was put back.", mend=from_trail)]
    if state.trail is None and state.revision:
        what, meaning = "no head of its trail", "It is from before trails were anchored: nothing says that the trail is whole."
        return [Finding(code="unanchored", where=str(path), what=what, meaning=meaning, mend="returnml trail anchor")]
    if state.revision < count:
        what = f"revision {count} is in the trail and not in the state"
        meaning = "A transition goes on or was killed; it counts, and the next one finishes it."
        return [_left("unfinished", path, what, meaning)]
    return []


def _of_trail(code: str, where: Path, state: DeploymentState, what: str, meaning: str) -> Finding:
    """Damage of the trail: the state has its newest record, older ones are nowhere else."""
    trail, task = audit_path(where), where.parent.name
    try:
        is_restorable = restored_lines(trail, state) is not None
    except TrailError:
        is_restorable = False
    anew = f"bring state and trail back from one backup; where there is none: {mend_command(task, '--begin-anew')}"
    mend = mend_command(task, "--trust state") if is_restorable else anew
    return Finding(code=code, where=str(trail), what=what, meaning=meaning, mend=mend, is_command=is_restorable)


def _unsigned(trail: Path, newest: AuditRecord, end: Head | None, seal: Seal) -> list[Finding]:
    try:
        problem = signature_problem(trail, newest, end, seal)
    except SealError as error:
        meaning, mend = "Nothing can be proven without the key.", "set trail.public_key to the file of the key"
        return [Finding(code="key_unusable", where=str(trail), what=str(error), meaning=meaning, mend=mend, is_command=False)]
    if problem is None:
        return []
    meaning = f"Who wrote it ({newest.action!r} by {newest.by!r}) did not have the key, or it is from before there was one."
    mend = f"returnml trail anchor, if the record is right; else {mend_command(trail.parent.name, '--begin-anew')}"
    return [Finding(code="unsigned", where=str(trail), what=problem, meaning=meaning, mend=mend, is_command=False)]


def _left(code: str, where: Path, what: str, meaning: str) -> Finding:
    mend = "nothing has to be done"
    return Finding(code=code, where=str(where), what=what, meaning=meaning, mend=mend, is_command=False, is_damage=False)


def _about(path: Path, releases: Path, role: str, version: str) -> Finding | None:
    """What the manifest of a release says against its role. One that decided before may have been removed."""
    task = path.parent.name
    try:
        folder = release_folder(releases, version)
        if role == "previous" and not folder.exists():
            return None
        manifest = read_manifest(folder)
    except ReleaseError as error:
        code, what = "release_unproven", f"the {role} cannot be proven: {error}"
    else:
        if manifest.rejected:
            code, what = "release_rejected", f"the {role} {version} is rejected by its manifest: {', '.join(manifest.rejected)}"
        elif manifest.task != task:
            code, what = "release_of_other_task", f"the {role} {version} answers {manifest.task}"
        else:
            return None
    meaning = "No transition gives such a release a role; the folder was lost, or the record was forged."
    return Finding(code=code, where=str(path), what=what, meaning=meaning, mend=mend_command(task, "--trust trail"))


def whole_records(trail: Path, found: list[bytes]) -> list[AuditRecord]:
    """The records of lines that go on from each other: by hash, by revision and by roles.

    Raises:
        TrailError: naming the first line that does not.
    """
    records, before = records_of(trail, found, AuditRecord), _NO_ROLES
    for number, record in enumerate(records, start=1):
        if record.revision != number or _NO_ROLES | record.before != before:
            raise TrailError(f"{trail}, line {number}: revision {record.revision} does not go on from the line before")
        before = _NO_ROLES | record.after
    return records
