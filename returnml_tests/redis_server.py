"""A real Redis server of a test's own, which can be killed, stopped and started again."""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
import tempfile
from pathlib import Path

import msgspec
import redis

from returnml.settings import StoreSettings
from returnml.store.redis.remote import RedisBackend
from returnml_tests.ports import free_port
from returnml_tests.waiting import PATIENCE_SECONDS, eventually

PREFIX = "{test}:"


def client_of(backend: RedisBackend) -> redis.Redis:
    """A client of the server that a backend is on, to look behind its back."""
    return redis.Redis.from_url(backend.url)


class RedisProcess:
    """``redis-server`` on a free port with a folder of its own; it writes to disk only when asked (``SAVE``)."""

    def __init__(self) -> None:
        program = shutil.which("redis-server")
        if program is None:
            raise RuntimeError("redis-server is not installed: make redis-server")
        self._program = program
        self._folder = tempfile.mkdtemp(prefix="returnml-redis-")
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    @property
    def settings(self) -> StoreSettings:
        return StoreSettings("redis", self.url, PREFIX)

    @property
    def environ(self) -> dict[str, str]:
        """The same for a process."""
        return {f"RETURNML_STORE__{name.upper()}": str(value) for name, value in msgspec.to_builtins(self.settings).items()}

    def backend(self, root: Path, prefix: str = PREFIX) -> RedisBackend:
        return RedisBackend(root, self.url, prefix)

    def start(self) -> None:
        """Start it, with what it saved last; returns once it answers."""
        where = ["--port", str(self.port), "--bind", "127.0.0.1", "--dir", self._folder]
        options = ["--save", "", "--appendonly", "no", "--loglevel", "warning"]
        self._process = subprocess.Popen([self._program, *where, *options], stdout=subprocess.DEVNULL)
        eventually(self._answers)

    def _answers(self) -> bool:
        if self._process is None or self._process.poll() is not None:
            raise RuntimeError("redis-server ended")
        return self.command("PING") == "+PONG"

    def command(self, *words: str) -> str:
        """The first line of the answer to an inline command; empty while nobody listens."""
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE_SECONDS) as connection:
                connection.sendall(" ".join(words).encode() + b"\r\n")
                return connection.makefile().readline().strip()
        except OSError:
            return ""

    def kill(self) -> None:
        """``kill -9``."""
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)
            self._process.kill()
            self._process.wait()
            self._process = None

    def forget_saved(self) -> None:
        """What it saved is not there when it is started next."""
        (Path(self._folder) / "dump.rdb").unlink(missing_ok=True)

    def hang(self) -> None:
        """It takes connections and answers nothing."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def close(self) -> None:
        self.kill()
        shutil.rmtree(self._folder)
