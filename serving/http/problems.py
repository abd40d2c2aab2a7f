"""The one place where errors become HTTP: problem details (RFC 9457) that name the field."""

from __future__ import annotations

import logging
from http import HTTPStatus
from typing import Any

import msgspec
from litestar import Request, Response
from litestar.exceptions import HTTPException

from returnml.errors import Unavailable
from returnml.ledger.decoding import locate
from serving.http.request_ids import request_id_of
from serving.service_errors import InvalidInput, TooManyEvents
from serving.wire import (
    FieldError,
    Problem,
)

logger = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"
_RETRY_AFTER_SECONDS = "2"


def field_error(error: msgspec.ValidationError) -> FieldError:
    """Where and why decoding failed."""
    field, message = locate(error)
    return FieldError(field=field, message=message)


def invalid_input(request: Request[Any, Any, Any], error: InvalidInput) -> Response[Problem]:
    return _answer(request, HTTPStatus.UNPROCESSABLE_ENTITY, str(error), [FieldError(field=error.field, message=error.rule)])


def unavailable(request: Request[Any, Any, Any], error: Unavailable) -> Response[Problem]:
    return _answer(request, HTTPStatus.SERVICE_UNAVAILABLE, str(error), headers={"Retry-After": _RETRY_AFTER_SECONDS})


def too_many_events(request: Request[Any, Any, Any], error: TooManyEvents) -> Response[Problem]:
    return _answer(request, HTTPStatus.UNPROCESSABLE_ENTITY, str(error))


def invalid_body(request: Request[Any, Any, Any], error: msgspec.DecodeError | UnicodeDecodeError) -> Response[Problem]:
    """A body that does not fit the contract is 422, one that is no JSON is 400."""
    if isinstance(error, msgspec.ValidationError):
        found = field_error(error)
        return _answer(request, HTTPStatus.UNPROCESSABLE_ENTITY, f"{found.field}: {found.message}", [found])
    return _answer(request, HTTPStatus.BAD_REQUEST, f"the body is no JSON: {error}")


def http_error(request: Request[Any, Any, Any], error: HTTPException) -> Response[Problem]:
    """Litestar's own errors."""
    return _answer(request, HTTPStatus(error.status_code), error.detail, headers=error.headers)


def unforeseen(request: Request[Any, Any, Any], error: Exception) -> Response[Problem]:
    return _answer(request, HTTPStatus.INTERNAL_SERVER_ERROR, "the service failed; see its log", cause=error)


HANDLERS: dict[Any, Any] = {
    InvalidInput: invalid_input,
    Unavailable: unavailable,
    TooManyEvents: too_many_events,
    msgspec.DecodeError: invalid_body,
    UnicodeDecodeError: invalid_body,
    HTTPException: http_error,
    Exception: unforeseen,
}


def _answer(
    request: Request[Any, Any, Any],
    status: HTTPStatus,
    detail: str,
    errors: list[FieldError] | None = None,
    headers: dict[str, str] | None = None,
    cause: Exception | None = None,
) -> Response[Problem]:
    request_id = request_id_of(request.scope)
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        # The route, not the path: a path may name a customer.
        said = {"request_id": request_id, "status": status.value, "method": request.method}
        said["route"] = request.scope.get("path_template", "")
        logger.error("answered %d: %s", status.value, detail, exc_info=cause, extra=said)
    problem = Problem(
        title=status.phrase,
        status=status.value,
        detail=detail,
        instance=request.url.path,
        request_id=request_id,
        errors=errors or [],
    )
    return Response(problem, status_code=status.value, media_type=MEDIA_TYPE, headers=headers)
