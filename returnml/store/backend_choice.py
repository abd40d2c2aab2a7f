"""Which backend the settings ask for."""

from __future__ import annotations

from returnml.settings import Settings
from returnml.store.backend import Backend
from returnml.store.generation_manifest import StoreError
from returnml.store.lmdb.embedded import LmdbBackend


def open_backend(settings: Settings) -> Backend:
    """The online store of these settings; nothing is opened before it is used.

    Raises:
        StoreError: for settings that cannot be, or a backend that is not installed.
    """
    store = settings.store
    if store.backend == "lmdb":
        return LmdbBackend(settings.paths.store)
    try:
        from returnml.store.redis.remote import RedisBackend
    except ImportError as error:
        raise StoreError(f"store.backend redis: {error}; install returnml[redis]") from error
    return RedisBackend(settings.paths.store, store.redis_url, store.redis_prefix)
