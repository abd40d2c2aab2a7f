"""Landing files against their sidecars and deliveries, byte by byte."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

from returnml.clock import Clock
from returnml.contracts.columns import STREAMS
from returnml.findings import Finding
from returnml.settings import Settings
from returnml.sources.landing import PENDING, LandingError, LandingFile, history, records

_MEANING = "Its rows cannot be ingested again; what the warehouse has of them stays."
_MEND = "bring the file and its sidecar back from a backup, or import what the shop delivered for that day again"


def find(settings: Settings, clock: Clock) -> Iterator[Finding]:
    """Every version of every day of every stream, and the records of the deliveries."""
    landing = settings.paths.landing
    try:
        records(landing)
    except LandingError as error:
        yield _damaged(str(error), "Nothing of that delivery is seen.")
        return
    if (landing / "deliveries" / PENDING).exists():
        yield Finding(
            code="delivery_unfinished",
            where=str(landing / "deliveries" / PENDING),
            what="a delivery is being written, or was killed",
            meaning="Nothing of it is seen; the next one removes what it left.",
            mend="where it was killed, import it again",
            is_command=False,
            is_damage=False,
        )
    for stream in STREAMS:
        try:
            files = history(landing, stream)
        except LandingError as error:
            yield _damaged(str(error))
            continue
        for file in files:
            if problem := _problem(file):
                yield _damaged(f"{file.path}: {problem}")


def _problem(file: LandingFile) -> str | None:
    try:
        found = _sha256(file.path)
    except OSError as error:
        return f"not readable: {error.strerror}"
    return None if found == file.sha256 else "its bytes are not those that its sidecar describes"


def _sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _damaged(what: str, meaning: str = _MEANING) -> Finding:
    return Finding(code="landing_damaged", what=what, meaning=meaning, mend=_MEND, is_command=False)
