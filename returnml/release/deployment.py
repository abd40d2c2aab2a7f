"""The deployment state of a task: one file, compare-and-set, the only truth about what decides.

Every transition is also in the audit trail, an append-only file of hash-chained JSON lines. Each proves the other: a
record says which roles it led to, the state which record it is of and where the trail ends (``release.proof``).
"""

from __future__ import annotations

from pathlib import Path

import msgspec
from msgspec import UNSET, UnsetType

from returnml.errors import Refusal
from returnml.files import UNDECODABLE
from returnml.release.plain import NotPlain, read_plain
from returnml.release.trail import GENESIS, Head

ROLES = ("champion", "challenger", "previous", "pending")


class AuditRecord(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who changed what, when and why; ``previous`` is the sha256 of the line before.

    Attributes:
        signature: Ed25519, hex, of this record without it (``release.seal``).
    """

    revision: int
    at_us: int
    by: str
    action: str
    why: str
    before: dict[str, str | None]
    after: dict[str, str | None]
    evidence: dict[str, str] = {}
    previous: str = GENESIS
    signature: str | UnsetType = UNSET


class DeploymentState(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What serves, and what waits.

    Attributes:
        revision: counts transitions and is what compare-and-set compares.
        pending: passed its gates and waits for a person's word.
        trail: where the audit trail ends that led here; None in a state from before trails were anchored.
    """

    revision: int = 0
    champion: str | None = None
    challenger: str | None = None
    previous: str | None = None
    pending: str | None = None
    last_transition: AuditRecord | None = None
    trail: Head | None = None

    @property
    def roles(self) -> dict[str, str | None]:
        return {role: getattr(self, role) for role in ROLES}

    def with_champion(self, version: str) -> dict[str, str | None]:
        """The roles where a release decides; the champion before becomes ``previous``."""
        if self.champion == version:
            return self.roles
        others = {role: None if held == version else held for role, held in self.roles.items()}
        return others | {"champion": version, "previous": self.champion}

    def with_pending(self, version: str | None) -> dict[str, str | None]:
        """The roles where a release waits for a person's word; one that waited before does so no longer."""
        return self.roles | {"pending": version}


class DeploymentError(Refusal):
    """A transition that cannot be made, or a state or audit trail that cannot be trusted."""


def state_after(record: AuditRecord, head: Head) -> DeploymentState:
    """The state that a record led to, and ends the trail with."""
    return DeploymentState(revision=record.revision, last_transition=record, trail=head, **record.after)


def read_state(path: Path) -> DeploymentState:
    """The state as it is written, proven by nothing (see ``release.proof``); revision 0 with nothing deployed without a file.

    Raises:
        DeploymentError: if it cannot be decoded, or the data root has one state for all tasks, as it was once.
    """
    try:
        return msgspec.json.decode(read_plain(path.parent, path.name), type=DeploymentState)
    except FileNotFoundError:
        _refuse_shared(path)
        return DeploymentState()
    except OSError as error:
        raise DeploymentError(f"{path}: {error.strerror}") from error
    except (*UNDECODABLE, NotPlain) as error:
        raise DeploymentError(f"{path}: {error}") from error


def audit_path(state: Path) -> Path:
    """The audit trail beside a deployment state."""
    return state.with_name("audit.jsonl")


def _refuse_shared(path: Path) -> None:
    shared = path.parent.with_name(path.name)
    if shared.exists():
        raise DeploymentError(
            f"{shared}: made before every task had a state of its own. It is that of the order lines' risk: move it and "
            f"{audit_path(shared).name} into the folder of that task beside it (return_risk)"
        )
