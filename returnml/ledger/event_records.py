"""What a log record's payload says: the event as it was sent, and the verdict that was given once, as JSON."""

from __future__ import annotations

import msgspec

from returnml.ledger.events import LedgerEvent
from returnml.ledger.log import LogError, Record
from returnml.ledger.validator import Verdict


class Judged(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One event with its verdict."""

    event: LedgerEvent
    verdict: Verdict


_ENCODER = msgspec.json.Encoder()
_DECODER = msgspec.json.Decoder(Judged)


def encode_payload(judged: Judged) -> bytes:
    """The payload of a log record."""
    return _ENCODER.encode(judged)


def decode_payload(record: Record) -> Judged:
    """
    Raises:
        LogError: naming the record, where its payload is of another version of this code.
    """
    try:
        return _DECODER.decode(record.payload)
    except msgspec.DecodeError as error:
        raise LogError(f"record {record.seq}: {error}") from error
