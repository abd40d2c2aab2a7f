"""Dagster's step events as progress: a logger that shows steps instead of printing every event."""

import logging
from collections.abc import Callable

import dagster as dg

_ENDS = {"STEP_SUCCESS", "STEP_FAILURE", "STEP_SKIPPED"}


class StepHandler(logging.Handler):
    """Calls ``advance(what, steps done now, None)`` as steps start and end, and with what they say of themselves."""

    def __init__(self, advance: Callable[[str, int, int | None], None]) -> None:
        super().__init__()
        self._advance = advance

    def emit(self, record: logging.LogRecord) -> None:
        meta = getattr(record, "dagster_meta", {})
        event = meta.get("dagster_event")
        if event is None and meta.get("step_key") is not None:
            self._advance(meta["orig_message"], 0, None)
        if event is None or event.step_key is None:
            return
        kind = event.event_type_value
        if kind == "STEP_START":
            self._advance(event.step_key, 0, None)
        elif kind in _ENDS:
            self._advance(event.step_key, 1, None)


def step_logger(advance: Callable[[str, int, int | None], None]) -> dg.LoggerDefinition:
    """A console logger for runs in this process."""

    @dg.logger(None, description="Progress of the steps.")
    def console(_: dg.InitLoggerContext) -> logging.Logger:
        logger = logging.Logger("returnml.progress", logging.DEBUG)
        logger.addHandler(StepHandler(advance))
        return logger

    return console
