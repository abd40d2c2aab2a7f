"""The data that projects share: the folder ``SHARED_DIR``, or ``shared`` beside this checkout."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

SHARED = Path(os.environ.get("SHARED_DIR", Path(__file__).resolve().parents[2] / "shared"))
ONLINE_RETAIL = SHARED / "data" / "online_retail_by_day"
"""The daily files of Online Retail."""


def required(path: Path) -> Path:
    """A file or folder of it; a test that asks for what is not there is skipped."""
    if not path.exists():
        pytest.skip(f"not found: {path}; set SHARED_DIR")
    return path
