"""How commands refuse: one clear line on stderr, exit code 2."""

from __future__ import annotations

from datetime import date
from typing import NoReturn

import typer


def refuse(message: str) -> NoReturn:
    """End the command: the user has to change something."""
    typer.echo(f"refused: {message}", err=True)
    raise typer.Exit(2)


def day(text: str, option: str) -> date:
    """An option's day."""
    try:
        return date.fromisoformat(text)
    except ValueError:
        refuse(f"{option} {text!r} is no day YYYY-MM-DD")
