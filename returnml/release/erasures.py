"""Who was forgotten, by pseudonym: when, by whom and why. An append-only trail like that of deployments."""

from __future__ import annotations

from pathlib import Path

import msgspec

from returnml.files import locked
from returnml.release import trail
from returnml.release.trail import GENESIS, read_trail


class Erasure(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One forgotten customer; ``seq`` is the erasure's position in the event ledger."""

    pseudonym: str
    at_us: int
    by: str
    why: str
    seq: int
    previous: str = GENESIS


def record_erasure(path: Path, erasure: Erasure) -> Erasure:
    """Append an erasure, unless the pseudonym's is there; returns the one that is there.

    Raises:
        TrailError: where the trail cannot be trusted; nothing is appended.
    """
    with locked(path.with_name(f".{path.name}.lock")):
        trail.mend(path)
        for known in read_erasures(path):
            if known.pseudonym == erasure.pseudonym:
                return known
        chained = msgspec.structs.replace(erasure, previous=trail.last_hash(path))
        trail.append(path, chained)
        return chained


def read_erasures(path: Path) -> list[Erasure]:
    """All erasures, oldest first.

    Raises:
        TrailError: naming the first line whose chain is broken.
    """
    return read_trail(path, Erasure)
