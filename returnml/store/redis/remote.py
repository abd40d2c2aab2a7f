"""The Redis backend: generations and live part on a server that several hosts read.

Keys, all behind one prefix with a hash tag::

    meta                 hash    owner, pointer, mark, a count of commits, and which hash is each table's content now
    g:<generation>       hash    keys and values of a generation, and two fields about itself
    t:<table>:<token>    hash    a table's content; clearing a table begins another hash
    made                 set     the names of all of these hashes, so that leftovers are found

A reader asks for the pointer, and for the values of the hashes that the pointer named last time, as one snapshot; if
the pointer has moved it asks again. The owner is the data root whose store it is: no other reads or writes it. Every
hash says in a field of its own that it is there and whole: a missing key
is an unknown customer only in a hash that answers for itself.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path

import msgspec

from returnml.features.feature_set import FeatureSet
from returnml.files import UNDECODABLE
from returnml.store.backend import (
    MARK,
    OWNER,
    POINTER,
    STATE,
    Choose,
    Found,
    Published,
    StoreUnavailable,
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
    read_pointer,
    require_served,
)
from returnml.store.owner import ForeignStore, owner_beside, require_owned
from returnml.store.redis.remote_turn import (
    MANIFEST,
    SIZE,
    TABLES,
    TURN,
    Names,
    RemoteTransaction,
    chunks,
)
from returnml.store.redis.server import (
    RedisServer,
    encode,
)

logger = logging.getLogger(__name__)

LOADING = b":loading:"
KEY_BYTES = 100
"""What the server needs for a key besides its bytes, at most."""


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
        url: see ``server.RedisServer``.
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
        self._names = Names(prefix, self._server.name)
        self._ask = encode(b"HMGET", self._names.meta, POINTER, MARK, TABLES[STATE], OWNER, TURN)
        self._seen: tuple[bytes, bytes] = b"", b""

    @cached_property
    def owner(self) -> str:
        return owner_beside(self.root)

    def published(self) -> str | None:
        name, owner = self._server.call("HMGET", self._names.meta, POINTER, OWNER)
        self._server.revive()
        self._require_own(owner)
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
        require_owned(manifest.owner, self.owner, f"{self._server.name}: generation {name}")
        if is_verified and self._server.call("HLEN", key) != int(size) + 2:
            raise StoreError(f"{self._server.name}: generation {name}: torn or changed: it does not have its {int(size)} keys")
        return RemoteGeneration(self._server, key, manifest)

    def read(self, keys: Sequence[bytes], choose: Choose) -> Found:
        names = self._names
        fields = [SIZE, *keys]
        while True:
            pointer, state = self._seen
            (seen, mark, now, owner, _), published, live = self._server.snapshot(
                self._ask, fields, (names.generation(pointer), names.table(state))
            )
            if seen is None or (seen == pointer and now == state):
                break
            self._seen = seen, now or b""
        self._require_own(owner)
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
            transaction = RemoteTransaction(watch, self._names, self.owner)
            try:
                yield transaction
                transaction.commit()
            except StoreUnavailable:
                raise  # the server may have it all the same: the next publication removes what it has not
            except Exception:
                self._remove(transaction.begun())
                raise

    def install(self, folder: Path) -> None:
        """Load a generation, whatever is there under its name; one at a time.

        What a killed publisher left of it stays unnamed, and is removed by the next one.
        """
        server, names = self._server, self._names
        manifest = read_manifest(folder)
        generation = Generation(folder, manifest)
        self._claim()
        target = names.generation(manifest.name)
        made = set(server.wait("SMEMBERS", names.made))
        self._remove([key for key in made if key.startswith(names.generation("")) and LOADING in key])
        self._check_room(generation)
        loading = target + LOADING + uuid.uuid4().hex.encode()
        try:
            server.wait("SADD", names.made, loading)
            count = 0
            for fields in chunks(generation.items()):
                server.wait("HSET", loading, *fields)
                count += len(fields) // 2
            server.wait("HSET", loading, SIZE, b"%d" % count, MANIFEST, msgspec.json.encode(manifest))
            if server.wait("HLEN", loading) != count + 2:
                raise StoreError(f"{server.name}: generation {manifest.name}: not all of its {count} keys arrived")
            server.wait("SADD", names.made, target)
            server.wait("RENAME", loading, target)
        except Exception:
            self._remove([loading] if target in made else [loading, target])
            raise
        server.wait("SREM", names.made, loading)

    def keep_only(self, names: Sequence[str]) -> None:
        server = self._server
        tables = server.wait("HMGET", self._names.meta, *TABLES.values())
        kept = {self._names.generation(name) for name in names} | {self._names.table(t) for t in tables if t is not None}
        for key in sorted(set(server.wait("SMEMBERS", self._names.made)) - kept):
            server.wait("UNLINK", key)
            server.wait("SREM", self._names.made, key)

    def _require_own(self, owner: bytes | None) -> None:
        """Refuse another data root's store; one that says no owner was written before owners were, or is empty."""
        if owner is not None:
            require_owned(owner.decode(), self.owner, self._names.where)

    def _claim(self) -> None:
        """Be the owner of a store that has none; another root's is refused before anything of it is changed."""
        pointer, owner = self._server.wait("HMGET", self._names.meta, POINTER, OWNER)
        if owner is None and pointer is not None and pointer.decode() not in read_pointer(self.root).generations:
            raise ForeignStore(
                f"{self._names.where}: has generation {pointer.decode()}, which says no owner and was not published from "
                f"{self.root}: set another store.redis_prefix, or remove what is there"
            )
        if owner is None:
            self._server.wait("HSETNX", self._names.meta, OWNER, self.owner)
            owner = self._server.wait("HGET", self._names.meta, OWNER)
        self._require_own(owner)

    def _check_room(self, generation: Generation) -> None:
        """Both generations are there until the pointer is flipped: the old one is read meanwhile."""
        memory = self._server.wait("INFO", "memory")
        policy = memory.get("maxmemory_policy", "noeviction")
        if policy.startswith("allkeys"):
            raise StoreError(f"{self._server.name}: maxmemory-policy {policy} may remove any key: set it to noeviction")
        limit, used = int(memory.get("maxmemory", 0)), int(memory["used_memory"])
        needed = generation.manifest.database_bytes + KEY_BYTES * generation.entries
        if limit and used + needed > limit:
            raise StoreError(
                f"{self._server.name}: generation {generation.name} takes about {needed >> 20} MiB beside the published one; of "
                f"maxmemory, {limit >> 20} MiB, {max(limit - used, 0) >> 20} are free: raise it; what is published stays"
            )

    def _remove(self, keys: Sequence[bytes]) -> None:
        """Remove hashes that nobody reads; where that fails, the next publication does it."""
        try:
            for key in keys:
                self._server.wait("UNLINK", key)
                self._server.wait("SREM", self._names.made, key)
        except StoreError as error:
            logger.warning("left for the next publication to remove: %s", error)


def _check_there(size: bytes | None, what: str | None, server: RedisServer) -> None:
    if size is None:
        raise StoreError(f"{server.name}: {what} is gone: returnml store rebuild")
