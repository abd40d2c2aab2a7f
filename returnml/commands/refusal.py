"""How commands refuse: one clear line on stderr, exit code 2. What is neither refused nor away keeps its traceback."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date
from typing import Any

import typer
from typer.core import TyperCommand

from returnml.errors import Refusal, Unavailable


class RefusingCommand(TyperCommand):
    """A command whose refusals are one line on stderr, with ``--json`` an object with ``error``."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command.

        Raises:
            typer.Exit: with code 2, where something is refused or away.
        """
        try:
            return super().invoke(ctx)
        except (Refusal, Unavailable) as error:
            said = json.dumps({"error": str(error)}) if ctx.params.get("as_json") else f"refused: {error}"
            typer.echo(said, err=True)
            raise typer.Exit(2) from error


class Commands(typer.Typer):
    """A group of commands, each of which refuses in one line."""

    def command(self, name: str | None = None, **options: Any) -> Callable[[Any], Any]:
        """As Typer's own, for a ``RefusingCommand``."""
        return super().command(name, cls=RefusingCommand, **options)


@contextmanager
def refused_files() -> Iterator[None]:
    """Refuse what the operating system says of files that the caller named or keeps.

    Raises:
        Refusal: in its words.
    """
    try:
        yield
    except OSError as error:
        raise Refusal(str(error)) from error


def day(text: str, option: str) -> date:
    """The day that an option or argument names.

    Raises:
        Refusal: where it is none.
    """
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise Refusal(f"{option} {text!r} is no day YYYY-MM-DD") from None
