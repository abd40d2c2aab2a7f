"""A body of events in, one answer for each out; knows no HTTP."""

from __future__ import annotations

from typing import Literal

import msgspec

from returnml.ledger.decoding import Malformed, decode_event
from returnml.ledger.events import AnyEvent
from returnml.store.event_writer import Applied
from serving.errors import TooManyEvents
from serving.intake.writer_thread import EventIntake
from serving.wire import (
    EventAnswer,
    EventAnswers,
)

MAX_EVENTS = 10_000

_ITEM = msgspec.json.Decoder(msgspec.Raw)
_ITEMS = msgspec.json.Decoder(list[msgspec.Raw])


async def take_in(intake: EventIntake, body: bytes) -> EventAnswers:
    """Take in one event (a JSON object) or several (an array); what is malformed leaves the others alone.

    Raises:
        msgspec.DecodeError: if the body is no JSON.
        TooManyEvents: nothing is taken in.
        EventsUnavailable: nothing is acknowledged.
    """
    items = _items(body)
    if len(items) > MAX_EVENTS:
        raise TooManyEvents(f"{len(items)} events: at most {MAX_EVENTS} in a request")
    answers: list[EventAnswer | None] = []
    events: list[AnyEvent] = []
    for item in items:
        decoded = decode_event(item)
        if isinstance(decoded, Malformed):
            answers.append(EventAnswer("refused", rule=decoded.rule, field=decoded.field, message=decoded.message))
        else:
            events.append(decoded)
            answers.append(None)
    applied = zip(events, await intake.submit(events), strict=True)
    given = [answer or _answer(*next(applied)) for answer in answers]
    accepted, duplicates, refused, conflicts = (
        sum(answer.status == status for answer in given) for status in ("accepted", "duplicate", "refused", "conflict")
    )
    return EventAnswers(accepted, duplicates, refused, given, conflicts)


def _items(body: bytes) -> list[msgspec.Raw]:
    try:
        return _ITEMS.decode(body) if body.lstrip()[:1] == b"[" else [_ITEM.decode(body)]
    except RecursionError as error:
        raise msgspec.DecodeError("nested too deep") from error


def _answer(event: AnyEvent, applied: Applied) -> EventAnswer:
    outcome = applied.outcome
    if outcome.rule is not None:
        status: Literal["conflict", "refused"] = "conflict" if applied.is_conflict else "refused"
        return EventAnswer(status, event.event_id, outcome.seq, outcome.rule, outcome.field, outcome.message)
    return EventAnswer("duplicate" if applied.is_duplicate else "accepted", event.event_id, outcome.seq)
