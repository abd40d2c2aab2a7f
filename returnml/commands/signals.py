"""One SIGINT or SIGTERM ends a command, a second one ends it hard; exit code 128 plus the signal's number."""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import typer

GRACE_SECONDS = 20.0
"""What a step has to let go of its database and files; every table is written in one transaction, so a hard end breaks none."""
_ENDING = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def ended_by_signals(grace_seconds: float = GRACE_SECONDS) -> Iterator[None]:
    """Let a signal end what stands inside, whatever its libraries do with signals.

    Outside of Dagster's run the signal is raised as ``SystemExit``. Inside, Dagster has handlers of its own, which end the step
    that runs; a watcher sees the signal all the same, and ends the process if the run does not end in time.

    Raises:
        SystemExit: at the end, with 128 plus the signal's number, where one came.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    before = {number: signal.signal(number, _raise) for number in _ENDING}
    wakeup = signal.set_wakeup_fd(ours.fileno(), warn_on_full_buffer=False)
    watcher = _Watcher(theirs, grace_seconds)
    watcher.start()
    try:
        yield
    finally:
        signal.set_wakeup_fd(wakeup)
        ours.send(b"\0")
        watcher.join()
        for number, handler in before.items():
            signal.signal(number, handler)
        ours.close()
        theirs.close()
        if watcher.first:
            name = signal.Signals(watcher.first).name
            typer.echo(f"ended by {name}: every day of a table has its old rows or its new ones; run it again to go on", err=True)
            raise SystemExit(128 + watcher.first)


class _Watcher(threading.Thread):
    """Reads the numbers of signals as they come, and 0 at the end."""

    def __init__(self, numbers: socket.socket, grace_seconds: float) -> None:
        super().__init__(name="signals", daemon=True)
        self.first = 0
        self._numbers, self._grace_seconds = numbers, grace_seconds

    def run(self) -> None:
        while True:
            try:
                number = self._numbers.recv(1)[0]
            except TimeoutError:
                _end_hard(self.first)
            if number == 0:
                return
            if number not in _ENDING:
                continue
            if self.first:
                _end_hard(number)
            self.first = number
            self._numbers.settimeout(self._grace_seconds)


def _raise(number: int, _: FrameType | None) -> None:
    raise SystemExit(128 + number)


def _end_hard(number: int) -> None:
    """End this process and its children without another word."""
    for task in Path("/proc/self/task").iterdir():
        for child in (task / "children").read_text().split():
            os.kill(int(child), signal.SIGKILL)
    os._exit(128 + number)
