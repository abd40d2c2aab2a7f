"""What can be wrong with a store, what follows from it, and the command that mends it.

A command is named only where a test shows that the check which found the damage finds nothing after it.
"""

from __future__ import annotations

from returnml.findings import Finding
from returnml.instants import instant

REBUILD = "returnml store rebuild"
_PUBLISH = "returnml store publish"


def generation_damaged(what: str, cut_off_us: int | None) -> Finding:
    """The published generation in this host's folder is not what was written.

    Args:
        cut_off_us: its own, where that is known: then the same generation is written again.
    """
    return Finding(
        code="generation_damaged",
        what=what,
        meaning="features that are read from it may be wrong: it is not scored from, and nothing is rebuilt from it",
        mend=_PUBLISH if cut_off_us is None else f"{_PUBLISH} --cut-off {instant(cut_off_us):%Y-%m-%dT%H:%M:%S.%f}",
    )


def loaded_generation_differs(what: str) -> Finding:
    """What the server has of the published generation is not what is in this host's folder."""
    return Finding(
        code="loaded_generation_differs",
        what=what,
        meaning="every host scores from what the server has: features may be wrong or missing",
        mend=REBUILD,
    )


def nothing_published(what: str) -> Finding:
    """The live part, and with it the pointer to a generation that this host's folder has, is lost."""
    return Finding(
        code="pointer_lost",
        what=what,
        meaning="nothing is scored and no event is taken in; whatever was acknowledged is in the ledger",
        mend=REBUILD,
    )


def live_part_differs(what: str) -> Finding:
    """Tiles, lines or verdicts beside the generation are not what generation and ledger give."""
    return Finding(
        code="live_part_differs",
        what=what,
        meaning="scores are made from counts that are not those of the ledger, or events are answered otherwise than before",
        mend=REBUILD,
    )


def ledger_lost_its_end(applied: int, last_seq: int) -> Finding:
    """The live part has events that the ledger does not have."""
    return Finding(
        code="ledger_lost_its_end",
        what=f"the live part has event {applied}, the ledger ends with {last_seq}",
        meaning="acknowledged events are gone from the ledger: nothing is published or rebuilt, and none is taken in",
        mend="bring its last segment back from a backup; what is lost for good is given up by removing the live part before "
        f"{REBUILD}",
        is_command=False,
    )


def ledger_damaged(what: str) -> Finding:
    """A record of the ledger is not what was written."""
    return Finding(
        code="ledger_damaged",
        what=what,
        meaning="an acknowledged event cannot be read: its day is not ingested, nothing is published or rebuilt; scores go on "
        "from what was applied before",
        mend="bring the segment back from a backup",
        is_command=False,
    )
