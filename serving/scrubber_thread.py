"""The scrubber's thread in the service: one worker of a host reads, all of them heed what it found."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from threading import Event, Thread, get_native_id

from returnml.clock import Clock
from returnml.features.feature_set import FeatureSet
from returnml.settings import StoreSettings
from returnml.store.backend import Backend
from returnml.store.generation_manifest import StoreError
from returnml.store.proving.scrub_report import read_report
from returnml.store.proving.scrubbing import Pace, only_one, scrub

logger = logging.getLogger(__name__)

LOOK_SECONDS = 60.0
"""Between two looks whether a pass is due. While something is wrong each look is a pass: it may have been mended."""
HOUR_US = 3_600_000_000
_LOWEST_PRIORITY = 19


class _Stopped(Exception):
    """The service ends in the middle of a pass."""


def paced(bytes_per_second: float, wait: Callable[[float], bool]) -> Pace:
    """Wait after each piece as long as it may take.

    Args:
        wait: so many seconds; True where the pass must end.
    """

    def pace(size: int) -> None:
        if wait(size / bytes_per_second):
            raise _Stopped

    return pace


class Scrubbing:
    """Scrubs while ``running``. The backend is its own: a store may be read by one thread."""

    def __init__(
        self, settings: StoreSettings, backend: Backend, feature_set: FeatureSet, clock: Clock, look_seconds: float = LOOK_SECONDS
    ) -> None:
        self._settings = settings
        self._backend = backend
        self._feature_set = feature_set
        self._clock = clock
        self._look_seconds = look_seconds
        self._stop = Event()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """At the end a pass is left where it is."""
        thread = Thread(target=self._run, name="scrubber", daemon=True)
        if self._settings.scrub_every_hours:
            thread.start()
        try:
            yield
        finally:
            self._stop.set()
            if thread.ident is not None:
                await asyncio.to_thread(thread.join)

    def look(self) -> None:
        """Make a pass if one is due and no other process makes one."""
        root = self._backend.root
        if not root.exists():
            return
        with only_one(root) as is_mine:
            if is_mine and self._is_due(root):
                done = scrub(self._backend, self._feature_set, self._clock, self._pace())
                for finding in done.findings:
                    logger.error("%s: %s; %s; %s", finding.code, finding.what, finding.meaning, finding.mend)

    def _is_due(self, root: Path) -> bool:
        last = read_report(root)
        if last is None or last.findings:
            return True
        return not 0 <= self._clock.now_us() - last.checked_at_us < self._settings.scrub_every_hours * HOUR_US

    def _pace(self) -> Pace:
        return paced(self._settings.scrub_megabytes_per_second * 1e6, self._stop.wait)

    def _run(self) -> None:
        os.setpriority(os.PRIO_PROCESS, get_native_id(), _LOWEST_PRIORITY)
        while not self._stop.wait(self._look_seconds):
            try:
                self.look()
            except _Stopped:
                return
            except (StoreError, OSError) as error:
                logger.warning("not scrubbed: %s", error)
            except Exception:
                # The thread must outlive a defect: bits go on flipping.
                logger.exception("scrubbing failed")
