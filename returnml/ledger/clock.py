"""The injected clock. No other code reads the wall clock."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """Tells the present as integer microseconds since the epoch (UTC)."""

    def now_us(self) -> int: ...


class SystemClock:
    """The machine's clock."""

    def now_us(self) -> int:
        return time.time_ns() // 1_000


class ShiftedClock:
    """Another clock, moved by a fixed time: how a replay puts a running service into the past.

    >>> ShiftedClock(VirtualClock(100), -40).now_us()
    60
    """

    def __init__(self, clock: Clock, shift_us: int) -> None:
        self._clock = clock
        self._shift_us = shift_us

    def now_us(self) -> int:
        return self._clock.now_us() + self._shift_us


class VirtualClock:
    """A clock that a replay or a test moves by hand; it never goes back.

    >>> clock = VirtualClock(10)
    >>> clock.advance_to(25)
    >>> clock.now_us()
    25
    """

    def __init__(self, now_us: int) -> None:
        self._now_us = now_us

    def now_us(self) -> int:
        return self._now_us

    def advance_to(self, now_us: int) -> None:
        """Move to ``now_us``.

        Raises:
            ValueError: if that lies before the present.
        """
        if now_us < self._now_us:
            raise ValueError(f"a clock does not go back: {now_us} < {self._now_us}")
        self._now_us = now_us
