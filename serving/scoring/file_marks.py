"""What files look like from outside, so that a change is seen without reading them."""

from __future__ import annotations

import os
from pathlib import Path

FileMark = tuple[int, int, int] | None


def file_mark(path: Path) -> FileMark:
    """Inode, time and size; None: there is no such file."""
    try:
        stat = os.stat(path)
    except FileNotFoundError:
        return None
    return stat.st_ino, stat.st_mtime_ns, stat.st_size
