"""Which backend the settings ask for."""

from __future__ import annotations

from returnml.settings import Settings
from returnml.store.backend import Backend
from returnml.store.embedded import LmdbBackend


def open_backend(settings: Settings) -> Backend:
    """The online store of these settings; nothing is opened before it is used."""
    return LmdbBackend(settings.paths.store)
