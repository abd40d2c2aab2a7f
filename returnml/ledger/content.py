"""What an event says, as a digest: whether one that comes under a known id is the same one again."""

from __future__ import annotations

import hashlib
from datetime import datetime
from functools import lru_cache
from typing import Any

import msgspec

from returnml.instants import instant_us
from returnml.ledger.events import LedgerEvent

_ENCODE = msgspec.json.Encoder(order="sorted").encode
_UNNAMED = frozenset({"customer_id"})
_BYTES = 12


def content_of(event: LedgerEvent) -> bytes:
    """A digest of an event's fields but the customer's id, which the ledger does not have as it was sent.

    A field that is null, or absent with a default, counts as absent: a field that events gain later changes no digest.
    An instant is what it is, whatever zone it was written in.

    >>> from returnml.ledger.decoding import decode_event
    >>> rest = b'"type": "inspection", "event_id": "e", "inspection_id": "i", "return_id": "r", "verdict": "worn"}'
    >>> times = (b"12:00:00Z", b"13:00:00+01:00", b"13:00:00Z")
    >>> utc, berlin, later = (decode_event(b'{"occurred_at": "2024-01-01T%s", ' % at + rest) for at in times)
    >>> content_of(utc) == content_of(berlin), content_of(utc) == content_of(later)
    (True, False)
    """
    said = {name: value for name, value in _said(event).items() if name not in _UNNAMED}
    tag = event.__struct_config__.tag
    return hashlib.blake2b(_ENCODE([tag, said]), digest_size=_BYTES).digest()


def _said(struct: msgspec.Struct) -> dict[str, Any]:
    """The fields that are neither null nor their default."""
    found: dict[str, Any] = {}
    for name, default in _defaults(type(struct)):
        value = getattr(struct, name)
        if value is not None and value != default:
            found[name] = _plain(value)
    return found


@lru_cache
def _defaults(kind: type[msgspec.Struct]) -> tuple[tuple[str, Any], ...]:
    return tuple((field.name, field.default) for field in msgspec.structs.fields(kind))


def _plain(value: Any) -> Any:
    if isinstance(value, list):
        return [_plain(one) for one in value]
    if isinstance(value, msgspec.Struct):
        return _said(value)
    return instant_us(value) if isinstance(value, datetime) else value
