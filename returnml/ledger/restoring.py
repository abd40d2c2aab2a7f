"""Putting damaged segments of the event ledger right from a backup."""

from __future__ import annotations

import tempfile
from pathlib import Path

from returnml.files import replace_file
from returnml.ledger.record_log import LogError, LogWriter, check_segment, segments


def restore(ledger: Path, backup: Path) -> dict[str, int]:
    """Give every damaged or missing segment the bytes of its backup, and behind them those that came after it.

    A segment is written in place of the damaged one only where it then is whole from its first record to its last, and has
    no record less than before. Killed, it is done again.

    Args:
        backup: the folder of the copied segments.

    Returns:
        How many bytes differed, by segment that was restored.

    Raises:
        LogError: where nothing is damaged, or the backup does not make a segment whole; what was restored before stays.
        OSError: as the disk says.
    """
    writer = LogWriter(ledger)
    try:
        with writer.turn():
            return _restore(ledger, backup)
    finally:
        writer.close()


def _restore(ledger: Path, backup: Path) -> dict[str, int]:
    copies = {file.name: file for file in segments(backup)}
    if not copies:
        raise LogError(f"{backup}: has no segment of a ledger (*.log)")
    present = segments(ledger)
    first, last = (present[0].name, present[-1].name) if present else ("", "")
    done: dict[str, int] = {}
    for file in present:
        copy, is_last = copies.get(file.name), file.name == last
        try:
            is_whole = check_segment(file, is_last=is_last) == file.stat().st_size
        except LogError as error:
            if copy is None:
                raise LogError(f"{error}; the backup has no {file.name}") from error
            is_whole = False
        if copy is not None and (not is_whole or copy.stat().st_size > file.stat().st_size):
            changed = _replaced(file, copy, is_last)
            done |= {file.name: changed} if changed else {}
    for name in sorted(set(copies) - {file.name for file in present}):
        if first <= name <= last or not present:
            replace_file(ledger / name, copies[name].read_bytes())
            done[name] = copies[name].stat().st_size
    if not done:
        raise LogError(f"{ledger}: every record is as it was written: there is nothing to restore")
    return done


def _replaced(file: Path, copy: Path, is_last: bool) -> int:
    damaged, whole = file.read_bytes(), copy.read_bytes()
    content = whole + damaged[len(whole) :]
    with tempfile.TemporaryDirectory(prefix=".restoring-", dir=file.parent) as folder:
        candidate = Path(folder) / file.name
        candidate.write_bytes(content)
        try:
            end = check_segment(candidate, is_last=is_last)
        except LogError as error:
            raise LogError(f"{file}: the backup does not make it whole: {str(error).replace(folder, '')}") from error
    if end < len(content) and content != damaged:
        raise LogError(f"{file}: with the backup it is whole up to byte {end} of {len(content)}")
    replace_file(file, content)
    return sum(a != b for a, b in zip(damaged, content, strict=False)) + abs(len(content) - len(damaged))
