"""A PostgreSQL server of its own for a test, on a free port, gone afterwards."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from returnml_tests.ports import free_port


def program(name: str) -> str | None:
    """Where a program of the server is; Debian keeps them off the path."""
    found = shutil.which(name)
    return found or next((str(p) for p in sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), reverse=True)), None)


@contextmanager
def postgresql(folder: Path) -> Iterator[str]:
    """SQLAlchemy's URL of a new server with nothing in it.

    Args:
        folder: absent yet. Root may not run a server: it runs as ``nobody`` then, so the folder's parents must be open to all.
    """
    folder.mkdir(mode=0o755)
    who = {}
    if os.geteuid() == 0:
        shutil.chown(folder, "nobody", "nogroup")
        who = {"user": "nobody", "group": "nogroup", "extra_groups": []}
    data, port = folder / "data", free_port()

    def run(*command: object) -> None:
        said = [str(c) for c in command]
        done = subprocess.run(said, cwd=folder, check=False, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, **who)
        assert done.returncode == 0, done.stderr.decode()

    run(program("initdb"), "-D", data, "-A", "trust", "-U", "shop", "--no-sync")
    run(program("pg_ctl"), "-D", data, "-w", "-l", folder / "log", "-o", f"-p {port} -k {folder} -h 127.0.0.1 -F", "start")
    try:
        yield f"postgresql+psycopg://shop@127.0.0.1:{port}/postgres"
    finally:
        run(program("pg_ctl"), "-D", data, "-m", "immediate", "stop")
