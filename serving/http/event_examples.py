"""Events and the answers to them, for the OpenAPI document. A test sends them."""

from __future__ import annotations

from typing import Any

ORDER: dict[str, Any] = {
    "type": "order",
    "event_id": "e1",
    "occurred_at": "2011-06-15T09:00:00Z",
    "order_id": "o70",
    "customer_id": "c1",
    "currency": "EUR",
    "lines": [{"line_id": "o70-a", "article_id": "a1", "quantity": 1, "unit_price_cents": 4995, "size": "M"}],
    "country": "DE",
    "payment_method": "invoice",
}
RETURN: dict[str, Any] = {
    "type": "return",
    "event_id": "e2",
    "occurred_at": "2011-06-15T10:00:00+01:00",
    "return_id": "r70",
    "line_id": "o70-a",
    "quantity": 1,
    "refund_cents": 4995,
    "currency": "EUR",
    "reason": "too small",
}
INSPECTION: dict[str, Any] = {
    "type": "inspection",
    "event_id": "e3",
    "occurred_at": "2011-06-15T11:00:00Z",
    "inspection_id": "i70",
    "return_id": "r70",
    "verdict": "as_new",
}
AGAIN = RETURN | {"event_id": "e4", "return_id": "r71"}
MISSPELT = {"type": "inspection", "event_id": "e5", "occurred_at": "2011-06-15T11:00:00Z", "inspection": "i2", "return_id": "r70"}

REQUESTS: dict[str, tuple[str, Any]] = {
    "order": ("An order", ORDER),
    "return": ("A return", RETURN),
    "inspection": ("An inspection verdict", INSPECTION),
    "batch": ("Several, some of which are refused", [ORDER, RETURN, INSPECTION, ORDER, AGAIN, MISSPELT]),
}

BATCH_ANSWER: dict[str, Any] = {
    "accepted": 3,
    "duplicates": 1,
    "refused": 2,
    "conflicts": 0,
    "events": [
        {"status": "accepted", "event_id": "e1", "seq": 1},
        {"status": "accepted", "event_id": "e2", "seq": 2},
        {"status": "accepted", "event_id": "e3", "seq": 3},
        {"status": "duplicate", "event_id": "e1", "seq": 1},
        {
            "status": "refused",
            "event_id": "e4",
            "seq": 4,
            "rule": "return_larger_than_order",
            "field": "quantity",
            "message": "1 pieces, but 0 of 1 are left",
        },
        {
            "status": "refused",
            "rule": "malformed",
            "field": "inspection",
            "message": "Object contains unknown field `inspection`",
        },
    ],
}


REQUEST_ID = "checkout-7f3a"


def problem(title: str, status: int, detail: str) -> dict[str, Any]:
    """Problem details as the route answers them."""
    return {"title": title, "status": status, "detail": detail, "instance": "/v1/events", "request_id": REQUEST_ID}


NO_JSON = problem("Bad Request", 400, "the body is no JSON: Input data was truncated")
TOO_LARGE = problem("Request Entity Too Large", 413, "Request Entity Too Large")
UNAVAILABLE = problem("Service Unavailable", 503, "events cannot be taken in: [Errno 28] No space left on device")


def too_many(max_events: int) -> dict[str, Any]:
    """One event more than are taken at once."""
    return problem("Unprocessable Entity", 422, f"{max_events + 1} events: at most {max_events} in a request")
