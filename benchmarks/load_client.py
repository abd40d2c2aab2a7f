"""A bounded HTTP client for measuring: ``wrk`` where it is installed, else our own on asyncio (slower itself)."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np


@dataclass(frozen=True)
class Load:
    """What was measured; latencies in microseconds."""

    client: str
    requests: int
    requests_per_second: float
    p50_us: float
    p99_us: float
    errors: int


def measure(url: str, bodies: Path, seconds: float, connections: int) -> Load:
    """POST the lines of ``bodies`` in turn over ``connections`` kept-alive connections for ``seconds``."""
    if shutil.which("wrk"):
        return _wrk(url, bodies, seconds, connections)
    return asyncio.run(_asyncio(url, bodies, seconds, connections))


def _wrk(url: str, bodies: Path, seconds: float, connections: int) -> Load:
    script = Path(__file__).with_name("post_bodies.lua")
    command = ["wrk", "-t1", f"-c{connections}", f"-d{max(1, round(seconds))}s", "--latency", "-s", str(script), url]
    environ = os.environ | {"BODY_FILE": str(bodies)}
    printed = subprocess.run(command, env=environ, check=True, capture_output=True, text=True, timeout=seconds + 30).stdout
    [result] = [json.loads(line[7:]) for line in printed.splitlines() if line.startswith("RESULT ")]
    rate = result["requests"] / result["seconds"]
    return Load("wrk", result["requests"], rate, result["p50_us"], result["p99_us"], result["errors"])


async def _asyncio(url: str, bodies: Path, seconds: float, connections: int) -> Load:
    parts = urlsplit(url)
    head = f"POST {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\nContent-Type: application/json\r\nContent-Length: "
    requests = [f"{head}{len(b)}\r\n\r\n".encode() + b for b in bodies.read_bytes().splitlines()]
    until = time.perf_counter() + seconds
    took: list[float] = []
    errors = 0

    async def connection(offset: int) -> None:
        nonlocal errors
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
        i = offset
        while (begun := time.perf_counter()) < until:
            writer.write(requests[i % len(requests)])
            answer = await reader.readuntil(b"\r\n\r\n")
            fields = answer.lower().split(b"\r\n")
            length = next(int(f.partition(b":")[2]) for f in fields if f.startswith(b"content-length:"))
            await reader.readexactly(length)
            took.append(time.perf_counter() - begun)
            errors += b" 200 " not in fields[0]
            i += connections
        writer.close()

    await asyncio.gather(*(connection(i) for i in range(connections)))
    p50, p99 = np.percentile(np.array(took) * 1e6, [50, 99])
    return Load("asyncio", len(took), len(took) / seconds, float(p50), float(p99), errors)
