"""What a log record's payload says: the event, the verdict that was given once, and how its amounts were converted, as JSON."""

from __future__ import annotations

import msgspec

from returnml.ledger.conversion import Conversion, as_sent
from returnml.ledger.events import LedgerEvent
from returnml.ledger.record_log import LogError, Record
from returnml.ledger.validator import Verdict


class Judged(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One event with its verdict.

    Attributes:
        event: in the shop's currency.
        conversion: what was sent, where that was in another one.
    """

    event: LedgerEvent
    verdict: Verdict
    conversion: Conversion | None = None

    @property
    def sent(self) -> LedgerEvent:
        """The event with the amounts that were sent."""
        return as_sent(self.event, self.conversion)


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
