"""What a killed writer left: folders and copies that never got their names."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from itertools import chain

from returnml.clock import Clock
from returnml.findings import Finding
from returnml.settings import Settings

_PATTERNS = ("*/.unfinished-*", "*/*/.unfinished-*", "warehouse/.*.tmp")


def find(settings: Settings, clock: Clock) -> Iterator[Finding]:
    """One finding for all: nobody reads them, and what is being written now looks the same."""
    root = settings.paths.root
    left = sorted(chain.from_iterable(root.glob(pattern) for pattern in _PATTERNS))
    if left:
        yield Finding(
            code="unfinished_left",
            where=str(root),
            what=f"{len(left)} folders or copies never got their names, {left[0].relative_to(root)} first",
            meaning="They are being written, or their writer was killed. Nobody reads them; they take room.",
            mend=f"where nothing runs: rm -r {' '.join(shlex.quote(str(path)) for path in left)}",
            is_command=False,
            is_damage=False,
        )
