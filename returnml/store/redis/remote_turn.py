"""A writer's turn on the Redis server, and the names of the server's keys (see ``remote``)."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator, Sequence

from returnml.store.backend import EVENTS, META, OWNER, POINTER, STATE
from returnml.store.generation_manifest import StoreError
from returnml.store.owner import require_owned
from returnml.store.redis.server import (
    MAX_FIELDS,
    Command,
    Watch,
)

SIZE, MANIFEST = b"", b"\xff"
"""Fields of a generation's hash: how many keys it has, and its manifest. No key of the store is shorter than three bytes."""
MAX_KNOWN = 200_000
"""Values that a turn remembers; a long replay asks for those that it needs again."""
TABLES = {STATE: b"state", EVENTS: b"events"}
TURN = b"turn"
"""Changed by every commit."""
_LOAD_BYTES = 1 << 20


class Names:
    """The server's keys."""

    def __init__(self, prefix: str, server: str) -> None:
        self.prefix = prefix.encode()
        self.where = f"{server}, store.redis_prefix {prefix!r}"
        self.meta, self.made = self.prefix + b"meta", self.prefix + b"made"

    def generation(self, name: str | bytes) -> bytes:
        return self.prefix + b"g:" + (name.encode() if isinstance(name, str) else name)

    def table(self, token: bytes) -> bytes:
        return self.prefix + b"t:" + token

    def new_table(self, table: int) -> bytes:
        return TABLES[table] + b":" + uuid.uuid4().hex.encode()


class RemoteTransaction:
    """One turn on the server. See ``backend.Transaction``.

    Writes wait in memory for the commit. Those into a table that was cleared go ahead of it, for a publication may have
    many: nobody sees a hash that ``meta`` does not name yet. A server that lost a table has lost all: publishing builds
    everything from the ledger.
    """

    is_remote = True

    def __init__(self, watch: Watch, names: Names, owner: str) -> None:
        self._watch = watch
        self._names = names
        self._owner = owner.encode()
        self._meta: dict[bytes, bytes] = watch.call("HGETALL", names.meta)
        require_owned(self._meta.get(OWNER, self._owner).decode(), owner, names.where)
        tokens = [self._meta[field] for field in TABLES.values() if field in self._meta]
        if not all(watch.call("HEXISTS", names.table(token), SIZE) for token in tokens):
            self._meta = {}
        self._tables = {table: self._meta.get(field) for table, field in TABLES.items()}
        self._before = dict(self._tables)
        self._begun: list[bytes] = []
        self._cleared: set[int] = set()
        self._known: dict[int, dict[bytes, bytes | None]] = {table: {} for table in TABLES}
        self._written: dict[int, dict[bytes, bytes]] = {table: {} for table in (META, *TABLES)}
        self._removed: dict[int, set[bytes]] = {table: set() for table in TABLES}

    def get(self, table: int, key: bytes) -> bytes | None:
        if table == META:
            return self._written[META].get(key, self._meta.get(key))
        written = self._written[table].get(key)
        if written is not None:
            return written
        known = self._known[table]
        if key not in known:
            self.load(table, [key])
        return known[key]

    def put(self, table: int, key: bytes, value: bytes) -> None:
        if table != META and self._tables[table] is None:
            self._begin(table)
        written = self._written[table]
        written[key] = value
        if table != META:
            self._removed[table].discard(key)
        if table in self._cleared and len(written) >= MAX_FIELDS:
            for command in self._puts(table):
                self._watch.call(*command)
            for key in written:
                self._known[table].pop(key, None)
            written.clear()

    def delete(self, table: int, key: bytes) -> None:
        self._written[table].pop(key, None)
        self._known[table][key] = None
        self._removed[table].add(key)

    def clear(self, table: int) -> None:
        self._begin(table)
        self._cleared.add(table)
        self._known[table].clear()
        self._written[table].clear()
        self._removed[table].clear()

    def load(self, table: int, keys: Sequence[bytes]) -> None:
        known, token = self._known[table], self._tables[table]
        if len(known) > MAX_KNOWN:
            known.clear()
            known.update(dict.fromkeys(self._removed[table]))
        wanted = [key for key in keys if key not in known]
        for at in range(0, len(wanted), MAX_FIELDS):
            part = wanted[at : at + MAX_FIELDS]
            values = [None] * len(part) if token is None else self._watch.call("HMGET", self._names.table(token), *part)
            known.update(zip(part, values, strict=True))

    def items(self, table: int) -> Iterator[tuple[bytes, bytes]]:
        token, at = self._before[table], 0
        while token is not None:
            at, found = self._watch.call("HSCAN", self._names.table(token), at, "COUNT", MAX_FIELDS)
            yield from ((key, value) for key, value in found.items() if key != SIZE)
            if not at:
                return

    def commit(self) -> None:
        """Let everything take effect at once.

        Raises:
            StoreError: where memory is full, another writer was faster, or a generation that shall be published is not whole.
        """
        commands: list[Command] = []
        meta = dict(self._written[META])
        for table, token in self._tables.items():
            commands += self._puts(table)
            if token is not None and self._removed[table]:
                commands.append(("HDEL", self._names.table(token), *sorted(self._removed[table])))
            if token is not None and self._is_new(table):
                commands.append(("HSET", self._names.table(token), SIZE, b"0"))
                meta[TABLES[table]] = token
                before = self._before[table]
                if before is not None:
                    commands.append(("UNLINK", self._names.table(before)))
                    commands.append(("SREM", self._names.made, self._names.table(before)))
        if POINTER in meta:
            self._check_whole(meta[POINTER])
        if commands or meta:
            meta[OWNER] = self._owner
        if meta:
            commands.append(("HSET", self._names.meta, *(part for item in meta.items() for part in item)))
        if commands:
            # Whatever was written, a turn that overlapped with this one must see that meta has changed.
            self._watch.commit([*commands, ("HINCRBY", self._names.meta, TURN, 1)])

    def begun(self) -> list[bytes]:
        """The hashes that this turn began."""
        return [self._names.table(token) for token in self._begun]

    def _begin(self, table: int) -> None:
        token = self._names.new_table(table)
        self._watch.call("SADD", self._names.made, self._names.table(token))
        self._tables[table] = token
        self._begun.append(token)

    def _is_new(self, table: int) -> bool:
        return self._tables[table] != self._before[table]

    def _puts(self, table: int) -> Iterator[Command]:
        for fields in chunks(self._written[table].items()):
            yield ("HSET", self._names.table(self._tables[table] or b""), *fields)

    def _check_whole(self, name: bytes) -> None:
        key = self._names.generation(name)
        self._watch.also(key)
        size = self._watch.call("HGET", key, SIZE)
        if size is None or self._watch.call("HLEN", key) != int(size) + 2:
            raise StoreError(f"generation {name.decode()} is not whole on the server: publish it again")


def chunks(items: Iterable[tuple[bytes, bytes]]) -> Iterator[list[bytes]]:
    """Fields and values in turn, as many as one command may take."""
    fields: list[bytes] = []
    size = 0
    for key, value in items:
        fields += (key, value)
        size += len(key) + len(value)
        if size >= _LOAD_BYTES or len(fields) >= 2 * MAX_FIELDS:
            yield fields
            fields, size = [], 0
    if fields:
        yield fields
