"""A Redis server: connections that never wait long, and its errors in the store's words.

No scripts: a read is a few HMGETs between two looks at what every commit changes (half the time of a Lua function,
which copies every value twice; a MULTI/EXEC would be refused by a server whose memory is full), a commit is optimistic
(WATCH, MULTI, EXEC), so that nothing has to be installed on the server. All keys of a store share one hash tag: a
cluster keeps them in one slot.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as ConnectionLost
from redis.exceptions import RedisError, WatchError
from redis.exceptions import TimeoutError as TimedOut
from redis.retry import Retry

from returnml.store.backend import StoreUnavailable
from returnml.store.generation_manifest import StoreError
from returnml.store.redis.round_trip import Exchange

CONNECT_SECONDS = 0.2
READ_SECONDS = 0.25
"""A scoring process does nothing else while it waits for a read."""
WRITE_SECONDS = 5.0
READ_TRIES = 50
"""A read is tried again where a commit came between: a server that runs a pipeline in one go lets none come."""
MAX_FIELDS = 2_000
"""Of one command; other clients wait while it runs."""

Command = tuple[Any, ...]


def encode(*command: bytes) -> bytes:
    """
    >>> encode(b"GET", b"k")
    b'*2\\r\\n$3\\r\\nGET\\r\\n$1\\r\\nk\\r\\n'
    """
    return b"*%d\r\n" % len(command) + b"".join([b"$%d\r\n%b\r\n" % (len(part), part) for part in command])


class RedisServer:
    """One server. ``snapshot`` is for one thread, the rest for any.

    Args:
        url: ``redis://``, ``rediss://`` (TLS) or ``unix://``, as redis-py reads it.
    """

    def __init__(self, url: str) -> None:
        common: dict[str, Any] = {"socket_connect_timeout": CONNECT_SECONDS, "retry": Retry(NoBackoff(), 0), "protocol": 2}
        try:
            self._quick = redis.Redis.from_url(url, socket_timeout=READ_SECONDS, **common)
            self._patient = redis.Redis.from_url(url, socket_timeout=WRITE_SECONDS, **common)
        except ValueError as error:
            raise StoreError(f"store.redis_url: {error}") from error
        place = self._quick.connection_pool.connection_kwargs
        self.name = f"redis {place.get('path') or '{host}:{port}'.format_map({'host': 'localhost', 'port': 6379} | place)}"
        self._reading: Exchange | None = None
        self._lost: str | None = None

    def call(self, *command: Any) -> Any:
        """Run one command on a connection of its own.

        Raises:
            StoreUnavailable: where the server is away or hangs.
            StoreError: where it refuses the command.
        """
        with self._translated():
            return self._quick.execute_command(*command)

    def wait(self, *command: Any) -> Any:
        """The same for writers, who may wait longer."""
        with self._translated():
            return self._patient.execute_command(*command)

    def snapshot(self, about: bytes, fields: Sequence[bytes], hashes: Sequence[bytes]) -> list[list[bytes | None]]:
        """Read as one snapshot; for one thread. Packed by hand: the hashes are asked for the same fields.

        A connection that the server closed is opened again once. After a timeout or a refused connection there is no
        further attempt before ``revive``: an event loop must not wait for a server that is away.

        Args:
            about: an encoded command, asked before and after: its reply changes with every commit.

        Returns:
            Its reply, and for each hash the values of the fields.

        Raises:
            StoreUnavailable: where the server is away or hangs, and after that until ``revive``.
            StoreError: where it refuses a command.
        """
        if self._lost is not None:
            raise StoreUnavailable(self._lost)
        asked = b"".join([b"$%d\r\n%b\r\n" % (len(field), field) for field in fields])
        n = len(fields) + 2
        reads = [b"*%d\r\n$5\r\nHMGET\r\n$%d\r\n%b\r\n%b" % (n, len(name), name, asked) for name in hashes]
        request = b"".join([about, *reads, about])
        replies = len(hashes) + 2
        try:
            for _ in range(READ_TRIES):
                try:
                    *found, after = self._ask(request, replies)
                except ConnectionLost:
                    self._drop()
                    *found, after = self._ask(request, replies)
                if found[0] == after:
                    return found
            raise StoreError(f"{self.name}: was written during each of {READ_TRIES} reads")
        except RedisError as error:
            self._drop()
            if not isinstance(error, ConnectionLost | TimedOut):
                raise StoreError(f"{self.name}: {error}") from error
            self._lost = self._said(error)
            raise StoreUnavailable(self._lost) from error

    def revive(self) -> None:
        """Let ``snapshot`` try again, on a connection that is made here and now.

        Raises:
            StoreUnavailable: while the server is away.
        """
        if self._lost is None:
            return
        with self._translated():
            self._reading = self._connect()
        self._lost = None

    @contextmanager
    def watching(self, *keys: bytes) -> Iterator[Watch]:
        """Reads and one commit, which is refused if one of ``keys`` was changed meanwhile."""
        with self._translated(), self._patient.pipeline() as pipeline:
            pipeline.watch(*keys)
            yield Watch(pipeline)

    def _connect(self) -> Exchange:
        connection = self._quick.connection_pool.make_connection()
        connection.connect()
        return Exchange(connection, READ_SECONDS)

    def _ask(self, request: bytes, replies: int) -> list[Any]:
        if self._reading is None:
            self._reading = self._connect()
        return self._reading.ask(request, replies)

    def _drop(self) -> None:
        reading, self._reading = self._reading, None
        if reading is not None:
            reading.close()

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except WatchError as error:
            raise StoreError(f"{self.name}: another writer was faster; nothing was written") from error
        except (ConnectionLost, TimedOut) as error:
            raise StoreUnavailable(self._said(error)) from error
        except RedisError as error:
            raise StoreError(f"{self.name}: {error}") from error

    def _said(self, error: Exception) -> str:
        return f"{self.name} is not available: {error}"


class Watch:
    """The connection of one writer's turn."""

    def __init__(self, pipeline: Any) -> None:
        self._pipeline = pipeline

    def call(self, *command: Any) -> Any:
        """Run a command now."""
        return self._pipeline.execute_command(*command)

    def also(self, key: bytes) -> None:
        """Watch one more key from now on."""
        self._pipeline.watch(key)

    def commit(self, commands: Iterable[Command]) -> None:
        """Run commands as one, if nothing that is watched was changed."""
        self._pipeline.multi()
        for command in commands:
            self._pipeline.execute_command(*command)
        self._pipeline.execute()
