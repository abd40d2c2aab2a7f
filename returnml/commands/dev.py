"""``returnml dev``: Dagster's UI and daemon."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from returnml.commands.dagster_home import enter
from returnml.commands.options import DataOption
from returnml.commands.root import settings_of_root


def dev(
    port: Annotated[int, typer.Option(help="Port of the UI.")] = 3000,
    host: Annotated[str, typer.Option(help="Address of the UI.")] = "127.0.0.1",
    data: DataOption = None,
) -> None:
    """Open Dagster's UI and run its daemon (schedules, sensors), with all storage below the data root."""
    home = enter(settings_of_root(data))
    os.chdir(home)
    os.environ["PWD"] = str(home)  # .env refers to it
    arguments = ["dev", "-w", "workspace.yaml", "-p", str(port), "-h", host]
    os.execv(sys.executable, [sys.executable, "-m", "dagster", *arguments])
