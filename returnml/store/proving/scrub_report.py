"""What the last pass over generation and ledger found, in a file: who scores, takes events in or looks heeds it."""

from __future__ import annotations

from pathlib import Path

import msgspec

from returnml.files import UNDECODABLE
from returnml.findings import Finding
from returnml.store.generation_manifest import StoreError

REPORT_FILE = "scrubbed.json"
_OF_GENERATION = ("generation_damaged", "loaded_generation_differs")


class Scrubbed(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the last pass read and found.

    Attributes:
        segment: of the ledger, the last when it was read; events that come go there.
    """

    checked_at_us: int
    generation: str | None
    bytes: int
    segment: str | None
    findings: list[Finding]

    @property
    def keeps_from_scoring(self) -> str | None:
        """Why nothing may be scored: values that may be wrong are not answered with."""
        return next((f"{f.what}; {f.mend}" for f in self.findings if f.code in _OF_GENERATION), None)

    @property
    def keeps_from_events(self) -> str | None:
        """Why no event may be taken in: no verdict is given by values that may be wrong, and what is appended to a damaged
        segment would be lost with it when an older copy of it is brought back. Another segment's damage waits."""
        in_segment = (f for f in self.findings if f.code == "ledger_damaged" and self.segment and self.segment in f.what)
        return self.keeps_from_scoring or next((f"{f.what}; {f.mend}" for f in in_segment), None)


def read_report(store_root: Path) -> Scrubbed | None:
    """What the last pass on this host found; None before the first.

    Raises:
        StoreError: where the report cannot be read.
    """
    path = store_root / REPORT_FILE
    try:
        return msgspec.json.decode(path.read_bytes(), type=Scrubbed)
    except FileNotFoundError:
        return None
    except UNDECODABLE as error:
        raise StoreError(f"{path}: {error}; it may be removed") from error
