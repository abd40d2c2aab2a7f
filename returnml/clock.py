"""The injected clock. No other code reads the wall clock.

Replay is privileged: where the setting ``replay_clock`` names a file, every process reads the present from it, and
whoever may write that file moves the time of all of them.
"""

from __future__ import annotations

import mmap
import os
import sys
import time
from pathlib import Path
from typing import Protocol

from returnml.errors import Refusal
from returnml.files import replace_file

_INSTANT_BYTES = 8


class ClockError(Refusal):
    """A replay clock that cannot be read; the message names the file."""


class Clock(Protocol):
    """Tells the present as integer microseconds since the epoch (UTC)."""

    def now_us(self) -> int: ...


class SystemClock:
    """The machine's clock."""

    def now_us(self) -> int:
        return time.time_ns() // 1_000


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


class FileClock:
    """The present as a file says it: 8 bytes of microseconds, mapped into every process that follows it.

    Reading costs a memory access. An aligned word of the map is read whole: never half an old and half a new instant.

    Raises:
        ClockError: where the file is absent or of another size.
    """

    def __init__(self, path: Path) -> None:
        self._instant = _mapped(path, "rb").cast("q")

    def now_us(self) -> int:
        return self._instant[0]


class FileClockDriver:
    """Makes a replay clock and moves it. A new file at ``path``: who follows an older one there stays with that.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     driver = FileClockDriver(Path(folder, "clock"), 10)
    ...     clock = FileClock(Path(folder, "clock"))
    ...     driver.advance_to(25)
    ...     clock.now_us()
    25
    """

    def __init__(self, path: Path, now_us: int) -> None:
        replace_file(path, now_us.to_bytes(_INSTANT_BYTES, sys.byteorder, signed=True))
        self._instant = _mapped(path, "r+b").cast("q")

    def now_us(self) -> int:
        return self._instant[0]

    def advance_to(self, now_us: int) -> None:
        """Move to ``now_us``.

        Raises:
            ValueError: if that lies before the present.
        """
        if now_us < self._instant[0]:
            raise ValueError(f"a clock does not go back: {now_us} < {self._instant[0]}")
        self._instant[0] = now_us


def clock_of(replay_clock: str | None) -> Clock:
    """The clock that the setting ``replay_clock`` chooses: the machine's, or the file's.

    Raises:
        ClockError: where the file cannot be read.
    """
    return SystemClock() if replay_clock is None else FileClock(Path(replay_clock))


def _mapped(path: Path, mode: str) -> memoryview:
    access = mmap.ACCESS_READ if mode == "rb" else mmap.ACCESS_WRITE
    try:
        with open(path, mode) as file:
            if os.fstat(file.fileno()).st_size != _INSTANT_BYTES:
                raise ClockError(f"{path}: a replay clock has {_INSTANT_BYTES} bytes")
            return memoryview(mmap.mmap(file.fileno(), _INSTANT_BYTES, access=access))
    except OSError as error:
        raise ClockError(f"{path}: the replay clock cannot be read: {error.strerror}") from error
