"""Which revision of this project's source is running."""

from __future__ import annotations

import subprocess
from functools import lru_cache
from pathlib import Path

UNKNOWN = "unknown"


_PACKAGE = Path(__file__).resolve().parents[2]


@lru_cache(maxsize=1)
def source_revision(package: Path = _PACKAGE) -> str:
    """The git commit that the package was taken from, with ``+changes`` where files differ from it.

    ``unknown``: it does not lie in a git checkout that has it (an installed copy, also one below somebody's repository).
    """
    if _git(package, "ls-files", "--error-unmatch", "__init__.py") is None:
        return UNKNOWN
    commit, changes = _git(package, "rev-parse", "HEAD"), _git(package, "status", "--porcelain", "--", ".")
    if commit is None or changes is None:
        return UNKNOWN
    return f"{commit.strip()}{'+changes' if changes else ''}"


def _git(folder: Path, *words: str) -> str | None:
    """What git prints; None: it refuses, or is not there."""
    try:
        done = subprocess.run(["git", "-C", str(folder), *words], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return None
    return done.stdout if done.returncode == 0 else None
