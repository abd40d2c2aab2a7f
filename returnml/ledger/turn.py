"""A writer's turn: one at a time over all processes of a host, and none that a stopped process keeps for ever.

The turn is a lock on a file. The system releases it when its holder dies. A holder that is *stopped* (SIGSTOP, a debugger)
keeps it, and may go on at any moment: no time limit alone makes it safe to write beside it. So a waiting process reads in the
file who the holder is, and kills a holder that it saw stopped for a while. A kill is safe at any moment of a turn, and a killed
holder cannot come back to append or commit.

A waiting process never kills a holder that runs, however slow it is.
"""

from __future__ import annotations

import fcntl
import logging
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from returnml.errors import Unavailable
from returnml.files import UNDECODABLE

logger = logging.getLogger(__name__)

STOPPED_SECONDS = 3.0
"""How long a holder is seen stopped before it is ended."""
_LOOK_SECONDS = 0.1
_RECORD_BYTES = 128
_FIRST_WAIT_SECONDS, _LONGEST_WAIT_SECONDS = 0.0002, 0.001


class TurnError(Unavailable, OSError):
    """The turn is kept by a process that cannot be ended; the message names it."""


class Holder(msgspec.Struct, frozen=True):
    """Whose turn it is.

    Attributes:
        started: the clock ticks after the system's start at which the process began: a process id may be used again.
        namespace: that the process id is of (containers have their own).
    """

    pid: int
    started: int
    namespace: str

    @property
    def is_stopped(self) -> bool:
        """Whether it stands still; false where it cannot be seen, or is not there any more."""
        found = _process(self.pid)
        return self.namespace == _namespace() and found is not None and found[1] == self.started and found[0] in "Tt"

    def end(self) -> None:
        """Kill it, if it still stands still.

        Raises:
            TurnError: where that is not allowed.
        """
        try:
            descriptor = os.pidfd_open(self.pid)
        except ProcessLookupError:
            return
        try:
            if self.is_stopped:  # and so it is this process that the descriptor is of
                signal.pidfd_send_signal(descriptor, signal.SIGKILL)
        except ProcessLookupError:
            return
        except PermissionError as error:
            raise TurnError(f"process {self.pid} is stopped in its turn and belongs to another user: end it") from error
        finally:
            os.close(descriptor)


class Turn:
    """The turns at one file. Several objects and processes may share it; one object is for one thread.

    Args:
        path: of the lock file; made if absent.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        self._own = this_process()

    @contextmanager
    def taken(self) -> Iterator[None]:
        """Wait until nobody else has the turn, in this process or another, and take it.

        Raises:
            TurnError: where a stopped process has it and cannot be ended.
        """
        self._wait()
        try:
            if self._own.pid != os.getpid():
                self._own = this_process()
            self._write(msgspec.json.encode(self._own))
            yield
        finally:
            self._write(b"")
            fcntl.flock(self._file, fcntl.LOCK_UN)

    def close(self) -> None:
        os.close(self._file)

    def _wait(self) -> None:
        wait, watch = _FIRST_WAIT_SECONDS, _Watch(self.path)
        while not self._is_free():
            watch.look()
            time.sleep(wait)
            wait = min(2 * wait, _LONGEST_WAIT_SECONDS)

    def _is_free(self) -> bool:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def _write(self, content: bytes) -> None:
        """In place: no byte is asked of a full disk."""
        os.pwrite(self._file, content.ljust(_RECORD_BYTES), 0)


class _Watch:
    """Looks at whose turn it is while somebody waits for it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stopped: Holder | None = None
        self._since = self._next = time.monotonic()

    def look(self) -> None:
        """End the holder if it has been seen stopped, at each look, for ``STOPPED_SECONDS``."""
        now = time.monotonic()
        if now < self._next:
            return
        self._next = now + _LOOK_SECONDS
        holder = read_holder(self._path)
        stopped = holder if holder is not None and holder.is_stopped else None
        if stopped is None or stopped != self._stopped:
            self._stopped, self._since = stopped, now
        elif now - self._since >= STOPPED_SECONDS:
            logger.warning(
                "%s: process %d has been stopped in its turn for %g s: it is ended", self._path, stopped.pid, now - self._since
            )
            stopped.end()


def read_holder(path: Path) -> Holder | None:
    """Whose turn it is, as the lock file says; None between two turns."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Holder)
    except (*UNDECODABLE, OSError):
        return None


def this_process() -> Holder:
    """Who would have the turn, if it were ours."""
    found = _process(os.getpid())
    return Holder(os.getpid(), found[1] if found is not None else 0, _namespace())


def _namespace() -> str:
    try:
        return os.readlink("/proc/self/ns/pid")
    except OSError:
        return ""


def _process(pid: int) -> tuple[str, int] | None:
    """The state of a process, and when it began; None where it is not there, or the system does not say."""
    try:
        # The name in brackets may hold anything; fields after it are counted from the state, the third.
        fields = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
    except OSError:
        return None
    return fields[0], int(fields[19])
