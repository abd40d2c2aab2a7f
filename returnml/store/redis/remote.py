"""The Redis backend: generations and live part on a server that several hosts read.

Keys, all behind one prefix with a hash tag::

    meta                 hash    the pointer, the mark, and the name of the hash that is each table's content now
    g:<generation>       hash    keys and values of a generation, and two fields about itself
    t:<table>:<token>    hash    a table's content; clearing a table begins another hash
    made                 set     the names of all of these hashes, so that leftovers are found

A reader asks for the pointer, and for the values of the hashes that the pointer named last time, as one snapshot; if
the pointer has moved it asks again. Every hash says in a field of its own that it is there and whole: a missing key
is an unknown customer only in a hash that answers for itself.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec

from returnml.features.declarations import FeatureSet
from returnml.files import UNDECODABLE
from returnml.store.backend import (
    MARK,
    POINTER,
    STATE,
    Choose,
    Found,
    Published,
    Transaction,
    Values,
    read_generation,
    snapshot_at,
)
from returnml.store.generation import Generation
from returnml.store.generation_manifest import (
    GenerationManifest,
    StoreError,
    read_manifest,
    require_served,
)
from returnml.store.redis.remote_turn import (
    MANIFEST,
    SIZE,
    TABLES,
    Names,
    RemoteTransaction,
    chunks,
)
from returnml.store.redis.server import (
    RedisServer,
    encode,
)


class RemoteGeneration:
    """A generation on the server. See ``backend.Published``."""

    def __init__(self, server: RedisServer, key: bytes, manifest: GenerationManifest) -> None:
        self.manifest = manifest
        self.name = manifest.name
        self._server = server
        self._key = key

    @property
    def cut_off_us(self) -> int:
        return self.manifest.cut_off_us

    def read(self, keys: Sequence[bytes]) -> Values:
        size, *values = self._server.call("HMGET", self._key, SIZE, *keys)
        _check_there(size, self.name, self._server)
        return values


class RedisBackend:
    """The store on a Redis server; ``root`` has this host's folders of generations and, beside it, the ledger.

    Args:
        root: where generations are written before they are loaded into the server.
        url: see ``redis_backend.RedisServer``.
        prefix: of all keys, with a hash tag.

    Raises:
        StoreError: for a URL or a prefix that cannot be.
    """

    def __init__(self, root: Path, url: str, prefix: str) -> None:
        if "{" not in prefix or "}" not in prefix[prefix.index("{") + 2 :]:
            raise StoreError(
                f"store.redis_prefix: {prefix!r} has no hash tag, e.g. '{{returnml}}:': a cluster would scatter the keys"
            )
        self.root = root
        self.url = url
        self.prefix = prefix
        self._server = RedisServer(url)
        self._names = Names(prefix)
        self._ask = encode(b"HMGET", self._names.meta, POINTER, MARK, TABLES[STATE])
        self._seen: tuple[bytes, bytes] = b"", b""

    def published(self) -> str | None:
        name = self._server.call("HGET", self._names.meta, POINTER)
        self._server.revive()
        return None if name is None else name.decode()

    def open(self, name: str, feature_set: FeatureSet, is_verified: bool = True) -> Published:
        key = self._names.generation(name)
        size, text = self._server.call("HMGET", key, SIZE, MANIFEST)
        _check_there(size, name, self._server)
        try:
            manifest = msgspec.json.decode(text or b"", type=GenerationManifest)
        except UNDECODABLE as error:
            raise StoreError(f"{self._server.name}: generation {name}: manifest: {error}") from error
        require_served(manifest, feature_set, f"{self._server.name}: generation {name}")
        if is_verified and self._server.call("HLEN", key) != int(size) + 2:
            raise StoreError(f"{self._server.name}: generation {name}: torn or changed: it does not have its {int(size)} keys")
        return RemoteGeneration(self._server, key, manifest)

    def read(self, keys: Sequence[bytes], choose: Choose) -> Found:
        names = self._names
        fields = [SIZE, *keys]
        while True:
            pointer, state = self._seen
            (seen, mark, now), published, live = self._server.snapshot(
                self._ask, fields, (names.generation(pointer), names.table(state))
            )
            if seen is None or (seen == pointer and now == state):
                break
            self._seen = seen, now or b""
        name = None if seen is None else seen.decode()
        generation = choose(name)
        if generation.name != name:
            return read_generation(generation, keys, is_stale=True)
        _check_there(published[0], name, self._server)
        _check_there(live[0], "the live part", self._server)
        return snapshot_at(generation, mark), published[1:], live[1:]

    @contextmanager
    def writing(self) -> Iterator[Transaction]:
        with self._server.watching(self._names.meta) as watch:
            transaction = RemoteTransaction(watch, self._names)
            yield transaction
            transaction.commit()

    def install(self, folder: Path) -> None:
        """Load a generation; what a killed publisher left of it stays unnamed, and is removed by ``keep_only``."""
        server, names = self._server, self._names
        policy = server.wait("INFO", "memory").get("maxmemory_policy", "noeviction")
        if policy.startswith("allkeys"):
            raise StoreError(f"{server.name}: maxmemory-policy {policy} may remove any key: set it to noeviction")
        manifest = read_manifest(folder)
        target = names.generation(manifest.name)
        about = msgspec.json.encode(manifest)
        size, there = server.wait("HMGET", target, SIZE, MANIFEST)
        if there == about and server.wait("HLEN", target) == int(size) + 2:
            return
        loading = names.generation(f"{manifest.name}:{uuid.uuid4().hex}")
        server.wait("SADD", names.made, loading, target)
        count = 0
        for fields in chunks(Generation(folder, manifest).items()):
            server.wait("HSET", loading, *fields)
            count += len(fields) // 2
        server.wait("HSET", loading, SIZE, b"%d" % count, MANIFEST, about)
        if server.wait("HLEN", loading) != count + 2:
            raise StoreError(f"{server.name}: generation {manifest.name}: not all of its {count} keys arrived")
        server.wait("RENAME", loading, target)
        server.wait("SREM", names.made, loading)

    def keep_only(self, names: Sequence[str]) -> None:
        server = self._server
        tables = server.wait("HMGET", self._names.meta, *TABLES.values())
        kept = {self._names.generation(name) for name in names} | {self._names.table(t) for t in tables if t is not None}
        for key in sorted(set(server.wait("SMEMBERS", self._names.made)) - kept):
            server.wait("UNLINK", key)
            server.wait("SREM", self._names.made, key)


def _check_there(size: bytes | None, what: str | None, server: RedisServer) -> None:
    if size is None:
        raise StoreError(f"{server.name}: {what} is gone: publish again")
