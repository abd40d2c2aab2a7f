"""Cores that do not halt between two requests, as a host that is tuned for latency has them.

Linux' PM QoS: while ``/dev/cpu_dma_latency`` is held open with a latency of zero, an idle core waits for work awake. It is what
``tuned-adm profile network-latency`` does; waking a halted core of a virtual machine takes longer than a read.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_DEVICE = Path("/dev/cpu_dma_latency")


@contextmanager
def awake_cores() -> Iterator[None]:
    """Keep all cores of this machine awake.

    Raises:
        OSError: where the kernel has no such device, or this user may not.
    """
    with _DEVICE.open("wb", buffering=0) as device:
        device.write(bytes(4))
        yield
