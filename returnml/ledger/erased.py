"""Who was forgotten, as the ledger says: whoever stores something of customers reads it here, not what was ingested of it."""

from __future__ import annotations

from pathlib import Path

from returnml.ledger.event_records import decode_payload
from returnml.ledger.events import CustomerErased
from returnml.ledger.record_log import read

_TAG = str(CustomerErased.__struct_config__.tag).encode()


def erased_customers(ledger: Path, after_seq: int = 0) -> tuple[frozenset[str], int]:
    """The pseudonyms with an erasure after a position, whenever it became known; and the last position that was read.

    Raises:
        LogError: where the ledger is damaged.
    """
    found: set[str] = set()
    for record in read(ledger, after_seq):
        after_seq = record.seq
        if _TAG in record.payload:
            event = decode_payload(record).event
            if isinstance(event, CustomerErased):
                found.add(event.customer_id)
    return frozenset(found), after_seq
