"""Stores on both backends."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from returnml.store.backend import Backend
from returnml.store.lmdb.embedded import LmdbBackend


@pytest.fixture(params=["lmdb", "redis"])
def make_backend(request: pytest.FixtureRequest) -> Callable[[Path], Backend]:
    """From the folder of a store to a backend of it; each one made is as a process of its own would have it."""
    if request.param == "lmdb":
        return LmdbBackend
    redis = request.getfixturevalue("redis")
    return lambda root: redis.backend(root, f"{{{root}}}:")
