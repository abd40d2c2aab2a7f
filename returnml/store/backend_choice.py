"""Which backend the settings ask for."""

from __future__ import annotations

from returnml.root import RootError, read_root
from returnml.settings import Settings
from returnml.store.backend import Backend
from returnml.store.generation_manifest import StoreError
from returnml.store.lmdb.embedded import LmdbBackend


def open_backend(settings: Settings) -> Backend:
    """The online store of these settings; nothing is opened before it is used.

    Raises:
        StoreError: where their folder is no data root; for settings that cannot be, or a backend that is not installed.
    """
    try:
        read_root(settings.paths.root)
    except RootError as error:
        raise StoreError(str(error)) from error
    store = settings.store
    if store.backend == "lmdb":
        return LmdbBackend(settings.paths.store)
    try:
        from returnml.store.redis.remote import RedisBackend
    except ImportError as error:
        raise StoreError(f"store.backend redis: {error}; install returnml[redis]") from error
    return RedisBackend(settings.paths.store, store.redis_url, store.redis_prefix)
