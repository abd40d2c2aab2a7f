"""What can be wrong with a store, what follows from it, and the command that mends it.

A command is named only where a test shows that the check which found the damage finds nothing after it.
"""

from __future__ import annotations

import shlex

from returnml.findings import Finding
from returnml.instants import instant

REBUILD = "returnml store rebuild"
_PUBLISH = "returnml store publish"
_RESTORE = "returnml store restore-ledger BACKUP"


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
        meaning="acknowledged events are gone from the ledger: nothing is published or rebuilt, and none is taken in. Without a "
        f"backup they are lost for good: that is accepted by removing the live part before {REBUILD}",
        mend=_RESTORE,
    )


def ledger_damaged(what: str) -> Finding:
    """A record of the ledger is not what was written."""
    return Finding(
        code="ledger_damaged",
        what=what,
        meaning="an acknowledged event cannot be read: its day is not ingested, nothing is published or rebuilt; scores go on "
        "from what was applied before",
        mend=_RESTORE,
    )


def foreign_store(what: str, own_prefix: str) -> Finding:
    """What is under the settings' prefix on the server, or in the store's folder, belongs to another data root.

    Args:
        own_prefix: one that nobody else has.
    """
    return Finding(
        code="store_of_another_root",
        what=what,
        meaning="nothing is scored, taken in or published: it would be with another shop's data. Its owner goes on undisturbed; "
        "where this root is the owner, the other one must go. The prefix below belongs into the settings of this root",
        mend=f"RETURNML_STORE__REDIS_PREFIX={shlex.quote(own_prefix)} {_PUBLISH}",
    )


def store_unreachable(what: str) -> Finding:
    """The server does not answer, or may remove keys."""
    return Finding(
        code="store_unreachable",
        what=what,
        meaning="nothing is taken in, and nothing scored unless serving.stale_features allows it",
        mend="start the server, or put store.redis_url right",
        is_command=False,
    )


def store_refused(what: str) -> Finding:
    """The published generation has other declarations or another format, or its folder holds files that are no part of it."""
    return Finding(
        code="store_refused",
        what=what,
        meaning="no worker that starts now scores from it",
        mend=_PUBLISH,
    )
