"""Looks whether what the service scores with has changed, and loads it anew; what cannot be loaded is refused and said."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import NamedTuple

from returnml.errors import Refusal

logger = logging.getLogger(__name__)

RETRY_EVERY = 10
"""Looks after which a failed load is tried again though its mark stayed: what it is loaded from may have been repaired."""


class Part(NamedTuple):
    """What is loaded and looked after for itself: of the service, or of a task's role."""

    name: str
    task: str = ""
    role: str = ""


class Reloading:
    """Parts, each loaded when its mark changes.

    Attributes:
        failures: by part why it was refused; what was loaded before goes on being used.
    """

    def __init__(self) -> None:
        self.failures: dict[Part, str] = {}
        self._marks: dict[Part, object] = {}
        self._looks_until_retry: dict[Part, int] = {}

    def refresh(self, part: Part, look: Callable[[], object], load: Callable[[], None]) -> bool:
        """Load a part where its mark is another than at the last look; returns whether it was loaded.

        Args:
            look: gives the mark.
        """
        mark = look()
        if part in self._marks and self._marks[part] == mark:
            if part not in self.failures:
                return False
            self._looks_until_retry[part] -= 1
            if self._looks_until_retry[part] > 0:
                return False
        self._marks[part] = mark
        try:
            load()
        except Refusal as error:
            if self.failures.get(part) != str(error):
                logger.error("refused: %s", error)
            self.failures[part] = str(error)
            self._looks_until_retry[part] = RETRY_EVERY
            return False
        self.failures.pop(part, None)
        return True


@asynccontextmanager
async def kept_fresh(refresh: Callable[[], None], every_seconds: float) -> AsyncIterator[None]:
    """Load now, then look for changes in the background; loading runs in a thread beside the event loop."""
    await asyncio.to_thread(refresh)

    async def poll() -> None:
        while True:
            await asyncio.sleep(every_seconds)
            try:
                await asyncio.to_thread(refresh)
            except Exception:
                # An unforeseen failure must not end the polling: the service would never reload again.
                logger.exception("reload failed")

    task = asyncio.create_task(poll())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
