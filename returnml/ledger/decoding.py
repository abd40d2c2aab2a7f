"""A sent event's bytes become an event, or the reason why they are none: the one decoder, whatever they came by."""

from __future__ import annotations

import re
from dataclasses import dataclass

import msgspec

from returnml.ledger.events import SCHEMA_VERSION, AnyEvent, Whole

_LOCATION = re.compile(r"^(?P<message>.*?)(?: - at `(?P<in_key>key in )?\$(?P<path>[^`]*)`)?$", re.DOTALL)
_NAMED = re.compile(r"^Object (?:missing required|contains unknown) field `(?P<name>[^`]+)`")


@dataclass(frozen=True)
class Malformed:
    """No event: by which rule, where and why.

    Attributes:
        rule: ``malformed``, or ``unknown_schema_version`` where that explains it.
    """

    rule: str
    field: str
    message: str


class _Versioned(msgspec.Struct):
    schema_version: Whole = SCHEMA_VERSION


_EVENT = msgspec.json.Decoder(AnyEvent)
_VERSIONED = msgspec.json.Decoder(_Versioned)


def decode_event(sent: bytes | msgspec.Raw) -> AnyEvent | Malformed:
    """Decode one JSON object, strictly.

    >>> decode_event(b'{"type": "inspection"}')
    Malformed(rule='malformed', field='event_id', message='Object missing required field `event_id`')
    >>> decode_event(b'{"type": "parcel", "schema_version": 2}')
    Malformed(rule='unknown_schema_version', field='schema_version', message='2, not 1')
    """
    try:
        return _EVENT.decode(sent)
    except msgspec.ValidationError as error:
        version = _version(sent)
        if version != SCHEMA_VERSION:
            return Malformed("unknown_schema_version", "schema_version", f"{version}, not {SCHEMA_VERSION}")
        return Malformed("malformed", *locate(error))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return Malformed("malformed", "$", f"no JSON: {error}")


def locate(error: msgspec.ValidationError) -> tuple[str, str]:
    """Where and why decoding failed.

    >>> locate(msgspec.ValidationError("Expected `int` >= 1 - at `$.lines[0].quantity`"))
    ('lines[0].quantity', 'Expected `int` >= 1')
    >>> locate(msgspec.ValidationError("Object missing required field `size` - at `$.lines[3]`"))[0]
    'lines[3].size'
    """
    match = _LOCATION.match(str(error))
    message, path = (match["message"], match["path"] or "") if match else (str(error), "")
    named = _NAMED.match(message)
    if named:
        path = f"{path}.{named['name']}"
    return path.lstrip(".") or "$", message


def _version(sent: bytes | msgspec.Raw) -> int:
    try:
        return _VERSIONED.decode(sent).schema_version
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return SCHEMA_VERSION
