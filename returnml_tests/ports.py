"""Ports for servers that a test starts, stops and starts again."""

from __future__ import annotations

import random
import socket
from pathlib import Path


def free_port() -> int:
    """A port that nobody listens on, and that the kernel gives to nobody: it stays ours while its server is down."""
    first, last = 10_000, int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0]) - 1
    for port in random.SystemRandom().sample(range(first, last), 100):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port
    raise RuntimeError(f"no port from {first} to {last} is free")
