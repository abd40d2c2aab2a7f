"""What a check found wrong, as data: who prints it, counts it or mends it reads the same words."""

from __future__ import annotations

import msgspec


class Finding(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One thing that is wrong.

    Attributes:
        code: what kind of thing, the same for ever: ``generation_damaged``.
        what: which file, key or record, and what is there instead.
        meaning: what follows from it for who uses the system.
        mend: the command that mends it; or what a person has to do, where none can.
        is_command: whether ``mend`` is a command.
    """

    code: str
    what: str
    meaning: str
    mend: str
    is_command: bool = True
