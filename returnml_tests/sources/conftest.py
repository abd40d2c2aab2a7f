"""Where the shared real data lies, if it does."""

from __future__ import annotations

from pathlib import Path

import pytest

from returnml_tests.shared import ONLINE_RETAIL, required


@pytest.fixture(scope="session")
def online_retail_folder() -> Path:
    """The folder of the daily Online Retail files; skips where it is not there."""
    return required(ONLINE_RETAIL)
