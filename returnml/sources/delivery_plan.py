"""Works out what a delivery changes: of each landing day the rows to be written, and how many are new, replaced or lost.

What belongs here: the comparison of delivered rows with those that stand. What must not: writing.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import polars as pl

from returnml.contracts.columns import DeliveredStream
from returnml.sources.day_rows import content, known_ids, standing_rows
from returnml.sources.landing import Changes, days
from returnml.sources.landing_writer import DayPart
from returnml.sources.replacement import Replacement


@dataclass(frozen=True)
class Draft:
    """What a source has of one stream.

    Attributes:
        frame: the rows; each has a time.
        has_own_ids: the source's ids tell rows apart; else they were made from a row's place in its file.
        replaced: what the rows are all there is of; None appends.
        covered: UTC days that the source speaks about: those without rows are delivered empty where nothing was delivered yet,
            which says "nothing happened" rather than "nothing came".
    """

    stream: DeliveredStream
    frame: pl.DataFrame
    has_own_ids: bool
    replaced: Replacement | None = None
    covered: Collection[date] = ()


@dataclass(frozen=True)
class StreamPlan:
    """What is to be written of one stream; ``lost``: the ids that will be there no more."""

    parts: tuple[DayPart, ...]
    days_unchanged: int
    changes: Changes
    lost: tuple[str, ...]


def plan_stream(landing: Path, draft: Draft, deliveries: Collection[int], is_live: bool) -> StreamPlan:
    """Compare a draft, in the contract's types, with what stands.

    Args:
        deliveries: those that count.
        is_live: after ``go_live`` the days of known ids are closed: no row is taken out of another day.

    Raises:
        LandingError: where landed files cannot be read.
    """
    stream, replaced = draft.stream, draft.replaced
    frame = draft.frame.with_columns(__day=pl.col(stream.time_column).dt.date(), __id=pl.col(stream.id_column))
    given = {k[0]: part for k, part in frame.partition_by("__day", as_dict=True, include_key=False).items()}
    landed = set(days(landing, stream.name))
    known = known_ids(landing, stream, frame["__id"].drop_nulls(), deliveries) if landed else None
    affected = {*given, *draft.covered}
    if replaced is not None:
        affected |= {day for day in replaced.parts if day in landed} | set(replaced.whole_days)
    if known is not None and not is_live:
        affected |= set(known["day"])
    parts, changes, lost = [], Changes(), []
    for day in sorted(affected):
        rows = given.get(day, frame.clear().drop("__day"))
        change = _Day(draft, day, rows, standing_rows(landing, stream, day, deliveries), frame["__id"], known, is_live)
        changes += change.changes
        lost += change.lost
        part = change.part(is_landed=day in landed)
        if part is not None:
            parts.append(part)
    unchanged = {*given, *draft.covered} - {part.day for part in parts}
    return StreamPlan(tuple(parts), len(unchanged), changes, tuple(lost))


class _Day:
    """One day: ``rows`` are delivered, ``before`` stands."""

    def __init__(
        self,
        draft: Draft,
        day: date,
        rows: pl.DataFrame,
        before: pl.DataFrame,
        delivered: pl.Series,
        known: pl.DataFrame | None,
        is_live: bool,
    ) -> None:
        self._draft, self._day = draft, day
        stream = draft.stream
        before = before.with_columns(__id=pl.col(stream.id_column))
        if before.height:
            columns = ({*rows.columns} | {*before.columns}) - {"__id"}
            rows, before = (f.with_columns(__content=content(f, stream.id_column, columns)) for f in (rows, before))
        else:
            rows, before = (f.with_columns(__content=pl.lit("")) for f in (rows, before))
        self._rows, self._before = _counted(rows), _counted(before)
        own = rows["__id"] if is_live else delivered
        self._is_gone = self._in_period() | self._before["__id"].is_in(own.drop_nulls().unique().implode()).fill_null(False)
        self._compare(delivered, known)

    def _in_period(self) -> pl.Series:
        replaced, before = self._draft.replaced, self._before
        if replaced is None or self._day not in replaced.parts or not before.height:
            return pl.repeat(False, before.height, dtype=pl.Boolean, eager=True)
        start, end = replaced.parts[self._day]
        at = before[self._draft.stream.time_column].cast(pl.Datetime("us"), strict=False)
        return ((at >= start) & (at < end)).fill_null(False)

    def _compare(self, delivered: pl.Series, known: pl.DataFrame | None) -> None:
        """Rows with an id are the same where all rows of the id are; rows without one where one is there for each."""
        keys = ["__id", "__content", "__n"]
        before = self._before.with_columns(__gone=self._is_gone)
        fresh = self._rows.join(before, on=keys, how="anti", nulls_equal=True)
        stale = before.filter("__gone").join(self._rows, on=keys, how="anti", nulls_equal=True)
        touched = pl.concat([fresh["__id"], stale["__id"]]).drop_nulls().unique().implode()
        differs = self._rows["__id"].is_in(touched).fill_null(False)
        nameless = fresh.filter(pl.col("__id").is_null())
        self.fresh = pl.concat([self._rows.filter(differs), nameless])
        unseen = stale.filter(pl.col("__id").is_null() | ~pl.col("__id").is_in(self._rows["__id"].drop_nulls().implode()))
        self._is_rewritten = unseen.height > 0
        ids = self.fresh["__id"].drop_nulls()
        was_known = int(ids.is_in(known["id"].implode()).sum()) if known is not None else 0
        self.lost = sorted(set(unseen["__id"].drop_nulls()) - set(delivered.drop_nulls()))
        self.changes = Changes(
            new=self.fresh.height - was_known,
            replaced=was_known,
            unchanged=self._rows.height - self.fresh.height,
            lost=len(self.lost),
        )

    def part(self, is_landed: bool) -> DayPart | None:
        """What is written of the day; None where that is nothing."""
        if self._is_rewritten:
            kept = self._before.filter(~self._is_gone)
            whole = pl.concat([_plain(kept), _plain(self._rows)], how="diagonal_relaxed")
            return self._made("replace", whole)
        if self.fresh.height or not is_landed:
            return self._made("append", _plain(self.fresh))
        return None

    def _made(self, mode: str, rows: pl.DataFrame) -> DayPart:
        draft = self._draft
        return DayPart(draft.stream, self._day, mode, rows, draft.has_own_ids, self.changes)  # type: ignore[arg-type]


def _counted(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.with_columns(__n=pl.int_range(pl.len()).over("__id", "__content"))


def _plain(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.drop([name for name in rows.columns if name.startswith("__")])
