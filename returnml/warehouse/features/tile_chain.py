"""The chain of a tile table's partitions: each day continues the totals of the day before.

What a day was made from is recorded as its ``inputs_hash`` in ``ops.partitions``: the declarations, the content of the
day before and the content of the streams' own day. From these records alone follow which days are stale and which are
checkpoints; no tile is read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cached_property

import duckdb

from returnml.features.declarations import KeyGroup
from returnml.features.sql.duckdb import DUCKDB
from returnml.features.sql.tile_totals import (
    declaration_hash,
    is_checkpoint,
)
from returnml.warehouse.features.feature_errors import StaleTilesError
from returnml.warehouse.partition import combine_hashes
from returnml.warehouse.tables import present_tables

ONE_DAY = timedelta(days=1)


@dataclass(frozen=True)
class TileDay:
    """What is recorded of one day of a tile table."""

    rows: int
    content_hash: str
    inputs_hash: str


@dataclass(frozen=True)
class TileChain:
    """The recorded partitions of one group's tile table.

    Attributes:
        days: by day, ascending, without gaps.
        streams: the recorded content hashes of each stream's days.
    """

    group: KeyGroup
    days: Mapping[date, TileDay]
    streams: Mapping[tuple[str, date], str]

    @cached_property
    def _declarations(self) -> str:
        return declaration_hash(DUCKDB, self.group)

    @cached_property
    def _stream_tables(self) -> tuple[str, ...]:
        return tuple(s.table for s in self.group.streams)

    def inputs_hash(self, day: date, previous: str) -> str:
        """What a day is made from, given the content of the day before."""
        own = [self.streams.get((table, day), "") for table in self._stream_tables]
        return combine_hashes([self._declarations, previous, *own])

    def checkpoints(self, until: date) -> tuple[list[date], int, int]:
        """Checkpoint days before ``until``, the rows since the last one and that one's rows."""
        found: list[date] = []
        since = rows = 0
        for day, tile in self.days.items():
            if day >= until:
                break
            if is_checkpoint(since, rows):
                found.append(day)
                since, rows = 0, tile.rows
            else:
                since += tile.rows
        return found, since, rows

    def stale_from(self) -> date | None:
        """The first day that no longer follows from its inputs."""
        previous = ""
        for day, tile in self.days.items():
            if tile.inputs_hash != self.inputs_hash(day, previous):
                return day
            previous = tile.content_hash
        return None

    def require(self, until: date) -> None:
        """Check that the days before ``until`` are there and current.

        Raises:
            StaleTilesError: naming the days to backfill.
        """
        if not self.days:
            raise StaleTilesError(f"{self.group.tile_table}: no tiles; build them from the first day of the streams on")
        stale = self.stale_from()
        first, last = min(self.days), max(self.days)
        if stale is not None and stale < until:
            raise StaleTilesError(
                f"{self.group.tile_table}: {stale} was built on inputs that have changed since: backfill {stale} to {last}"
            )
        if last < until - ONE_DAY:
            raise StaleTilesError(
                f"{self.group.tile_table}: no tiles for {last + ONE_DAY} to {until - ONE_DAY}: build them first"
            )
        missing = next((d for d in _calendar(first, last) if d not in self.days), None)
        if missing is not None and missing < until:
            raise StaleTilesError(f"{self.group.tile_table}: no tiles for {missing}: backfill {missing} to {last}")


def read_chain(con: duckdb.DuckDBPyConnection, group: KeyGroup) -> TileChain:
    """Read the records of a group's tile table and of its streams."""
    if "ops.partitions" not in present_tables(con):  # nothing was written through partitions; a reader's copy takes no table
        return TileChain(group, {}, {})
    tables = [group.tile_table, *(s.table for s in group.streams)]
    rows = con.execute(
        "SELECT table_name, day, rows, content_hash, inputs_hash FROM ops.partitions WHERE table_name IN "
        f"({', '.join('?' for _ in tables)}) ORDER BY day",
        tables,
    ).fetchall()
    days = {day: TileDay(n, content, inputs) for name, day, n, content, inputs in rows if name == group.tile_table}
    streams = {(name, day): content for name, day, _, content, _ in rows if name != group.tile_table}
    return TileChain(group, days, streams)


def _calendar(first: date, last: date) -> list[date]:
    return [first + timedelta(days=n) for n in range((last - first).days + 1)]
