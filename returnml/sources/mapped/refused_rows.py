"""Keeps which rows of the shop's files were set aside, beside the deliveries that lack them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import msgspec

from returnml.clock import Clock
from returnml.files import write_synced
from returnml.sources.mapped.refusals import RefusedRow


def write_refused(landing: Path, rows: Sequence[RefusedRow], clock: Clock) -> Path:
    """Write the rows as JSON lines: stream, the shop's file and row, rule, column, message. Returns the file."""
    folder = landing / "refused"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{clock.now_us()}.jsonl"
    write_synced(path, b"".join(msgspec.json.encode(asdict(row)) + b"\n" for row in rows))
    return path
