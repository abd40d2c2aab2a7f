"""The service's own log, as uvicorn and the service write it."""

from __future__ import annotations

import json
import logging
import logging.config
from pathlib import Path

import pytest

from returnml.commands.service_log import JsonLines, TextLines, log_config
from returnml.settings import ServingSettings


def record(message: str, *args: object, **given: object) -> logging.LogRecord:
    found = logging.makeLogRecord(
        {"name": "serving.x", "levelno": 40, "levelname": "ERROR", "msg": message, "args": args, **given}
    )
    found.created = 1_323_424_800.25
    return found


def test_a_line_is_a_json_object_with_what_was_given():
    line = JsonLines().format(record("took\n%d", 3, request_id="r1", path=Path("x")))
    assert "\n" not in line
    assert json.loads(line) == {
        "time": "2011-12-09T10:00:00.250000Z",
        "level": "error",
        "logger": "serving.x",
        "event": "took\n3",
        "request_id": "r1",
        "path": "x",
    }
    assert TextLines().format(record("took %d", 3, request_id="r1")).endswith("ERROR serving.x: took 3 request_id=r1")


def test_an_exception_is_part_of_its_line():
    try:
        raise RuntimeError("broken")
    except RuntimeError as error:
        found = json.loads(JsonLines().format(record("failed", exc_info=(type(error), error, error.__traceback__))))
    assert found["exception"].endswith("RuntimeError: broken")


@pytest.mark.parametrize("log_format", ["json", "text"])
def test_uvicorns_own_lines_are_of_the_format(log_format, capfd):
    """As uvicorn applies it, on the loggers that it uses."""
    import uvicorn

    serving = ServingSettings(log_format=log_format, log_level="warning")
    root = logging.getLogger()
    before = root.handlers[:], root.level
    try:
        uvicorn.Config("x:y", log_config=log_config(serving), log_level=serving.log_level, access_log=False)
        logging.getLogger("uvicorn.error").warning("came %s", "up")
        logging.getLogger("serving.state").info("not said")
    finally:
        root.handlers[:], root.level = before
    [line] = capfd.readouterr().err.splitlines()
    if log_format == "json":
        assert {name: json.loads(line)[name] for name in ("level", "logger", "event")} == {
            "level": "warning",
            "logger": "uvicorn.error",
            "event": "came up",
        }
    else:
        assert line.endswith("WARNING uvicorn.error: came up")
