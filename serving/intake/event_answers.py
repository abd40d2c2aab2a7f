"""A body of events in, one answer for each out; knows no HTTP."""

from __future__ import annotations

from collections import Counter
from typing import Literal

import msgspec

from returnml.ledger.decoding import Malformed, decode_event
from returnml.ledger.events import AnyEvent
from returnml.store.event_writer import Applied
from serving.intake.writer_thread import EventIntake
from serving.service_errors import TooManyEvents
from serving.wire import (
    EventAnswer,
    EventAnswers,
)

_ITEM = msgspec.json.Decoder(msgspec.Raw)
_ITEMS = msgspec.json.Decoder(list[msgspec.Raw])


async def take_in(intake: EventIntake, body: bytes, max_events: int) -> EventAnswers:
    """Take in one event (a JSON object) or several (an array); what is malformed leaves the others alone.

    Raises:
        msgspec.DecodeError: if the body is no JSON.
        TooManyEvents: nothing is taken in.
        EventsUnavailable: nothing is acknowledged.
    """
    items = _items(body)
    if len(items) > max_events:
        raise TooManyEvents(f"{len(items)} events: at most {max_events} in a request")
    answers: list[EventAnswer | None] = []
    events: list[AnyEvent] = []
    for item in items:
        decoded = decode_event(item)
        if isinstance(decoded, Malformed):
            answers.append(EventAnswer(status="refused", rule=decoded.rule, field=decoded.field, message=decoded.message))
        else:
            events.append(decoded)
            answers.append(None)
    applied = zip(events, await intake.submit(events), strict=True)
    given = [answer or _answer(*next(applied)) for answer in answers]
    of_status = Counter(answer.status for answer in given)
    return EventAnswers(
        accepted=of_status["accepted"],
        duplicates=of_status["duplicate"],
        refused=of_status["refused"],
        events=given,
        conflicts=of_status["conflict"],
    )


def _items(body: bytes) -> list[msgspec.Raw]:
    try:
        return _ITEMS.decode(body) if body.lstrip()[:1] == b"[" else [_ITEM.decode(body)]
    except RecursionError as error:
        raise msgspec.DecodeError("nested too deep") from error


def _answer(event: AnyEvent, applied: Applied) -> EventAnswer:
    outcome = applied.outcome
    if outcome.rule is not None:
        status: Literal["conflict", "refused"] = "conflict" if applied.is_conflict else "refused"
        return EventAnswer(
            status=status,
            event_id=event.event_id,
            seq=outcome.seq,
            rule=outcome.rule,
            field=outcome.field,
            message=outcome.message,
        )
    return EventAnswer(status="duplicate" if applied.is_duplicate else "accepted", event_id=event.event_id, seq=outcome.seq)
