"""Waiting for what other threads and processes do: for a condition, never for a time.

A test that asks whether something comes right waits as long as a slow, busy machine may take. How long the service itself
waits for its disk and its store is short for the sake of a shop's checkout: where that is not what is tested, it is patient.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from returnml.settings import LimitSettings
from returnml.store.redis import server
from serving.log import inference_log

PATIENCE_SECONDS = 180.0
"""After which something does not happen at all."""

PATIENT_LIMITS = LimitSettings(log_seconds=60.0)
"""Of a service whose answers wait for the inference log: as long as the settings allow."""
PATIENT_ENVIRON = {"RETURNML_SERVING__LIMITS__LOG_SECONDS": "60"}
"""The same for a service in a process of its own."""


def eventually(condition: Callable[[], object]) -> None:
    """Return once the condition is true.

    Raises:
        AssertionError: if it does not become true.
    """
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, "it does not come true"
        time.sleep(0.02)


def be_patient() -> None:
    """From now on this process waits for Redis, and at its end for the disk of the inference log, as long as a test does."""
    server.CONNECT_SECONDS = server.READ_SECONDS = server.WRITE_SECONDS = PATIENCE_SECONDS
    inference_log.CLOSE_SECONDS = PATIENCE_SECONDS
