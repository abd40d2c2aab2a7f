"""Rows that cannot be read: collected, counted by rule, and refused together or set aside."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Literal

import polars as pl

from returnml.sources.exports.csv_rows import BadRow
from returnml.sources.exports.table_reading import FILE, ROW
from returnml.sources.import_error import SourceError

BadRows = Literal["refuse", "quarantine"]


@dataclass(frozen=True)
class RefusedRow:
    """A row that was set aside: the shop's file and row, and why; the value only where it is no person's."""

    stream: str
    file: str
    row: int
    rule: str
    column: str | None
    message: str


@dataclass
class Refusals:
    """What of one stream cannot be read.

    Attributes:
        rows: every (row, rule), in the order in which they were found.
    """

    stream: str
    rows: list[RefusedRow] = field(default_factory=list)

    def add_unplaced(self, bad: dict[str, list[BadRow]]) -> None:
        """Rows that have no place in their table."""
        self.rows += [RefusedRow(self.stream, file, b.row, b.rule, None, b.message) for file, found in bad.items() for b in found]

    def add(self, raw: pl.DataFrame, bad: pl.Series, rule: str, column: str, messages: pl.Series) -> None:
        """Rows of ``raw`` for which ``bad`` holds.

        Args:
            messages: of all rows of ``raw``.
        """
        at = bad.arg_true()
        if at.len():
            found = raw.select(pl.col(FILE).cast(pl.String), ROW).with_columns(messages.alias("__message"))[at]
            self.rows += [RefusedRow(self.stream, file, row, rule, column, text) for file, row, text in found.iter_rows()]

    @property
    def counts(self) -> dict[str, int]:
        """Rows by rule; a row that breaks several counts for each."""
        return dict(Counter(row.rule for row in self.rows))

    def settle(self, raw: pl.DataFrame, how: BadRows) -> pl.Series:
        """Which rows of ``raw`` stay.

        Raises:
            SourceError: where rows are refused: the first, how many more break its rule, and what else was found.
        """
        if self.rows and how == "refuse":
            first = self.rows[0]
            same = sum((r.rule, r.column) == (first.rule, first.column) for r in self.rows) - 1
            others = Counter((r.rule, r.column) for r in self.rows[1:] if (r.rule, r.column) != (first.rule, first.column))
            told = f" (and {same:,} more rows)" if same else ""
            told += "".join(
                f"; {n:,} rows {rule}" + (f" in {column!r}" if column else "") for (rule, column), n in others.items()
            )
            raise SourceError(first.file, first.rule, f"{first.message}{told}", row=first.row, column=first.column)
        refused = pl.DataFrame(
            {FILE: [r.file for r in self.rows], ROW: [r.row for r in self.rows]}, {FILE: pl.String, ROW: pl.UInt32}
        ).unique()
        marked = raw.select(pl.col(FILE).cast(pl.String), ROW).join(
            refused.with_columns(bad=pl.lit(True)), on=[FILE, ROW], how="left", maintain_order="left"
        )
        return marked["bad"].is_null()
