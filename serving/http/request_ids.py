"""What a request is called: in its answer's header ``X-Request-Id``, in problems and in the service's log."""

from __future__ import annotations

import re
import uuid
from typing import Any

from litestar.types import Message, Scope

HEADER = b"x-request-id"
_SAFE = re.compile(rb"[A-Za-z0-9._-]{1,128}\Z")
_KEY = "returnml.request_id"


def request_id_of(scope: Scope) -> str:
    """The id that the request came with, where that is safe to repeat and to log; else one of our own, always the same."""
    found: dict[str, Any] = scope  # type: ignore[assignment]
    if _KEY not in found:
        found[_KEY] = _given(scope) or uuid.uuid4().hex
    return found[_KEY]


def name_request(scope: Scope, request_id: str) -> None:
    """Call a request that came without an id as its answer is called in the inference log."""
    found: dict[str, Any] = scope  # type: ignore[assignment]
    found.setdefault(_KEY, _given(scope) or request_id)


async def say_request_id(message: Message, scope: Scope) -> None:
    """Every answer carries its id, whichever part of the service gives it."""
    if message["type"] == "http.response.start":
        message["headers"] = [*message["headers"], (HEADER, request_id_of(scope).encode())]


def _given(scope: Scope) -> str | None:
    for name, value in scope["headers"]:
        if name == HEADER:
            return value.decode() if _SAFE.match(value) else None
    return None
