"""Where the shared real data lies, if it does."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def online_retail_folder() -> Path:
    """The folder of the daily Online Retail files; skips where it is not there."""
    shared = Path(os.environ.get("SHARED_DIR", Path(__file__).parents[2].parent / "shared"))
    folder = shared / "data" / "online_retail_by_day"
    if not folder.is_dir():
        pytest.skip(f"real data not found at {folder}; set SHARED_DIR")
    return folder
