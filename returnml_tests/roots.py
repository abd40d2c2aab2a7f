"""Data roots of tests: they have an identity, as a shop's have."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from returnml.clock import VirtualClock
from returnml.privacy.root_making import make_root
from returnml.root import ROOT_FILE
from returnml.settings import PrivacySettings, Settings


def rooted(folder: Path, customer_ids: Literal["pseudonymise", "as_delivered"] = "as_delivered") -> Path:
    """Make a folder a data root, before anything else is in it; one that is there stays as it is."""
    if not (folder / ROOT_FILE).exists():
        make_root(Settings(data=str(folder), privacy=PrivacySettings(customer_ids)), "a test", VirtualClock(0))
    return folder


def same_root(folder: Path, other: Path) -> Path:
    """Make a folder the same data root as another one: as on a second host."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / ROOT_FILE).write_bytes((other / ROOT_FILE).read_bytes())
    return folder
