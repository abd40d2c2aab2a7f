"""Events on their way into the store: one writer thread, so that waiting for the disk or another worker blocks no request.

What arrives while a batch is being written becomes the next batch (group commit): the disk is flushed once for all of it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from threading import Thread

from returnml.ledger.events import AnyEvent
from returnml.store.event_writer import Applied
from returnml.store.inlet import EventInlet, EventsUnavailable
from serving.wire import EventStatus

logger = logging.getLogger(__name__)

MAX_GROUP = 2_000
"""Events written in one transaction, give or take a request."""
CATCH_UP_SECONDS = 1.0
"""Without events for so long, the writer looks whether the store is behind the log."""


@dataclass(frozen=True)
class _Submission:
    events: Sequence[AnyEvent]
    loop: asyncio.AbstractEventLoop
    answer: asyncio.Future[list[Applied]]

    def resolve(self, applied: list[Applied] | None, error: Exception | None) -> None:
        """From the writer thread; the request may be gone meanwhile."""

        def settle() -> None:
            if self.answer.done():
                return
            if error is not None:
                self.answer.set_exception(error)
            elif applied is not None:
                self.answer.set_result(applied)

        self.loop.call_soon_threadsafe(settle)


class EventIntake:
    """Takes events in, batch by batch, on a thread of its own while ``running``. Each counter has one writer.

    Args:
        max_waiting: events that may wait in memory; beyond it requests are answered 503.
    """

    def __init__(self, inlet: EventInlet, max_waiting: int) -> None:
        self._max_waiting = max_waiting
        self._inlet = inlet
        self._queue: SimpleQueue[_Submission | None] = SimpleQueue()
        self._waiting = 0
        self._accepted = self._duplicates = self._refused = self._conflicts = self._unavailable = self._turned_away = 0
        self._failure: str | None = None

    def status(self) -> EventStatus:
        """What was taken in, what was not, and why not now."""
        return EventStatus(
            accepted=self._accepted,
            duplicates=self._duplicates,
            refused=self._refused,
            unavailable=self._unavailable + self._turned_away,
            waiting=self._waiting,
            failure=self._failure,
            conflicts=self._conflicts,
        )

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """At the end what waits is still written."""
        thread = Thread(target=self._run, name="event-writer", daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._queue.put(None)
            await asyncio.to_thread(thread.join)

    async def submit(self, events: Sequence[AnyEvent]) -> list[Applied]:
        """After the return each event is durable and applied.

        Raises:
            EventsUnavailable: nothing of it is acknowledged; it may be sent again.
        """
        if not events:
            return []
        if self._waiting >= self._max_waiting:
            self._turned_away += len(events)
            raise EventsUnavailable(f"{self._waiting} events wait to be written")
        loop = asyncio.get_running_loop()
        submission = _Submission(events, loop, loop.create_future())
        self._waiting += len(events)
        self._queue.put(submission)
        try:
            return await submission.answer
        finally:
            self._waiting -= len(events)

    def _run(self) -> None:
        is_open = True
        while is_open:
            group: list[_Submission] = []
            is_open = self._collect(group)
            if not group:
                continue
            try:
                applied = self._inlet.submit([event for submission in group for event in submission.events])
            except EventsUnavailable as error:
                logger.error("%s", error)
                self._fail(group, error)
            except Exception as error:
                # The thread must outlive a defect: later events are taken in or refused, never left waiting.
                logger.exception("taking events in failed")
                self._fail(group, error)
            else:
                self._note(applied)
                begin = 0
                for submission in group:
                    submission.resolve(applied[begin : begin + len(submission.events)], None)
                    begin += len(submission.events)
        self._inlet.close()

    def _collect(self, group: list[_Submission]) -> bool:
        """Wait for a submission and take what else is there; False when no more will come."""
        try:
            submission = self._queue.get(timeout=CATCH_UP_SECONDS)
        except Empty:
            self._catch_up()
            return True
        size = 0
        while submission is not None:
            group.append(submission)
            size += len(submission.events)
            if size >= MAX_GROUP:
                return True
            try:
                submission = self._queue.get_nowait()
            except Empty:
                return True
        return False

    def _catch_up(self) -> None:
        """Apply what the log holds beyond the store: a killed writer left it, or the store came back older than it was."""
        try:
            self._note(self._inlet.submit([]))
        except EventsUnavailable as error:
            self._failure = str(error)
        except Exception as error:
            self._failure = f"applying the log failed: {error}"
            logger.exception("applying the log failed")

    def _note(self, applied: Sequence[Applied]) -> None:
        conflicts = sum(one.is_conflict for one in applied)
        refused = sum(one.outcome.rule is not None for one in applied) - conflicts
        duplicates = sum(one.is_duplicate and one.outcome.rule is None for one in applied)
        self._refused += refused
        self._conflicts += conflicts
        self._duplicates += duplicates
        self._accepted += len(applied) - refused - conflicts - duplicates
        self._failure = None

    def _fail(self, group: list[_Submission], error: Exception) -> None:
        self._failure = str(error)
        self._unavailable += sum(len(submission.events) for submission in group)
        for submission in group:
            submission.resolve(None, error)
