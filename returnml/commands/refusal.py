"""How commands refuse: one clear line on stderr, exit code 2."""

from __future__ import annotations

import json
from datetime import date
from typing import NoReturn

import typer


def refuse(message: str, as_json: bool = False) -> NoReturn:
    """End the command: the user has to change something."""
    typer.echo(json.dumps({"error": message}) if as_json else f"refused: {message}", err=True)
    raise typer.Exit(2)


def day(text: str, option: str, as_json: bool = False) -> date:
    """The day that an option or argument names."""
    try:
        return date.fromisoformat(text)
    except ValueError:
        refuse(f"{option} {text!r} is no day YYYY-MM-DD", as_json)
