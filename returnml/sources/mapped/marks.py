"""How far a shop's database was read: the mark of each stream, kept beside the deliveries.

A mark is written after its rows are delivered. A kill between the two reads them again; rows with ids of their own that did not
change then change nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from pathlib import Path

import msgspec

from returnml.files import UNDECODABLE, replace_file, sha256
from returnml.sources.exports.database_rows import Mark
from returnml.sources.import_error import SourceError

_KINDS = {"datetime": datetime, "date": date, "int": int, "str": str}


def read_marks(landing: Path, shop: str) -> dict[str, Mark]:
    """The marks of a shop by stream; none where nothing was read.

    Raises:
        SourceError: where they cannot be read.
    """
    path = _path(landing, shop)
    try:
        found = msgspec.json.decode(path.read_bytes(), type=dict[str, tuple[str, str | int]])
        return {stream: msgspec.convert(value, _KINDS[kind], strict=True) for stream, (kind, value) in found.items()}
    except FileNotFoundError:
        return {}
    except (*UNDECODABLE, KeyError) as error:
        raise SourceError(path, "marks", str(error)) from error


def write_marks(landing: Path, shop: str, marks: Mapping[str, Mark]) -> None:
    """Keep marks; streams without one keep theirs."""
    if not marks:
        return
    path = _path(landing, shop)
    path.parent.mkdir(parents=True, exist_ok=True)
    together = read_marks(landing, shop) | dict(marks)
    replace_file(path, msgspec.json.encode({stream: (type(mark).__name__, mark) for stream, mark in together.items()}))


def _path(landing: Path, shop: str) -> Path:
    return landing / "marks" / f"{sha256(shop.encode())[:16]}.json"
