"""The real service as a drill handles it: started, killed whole or a worker at a time, and started again."""

from __future__ import annotations

import http.client
import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from returnml_tests.ports import free_port
from returnml_tests.waiting import PATIENCE_SECONDS

ROOT = Path(__file__).resolve().parents[2]
UNANSWERED = (OSError, http.client.HTTPException)


class Service:
    """``returnml serve`` with worker processes, always on one port.

    Args:
        data: its data root.
        environ: ``RETURNML_*`` settings.
        options: of the command, besides these.
    """

    def __init__(
        self, data: Path, workers: int = 2, environ: Mapping[str, str] | None = None, options: Sequence[str] = ()
    ) -> None:
        self.port = free_port()
        self._data = data
        self._workers = workers
        self._options = options
        self._environ = {k: v for k, v in os.environ.items() if not k.startswith("RETURNML_")}
        self._environ |= {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", **(environ or {})}
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, awaited: str = "/health/live") -> None:
        """Start it; returns once every worker runs and ``awaited`` is answered 200.

        Raises:
            RuntimeError: with the end of its log, where it does not come up.
        """
        log = self._data / "logs" / "service.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        options = ["--port", str(self.port), "--workers", str(self._workers), "--data", str(self._data), *self._options]
        with open(log, "ab") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "returnml.cli", "serve", *options],
                cwd=self._data,
                env=self._environ,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        deadline = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < deadline and self._process.poll() is None:
            # A single worker is the process itself.
            if len(self.workers()) == (self._workers if self._workers > 1 else 0) and self._is_answered(awaited):
                return
            time.sleep(0.05)
        self.kill()
        raise RuntimeError(f"the service did not come up:\n{log.read_text()[-4000:]}")

    def workers(self) -> list[int]:
        """Process ids of the workers that are alive (Linux)."""
        if self._process is None:
            return []
        found = []
        for pid in _children(self._process.pid):
            try:
                command = Path(f"/proc/{pid}/cmdline").read_bytes()
            except OSError:
                continue
            if b"spawn_main" in command:  # multiprocessing's resource tracker is a child too
                found.append(pid)
        return found

    def kill_worker(self, pid: int) -> None:
        """``kill -9``; uvicorn starts another in its place."""
        os.kill(pid, signal.SIGKILL)

    def kill(self) -> None:
        """``kill -9`` all of it at once."""
        if self._process is not None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None

    def stop(self) -> None:
        """As an operator stops it."""
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(PATIENCE_SECONDS)
                self._process = None
            except subprocess.TimeoutExpired:
                self.kill()
                raise

    def _is_answered(self, path: str) -> bool:
        connection = Connection(self.port)
        try:
            return connection.get(path)[0] == 200
        except UNANSWERED:
            return False
        finally:
            connection.close()


class Connection:
    """A client's connection, opened anew when it broke. For one thread.

    Raises:
        OSError, http.client.HTTPException: (``UNANSWERED``) where a request was not answered.
    """

    def __init__(self, port: int, timeout_seconds: float = 60.0) -> None:
        self._port = port
        self._timeout_seconds = timeout_seconds
        self._http: http.client.HTTPConnection | None = None

    def post(self, path: str, body: Any) -> tuple[int, Any]:
        """Status and decoded body of the answer."""
        return self._ask("POST", path, json.dumps(body).encode())

    def get(self, path: str) -> tuple[int, Any]:
        return self._ask("GET", path, None)

    def close(self) -> None:
        if self._http is not None:
            self._http.close()
            self._http = None

    def _ask(self, method: str, path: str, body: bytes | None) -> tuple[int, Any]:
        # The service closes a connection that was idle for some seconds: it can be read then, though nothing was asked.
        if self._http is not None and select.select([self._http.sock], [], [], 0)[0]:
            self.close()
        if self._http is None:
            opened = http.client.HTTPConnection("127.0.0.1", self._port, timeout=self._timeout_seconds)
            opened.connect()
            # Head and body of a request are two writes: without this the second waits for the first one's acknowledgement.
            opened.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._http = opened
        try:
            self._http.request(method, path, body, {"Content-Type": "application/json"})
            response = self._http.getresponse()
            if response.will_close:
                self._http = None
            return response.status, json.loads(response.read())
        except UNANSWERED:
            self.close()
            raise


def _children(pid: int) -> list[int]:
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []
