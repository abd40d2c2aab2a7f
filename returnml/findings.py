"""What a check found wrong, as data: who prints it, counts it or mends it reads the same words."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec


class Finding(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One thing that is wrong.

    Attributes:
        code: what kind of thing, the same for ever: ``generation_damaged``.
        where: the file; empty where ``what`` names it.
        what: was found: which file, key or record, and what is there instead.
        meaning: what follows from it for who uses the system, or who may have done it.
        mend: the command that mends it; or what a person has to do, where none can.
        is_command: whether ``mend`` is a command. Words in capitals in it are for a person to fill in.
        is_damage: else it mends itself, as what a kill leaves, or nothing has to be done at once.
    """

    code: str
    where: str = ""
    what: str
    meaning: str
    mend: str
    is_command: bool = True
    is_damage: bool = True

    def __str__(self) -> str:
        place = f"{self.where}: " if self.where else ""
        return f"{place}{self.what}. {self.meaning} Mend: {self.mend}"


def damages(findings: Iterable[Finding]) -> list[Finding]:
    """Those that something must be done about."""
    return [finding for finding in findings if finding.is_damage]
