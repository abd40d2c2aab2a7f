"""Options that many commands have."""

from __future__ import annotations

from typing import Annotated

import typer

DataOption = Annotated[str | None, typer.Option("--data", help="Data root (setting `data`).")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]
