"""Writes every answer to the inference log, in a thread beside the event loop.

A request costs the event loop one append to a queue. The thread turns what has gathered into log entries
(``returnml.ledger.answer_records``) and flushes them to disk together. What cannot be written is never dropped unseen:
under ``require`` the request fails, under ``shed`` it waits in a bounded queue, and is counted when that is full.
"""

from __future__ import annotations

import asyncio
import fcntl
import logging
import os
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

from returnml.ledger.answer_records import (
    DayWriter,
    day_folder,
)
from returnml.ledger.record_log import LogError
from returnml.settings import Settings
from serving.log.logged_answer import logged_answer
from serving.scoring.scorer import Scored
from serving.service_errors import LogUnavailable
from serving.wire import LogStatus

logger = logging.getLogger(__name__)

FLUSH_SECONDS = 0.1
"""Under ``shed`` answers gather so long; a kill loses at most these."""
RETRY_SECONDS = 1.0
CLOSE_SECONDS = 10.0


class Waiting(NamedTuple):
    """An answer that is to be written, and who waits for that."""

    scored: Scored
    latency_us: int
    written: asyncio.Future[None] | None


class InferenceLog:
    """The log of one worker process.

    ``record`` belongs to the event loop, everything with a leading underscore below ``_run`` to the writer thread. Each
    counter has one writer.
    """

    def __init__(self, settings: Settings) -> None:
        self._root = settings.paths.inference_log
        self._is_required = settings.serving.log_policy == "require"
        self._capacity_lines = settings.serving.limits.waiting_log_lines
        self._within_seconds = settings.serving.limits.log_seconds
        self._queue: deque[Waiting] = deque()
        self._queued_lines = 0
        self._done_lines = 0
        self._answers_written = 0
        self._shed_when_full = 0
        self._shed_at_end = 0
        self._failure: str | None = None
        self._failed_day: date | None = None
        self._held: list[Waiting] = []
        self._worker = ""
        self._slot: int | None = None
        self._writer: tuple[date, DayWriter] | None = None
        self._wake = threading.Event()
        self._is_closing = False
        self._thread = threading.Thread(target=self._run, name="inference-log", daemon=True)

    async def record(self, scored: Scored, latency_us: int) -> None:
        """Take an answer; under ``require`` return once it is on disk.

        Raises:
            LogUnavailable: under ``require``, if it is not.
        """
        lines = len(scored.scores.lines)
        is_full = self._queued_lines - self._done_lines + lines > self._capacity_lines
        if not self._is_required:
            if is_full:
                self._shed_when_full += 1
                return
            self._queued_lines += lines
            self._queue.append(Waiting(scored, latency_us, None))
            return
        if is_full or self._failure:
            raise LogUnavailable(self._failure or f"{self._capacity_lines} lines wait for the inference log")
        written = asyncio.get_running_loop().create_future()
        self._queued_lines += lines
        self._queue.append(Waiting(scored, latency_us, written))
        self._wake.set()
        try:
            async with asyncio.timeout(self._within_seconds):
                await written
        except TimeoutError:
            raise LogUnavailable(f"the inference log was not written within {self._within_seconds:g} s") from None

    def status(self) -> LogStatus:
        """What was written, what was shed, what waits, and why."""
        return LogStatus(
            policy="require" if self._is_required else "shed",
            worker=self._worker,
            written=self._answers_written,
            shed=self._shed_when_full + self._shed_at_end,
            waiting_lines=self._queued_lines - self._done_lines,
            failure=self._failure or self._thread_failure(),
        )

    def _thread_failure(self) -> str | None:
        has_ended = self._thread.ident is not None and not self._thread.is_alive() and not self._is_closing
        return "inference log: the writer thread has ended; see the service's log" if has_ended else None

    @contextmanager
    def running(self) -> Iterator[None]:
        """The writer thread runs while the block does; what waits at its end is written."""
        self._thread.start()
        try:
            yield
        finally:
            self._is_closing = True
            self._wake.set()
            self._thread.join(CLOSE_SECONDS)

    def _run(self) -> None:
        while not self._is_closing:
            self._wake.wait(RETRY_SECONDS if self._failure else FLUSH_SECONDS)
            self._wake.clear()
            self._flush()
        self._flush()
        if self._held:
            self._shed_at_end += len(self._held)
            logger.error("inference log: %d answers are lost at the end: %s", len(self._held), self._failure)
        self._close()

    def _flush(self) -> None:
        """Write what waits. What fails stays held for the next time, unless its request waits for it."""
        batch = self._held
        self._held = []
        while self._queue:
            batch.append(self._queue.popleft())
        if not batch and self._failed_day:
            self._write(self._failed_day, [])
        for day, of_day in groupby(batch, key=_day):
            self._write(day, list(of_day))

    def _write(self, day: date, waiting: list[Waiting]) -> None:
        error: LogError | OSError | None = None
        try:
            self._append(day, waiting)
        except (LogError, OSError) as found:
            error = found
            self._close()
        self._note(day, error)
        if error is None:
            self._answers_written += len(waiting)
        elif not self._is_required:
            self._held += waiting
            return
        self._done_lines += sum(len(w.scored.scores.lines) for w in waiting)
        futures = [w.written for w in waiting if w.written is not None]
        if futures:
            futures[0].get_loop().call_soon_threadsafe(_settle, futures, str(error) if error else None)

    def _append(self, day: date, waiting: Sequence[Waiting]) -> None:
        """One flush to disk: all entries of the day, or none.

        Raises:
            LogError, OSError: if they are not on disk.
        """
        if self._slot is None:
            self._worker, self._slot = _take_slot(self._root)
        if self._writer is None or self._writer[0] != day:
            self._close_writer()
            self._writer = (day, DayWriter(day_folder(self._root, self._worker, day)))
        self._writer[1].append([logged_answer(w.scored, w.latency_us, self._worker) for w in waiting])

    def _note(self, day: date, error: Exception | None) -> None:
        failure = None if error is None else f"inference log: {error}"
        if failure and failure != self._failure:
            logger.error("%s", failure)
        if self._failure and not failure:
            logger.info("the inference log is written again")
        self._failure, self._failed_day = failure, day if failure else None

    def _close_writer(self) -> None:
        if self._writer is not None:
            self._writer[1].close()
            self._writer = None

    def _close(self) -> None:
        self._close_writer()
        if self._slot is not None:
            os.close(self._slot)
            self._slot = None


def _take_slot(root: Path) -> tuple[str, int]:
    """The first worker folder that no living process holds, and its open lock: a restarted worker goes on where it was."""
    number = 0
    while True:
        worker = f"w{number}"
        (root / worker).mkdir(parents=True, exist_ok=True)
        lock = os.open(root / worker / ".worker.lock", os.O_WRONLY | os.O_CREAT, 0o644)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            number += 1
            continue
        return worker, lock


def _day(waiting: Waiting) -> date:
    return waiting.scored.scores.requested_at.date()


def _settle(futures: Sequence[asyncio.Future[None]], failure: str | None) -> None:
    for future in futures:
        if future.done():  # given up
            continue
        if failure is None:
            future.set_result(None)
        else:
            future.set_exception(LogUnavailable(f"inference log: {failure}"))
