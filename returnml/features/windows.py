"""Windows: their lengths, their hops and their edges, in integer microseconds.

A window of length L at ``requested_at`` is ``[floor_hop(requested_at) - L, requested_at)`` on ``known_at``: exact
at its head, moving in hops at its tail. The unit decides the hop: days move in whole UTC days, hours and minutes in
five minutes. ``lifetime`` has no start. Test vectors: ``shared/conformance``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

MINUTE_US = 60_000_000
HOUR_US = 60 * MINUTE_US
DAY_US = 24 * HOUR_US
FIVE_MINUTES_US = 5 * MINUTE_US
EPOCH_WEEKDAY = 3
"""1970-01-01 was a Thursday; Monday is 0."""

_UNITS = {"m": (MINUTE_US, FIVE_MINUTES_US), "h": (HOUR_US, FIVE_MINUTES_US), "d": (DAY_US, DAY_US)}


def floor_day(at_us: int) -> int:
    """The start of the UTC day of an instant (floor, also before 1970).

    >>> floor_day(86_400_000_001)
    86400000000
    """
    return at_us // DAY_US * DAY_US


def floor_five_minutes(at_us: int) -> int:
    """The start of the five-minute slot of an instant.

    >>> floor_five_minutes(300_000_001)
    300000000
    """
    return at_us // FIVE_MINUTES_US * FIVE_MINUTES_US


@dataclass(frozen=True, order=True)
class Window:
    """One window length.

    Attributes:
        name: as declared, e.g. ``30d``, ``24h``, ``5m`` or ``lifetime``.
        length_us: its length; None for ``lifetime``.
        hop_us: the hop in which its tail moves; a day for ``lifetime`` (whose tail does not move).
    """

    name: str
    length_us: int | None
    hop_us: int

    @classmethod
    def parse(cls, name: str) -> Window:
        """Read a declared length.

        >>> Window.parse("7d").length_us == 7 * DAY_US
        True
        >>> Window.parse("24h").hop_us == FIVE_MINUTES_US
        True

        Raises:
            ValueError: for an unknown unit, a zero length, or minutes that are no multiple of the hop.
        """
        if name == "lifetime":
            return cls(name, None, DAY_US)
        match = re.fullmatch(r"([1-9]\d*)([mhd])", name)
        if match is None:
            raise ValueError(f"window {name!r}: expected e.g. '7d', '24h', '5m' or 'lifetime'")
        unit_us, hop_us = _UNITS[match[2]]
        length_us = int(match[1]) * unit_us
        if length_us % hop_us:
            raise ValueError(f"window {name!r}: not a multiple of its hop of 5 minutes")
        return cls(name, length_us, hop_us)

    def start_us(self, requested_at_us: int) -> int | None:
        """The first instant inside the window, or None for ``lifetime``."""
        if self.length_us is None:
            return None
        return requested_at_us // self.hop_us * self.hop_us - self.length_us
