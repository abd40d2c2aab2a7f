"""``returnml dev``: Dagster's UI and daemon."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import Annotated

import typer

from returnml.commands.dagster_home import enter
from returnml.commands.options import DataOption
from returnml.commands.root import settings_of_root
from returnml.commands.signals import ended_by_signals

END_SECONDS = 15
"""How long Dagster may take to end its UI, daemon and code servers. Then ``dev`` kills those that are left."""


def dev(
    port: Annotated[int, typer.Option(help="Port of the UI.")] = 3000,
    host: Annotated[str, typer.Option(help="Address of the UI.")] = "127.0.0.1",
    data: DataOption = None,
) -> None:
    """Open Dagster's UI and run its daemon (schedules, sensors), with all storage below the data root."""
    home = enter(settings_of_root(data))
    environment = os.environ | {"PWD": str(home)}  # .env refers to it
    command = [sys.executable, "-m", "dagster", "dev", "-w", "workspace.yaml", "-p", str(port), "-h", host]
    with ended_by_signals(grace_seconds=END_SECONDS + 10):
        # A process group of its own: a signal of the terminal reaches it through us alone, and nothing of it is left behind.
        dagster = subprocess.Popen(command, cwd=home, env=environment, start_new_session=True)
        try:
            code = dagster.wait()
        finally:
            _end(dagster)
    raise typer.Exit(code)


def _end(dagster: subprocess.Popen[bytes]) -> None:
    """End Dagster and whatever it started."""
    try:
        dagster.terminate()
        dagster.wait(END_SECONDS)
    except subprocess.TimeoutExpired:
        typer.echo(f"Dagster did not end within {END_SECONDS} s: it is killed", err=True)
    try:
        os.killpg(dagster.pid, signal.SIGKILL)
    except ProcessLookupError:
        return  # all of it has ended
