"""Which failed steps are tried again: those that an error ended, not those that somebody ended."""

from __future__ import annotations

import sys

import dagster as dg
from dagster import DagsterExecutionInterruptedError

_QUERY_INTERRUPTED = "Query interrupted"
"""What DuckDB makes of a signal that comes during a query."""


class RetryUnlessInterrupted(dg.RetryPolicy):
    """A retry policy that lets an interrupt through.

    Dagster applies a step's policy to interrupts too: a run that was told to end would go on. It asks for the delay while it
    handles the error, and there an interrupt is raised again, which ends the run.
    """

    def calculate_delay(self, attempt_num: int) -> float:
        """Seconds to wait before the attempt."""
        error = sys.exc_info()[1]
        if isinstance(error, KeyboardInterrupt | DagsterExecutionInterruptedError):
            raise error
        if isinstance(error, RuntimeError) and _QUERY_INTERRUPTED in str(error):
            raise DagsterExecutionInterruptedError from error
        return super().calculate_delay(attempt_num)


RETRY = RetryUnlessInterrupted(max_retries=2, delay=5, backoff=dg.Backoff.EXPONENTIAL)
"""For what passes by itself: a locked file, a full disk being emptied."""
