"""The one error of the importers (which file, which row, which column, which rule), and how other libraries' errors are shown."""

from __future__ import annotations

from pathlib import Path

from returnml.errors import Refusal


def first_line(error: BaseException) -> str:
    """What a library says went wrong, without what follows; its kind where it says nothing."""
    return str(error).partition("\n")[0] or type(error).__name__


class SourceError(Refusal):
    """A source file that cannot be imported; nothing of it was delivered.

    Attributes:
        row: counts data rows from 1, the header line apart; ``None`` where the whole file or column is meant.
        rule: short name of the broken rule.
    """

    def __init__(self, file: Path | str, rule: str, message: str, *, row: int | None = None, column: str | None = None) -> None:
        self.file, self.rule, self.row, self.column = str(file), rule, row, column
        where = "".join([f", row {row}" if row is not None else "", f", column {column!r}" if column is not None else ""])
        super().__init__(f"{file}{where}: {message} [{rule}]")
