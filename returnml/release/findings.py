"""What is wrong with what the trails, states and releases of a data root say, as data."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that does not agree.

    Attributes:
        code: stable, for programs.
        where: the file.
        what: was found.
        meaning: what follows from it, or who may have done it.
        mend: the command that mends it; where more than a command is needed, in words.
        is_damage: else it mends itself with the next transition, as what a kill leaves.
    """

    code: str
    where: str
    what: str
    meaning: str
    mend: str
    is_damage: bool = True

    def __str__(self) -> str:
        return f"{self.where}: {self.what}. {self.meaning} Mend: {self.mend}"


def damages(findings: Iterable[Finding]) -> list[Finding]:
    """Those that something must be done about."""
    return [finding for finding in findings if finding.is_damage]


def mend_command(what: str, *options: str) -> str:
    """``returnml trail mend`` for a task, or for ``erasures``."""
    return " ".join(["returnml trail mend", what, *options, "--by WHO --why WHY"])
