"""The deployment state of a task: one file, compare-and-set, the only truth about what decides.

Every transition is also in the audit trail, an append-only file of hash-chained JSON lines. The state carries its own
last audit record, so that a kill between the two writes is repaired by the next transition.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import msgspec

from returnml.clock import Clock
from returnml.files import (
    UNDECODABLE,
    locked,
    readable_json,
    replace_file,
)
from returnml.release.trail import GENESIS, TrailError, append, last_hash, last_record, mend, read_trail


class AuditRecord(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who changed what, when and why; ``previous`` is the sha256 of the line before."""

    revision: int
    at_us: int
    by: str
    action: str
    why: str
    before: dict[str, str | None]
    after: dict[str, str | None]
    evidence: dict[str, str] = {}
    previous: str = GENESIS


class DeploymentState(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What serves, and what waits.

    Attributes:
        revision: counts transitions and is what compare-and-set compares.
        pending: passed its gates and waits for a person's word.
    """

    revision: int = 0
    champion: str | None = None
    challenger: str | None = None
    previous: str | None = None
    pending: str | None = None
    last_transition: AuditRecord | None = None

    @property
    def roles(self) -> dict[str, str | None]:
        roles = ("champion", "challenger", "previous", "pending")
        return {role: getattr(self, role) for role in roles}

    def with_champion(self, version: str) -> dict[str, str | None]:
        """The roles where a release decides; the champion before becomes ``previous``."""
        if self.champion == version:
            return self.roles
        others = {role: None if held == version else held for role, held in self.roles.items()}
        return others | {"champion": version, "previous": self.champion}

    def with_pending(self, version: str | None) -> dict[str, str | None]:
        """The roles where a release waits for a person's word; one that waited before does so no longer."""
        return self.roles | {"pending": version}


class DeploymentError(Exception):
    """A transition that cannot be made, or a state or audit trail that cannot be trusted."""


def read_state(path: Path) -> DeploymentState:
    """The state; revision 0 with nothing deployed where the file is not there yet.

    Raises:
        DeploymentError: if it cannot be decoded, or the data root has one state for all tasks, as it was once.
    """
    try:
        return msgspec.json.decode(path.read_bytes(), type=DeploymentState)
    except FileNotFoundError:
        _refuse_shared(path)
        return DeploymentState()
    except UNDECODABLE as error:
        raise DeploymentError(f"{path}: {error}") from error


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
) -> DeploymentState:
    """Give the roles anew: write the state, then its record. Nothing is written where they are held so already.

    Args:
        before: the state that this was decided on.
        after: all roles, by name.

    Raises:
        DeploymentError: if the state moved on since ``before``, nobody or no reason is named, or the audit trail's last line is
            no record; nothing is written then.
    """
    for name, said in (("by", by), ("why", why)):
        if not said.strip():
            raise DeploymentError(f"{path}: `{name}` is blank; the audit trail says who and why")
    with locked(path.with_name(f".{path.name}.lock")):
        state = read_state(path)
        if state.revision != before.revision:
            raise DeploymentError(f"{path}: at revision {state.revision}, not {before.revision}: somebody else changed it")
        if state.roles == after:
            return state
        trail = audit_path(path)
        _repair(trail, state)
        record = AuditRecord(
            revision=state.revision + 1,
            at_us=clock.now_us(),
            by=by,
            action=action,
            why=why,
            before=state.roles,
            after=after,
            evidence=dict(evidence or {}),
            previous=last_hash(trail),
        )
        new = DeploymentState(revision=record.revision, last_transition=record, **after)
        replace_file(path, readable_json(new))
        append(trail, record)
        return new


def _refuse_shared(path: Path) -> None:
    shared = path.parent.with_name(path.name)
    if shared.exists():
        raise DeploymentError(
            f"{shared}: made before every task had a state of its own. It is that of the order lines' risk: move it and "
            f"{audit_path(shared).name} into the folder of that task beside it (return_risk)"
        )


def audit_path(state: Path) -> Path:
    """The audit trail beside a deployment state."""
    return state.with_name("audit.jsonl")


def verify_audit(trail: Path) -> list[AuditRecord]:
    """All records, oldest first.

    Raises:
        DeploymentError: naming the first line whose chain is broken.
    """
    try:
        return read_trail(trail, AuditRecord)
    except TrailError as error:
        raise DeploymentError(str(error)) from error


def _repair(trail: Path, state: DeploymentState) -> None:
    """Write the record of a transition that was killed between state and trail, and drop a torn last line."""
    mend(trail)
    try:
        last = last_record(trail, AuditRecord)
    except TrailError as error:
        raise DeploymentError(str(error)) from error
    if state.last_transition is not None and (last is None or last.revision < state.revision):
        append(trail, state.last_transition)
