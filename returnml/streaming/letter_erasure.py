"""A customer who is forgotten, taken out of the log of dead letters.

Those messages are kept as they came, and are no events: nothing says where in one of them a customer is named. So the id
is sought in all of it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import groupby
from operator import itemgetter
from pathlib import Path

from msgspec import structs

from returnml.files import replace_file
from returnml.ledger.record_log import LogWriter, Record, read_between, segments
from returnml.streaming.dead_letters import Piece, decode_piece, encode_piece

ERASED = "erased: it named a customer who was forgotten"
_ALWAYS_US = (1 << 64) - 1
_ENCODINGS = ("utf-8", "latin-1", "utf-16-le", "utf-16-be")
_ESCAPE = re.compile(r'\\(?:u([0-9a-fA-F]{4})|([bfnrt])|(["\\/]))')


def erase_customer(folder: Path, customer_id: str) -> int:
    """Leave of every letter that names a customer only where it stood in its topic, and the rule that it broke.

    It names them where the id stands in its key or value as a word of its own, in any of the usual encodings: rather a
    letter too many than one too few. A segment is replaced whole or not at all.

    Args:
        folder: of the log; consumers may go on writing it.
        customer_id: the shop's id.

    Returns:
        How many letters.

    Raises:
        LogError: for a damaged log.
        StreamingError: for a record of another version of this code.
        OSError: to be called again.
    """
    if not segments(folder):
        return 0
    named = re.compile(rf"(?<!\w){re.escape(customer_id)}(?!\w)")
    erased = 0
    log = LogWriter(folder)
    try:
        with log.turn():
            log.newest()  # cuts off what a kill left torn
            for file, found in groupby(read_between(folder, 0, _ALWAYS_US), key=itemgetter(0)):
                letters = list(_letters([record for _, record in found], folder))
                is_named = [_names(named, pieces) for _, pieces in letters]
                if any(is_named):
                    kept = [_without(*letter) if gone else letter[0] for letter, gone in zip(letters, is_named, strict=True)]
                    replace_file(file, b"".join(record.encode() for records in kept for record in records))
                    erased += sum(is_named)
    finally:
        log.close()
    return erased


def _letters(records: Sequence[Record], folder: Path) -> Iterator[tuple[list[Record], list[Piece]]]:
    """The records of each letter, and of what a kill left of one, with their pieces."""
    held: list[Record] = []
    pieces: list[Piece] = []
    for record in records:
        piece = decode_piece(record, folder)
        if piece.number == 0 and held:
            yield held, pieces
            held, pieces = [], []
        held.append(record)
        pieces.append(piece)
    if held:
        yield held, pieces


def _names(named: re.Pattern[str], pieces: Sequence[Piece]) -> bool:
    letter = pieces[0].letter
    value = b"".join(piece.letter.value or b"" for piece in pieces)
    told = f"{letter.field} {letter.message}"
    return any(named.search(text) for text in (told, *_texts(letter.key or b""), *_texts(value)))


def _texts(content: bytes) -> Iterator[str]:
    """What the bytes may say."""
    for encoding in _ENCODINGS:
        text = content.decode(encoding, "replace")
        yield text
        if "\\" in text:
            plain = _ESCAPE.sub(lambda found: chr(int(found[1], 16)) if found[1] else found[3] or " ", text)
            yield plain.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _without(records: Sequence[Record], pieces: Sequence[Piece]) -> list[Record]:
    letter = structs.replace(pieces[0].letter, field="$", message=ERASED, key=None, value=None)
    return [Record(records[0].seq, records[0].known_at_us, encode_piece(Piece(letter, 0, 1)))]
