"""One connection's requests and replies below redis-py, which makes it: address, TLS, password and database are its own.

A client that sleeps until the reply is there pays for being woken what the whole exchange costs: on an idle machine 58
us over loopback TCP, against 23 us for one that looks again and again. So it looks for ``SPIN_SECONDS`` before it sleeps:
time in which a server on the same machine or rack has answered, and in which a scoring process has nothing else to do.
Between two looks it lets others run who wait for its core: without that, more such clients than cores halve each other.
"""

from __future__ import annotations

import select
import ssl
from os import sched_yield
from time import perf_counter
from typing import Any

import hiredis
from redis.connection import DefaultParser
from redis.exceptions import ConnectionError as ConnectionLost
from redis.exceptions import InvalidResponse, RedisError
from redis.exceptions import TimeoutError as TimedOut

SPIN_SECONDS = 50e-6
_AT_ONCE = 1 << 16
_NOT_YET = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


class Exchange:
    """Pipelined requests on one connection, one at a time; for one thread.

    After an exception the connection has replies of which nobody knows to what: it must be closed.

    Args:
        connection: of redis-py, connected; nothing else may use it from now on.
        seconds: that an exchange may take.
    """

    def __init__(self, connection: Any, seconds: float) -> None:
        self._connection = connection
        self._seconds = seconds
        self._socket = connection._sock
        self._socket.setblocking(False)
        self._arrives = select.poll()
        self._arrives.register(self._socket, select.POLLIN)
        self._reader = hiredis.Reader(protocolError=InvalidResponse, replyError=DefaultParser.parse_error)

    def ask(self, request: bytes, replies: int) -> list[Any]:
        """Send commands and wait for all their replies.

        Args:
            request: encoded commands.
            replies: how many there are.

        Raises:
            RedisError: the first error among the replies; as redis-py names them.
        """
        gets = self._reader.gets
        self._send(request)
        begun = perf_counter()
        found: list[Any] = []
        while len(found) < replies:
            self._receive(begun)
            while len(found) < replies and (reply := gets()) is not False:
                found.append(reply)
        for reply in found:
            if isinstance(reply, RedisError):
                raise reply
        return found

    def close(self) -> None:
        self._connection.disconnect()

    def _send(self, request: bytes) -> None:
        """What the kernel does not take at once waits for the server, no longer than a reply would."""
        try:
            try:
                sent = self._socket.send(request)
            except _NOT_YET:
                sent = 0
            if sent < len(request):
                self._socket.settimeout(self._seconds)
                self._socket.sendall(memoryview(request)[sent:])
                self._socket.setblocking(False)
        except TimeoutError as error:
            raise TimedOut("Timeout writing to socket") from error
        except OSError as error:
            raise ConnectionLost(f"Error while writing to socket: {error}") from error

    def _receive(self, begun: float) -> None:
        receive = self._socket.recv
        while True:
            try:
                received = receive(_AT_ONCE)
                break
            except _NOT_YET:
                waited = perf_counter() - begun
                if waited <= SPIN_SECONDS:
                    sched_yield()
                elif not self._arrives.poll(max(0.0, self._seconds - waited) * 1_000):
                    raise TimedOut("Timeout reading from socket") from None
            except OSError as error:
                raise ConnectionLost(f"Error while reading from socket: {error}") from error
        if not received:
            raise ConnectionLost("Connection closed by server.")
        self._reader.feed(received)
