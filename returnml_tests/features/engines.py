"""The SQL engines that one suite holds to the oracle: a further one is a class here and a line in ``ENGINES``."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Any, Protocol

from returnml.features.declarations import KeyGroup, Stream
from returnml.features.sql.duckdb import DUCKDB
from returnml.features.sql.engine import Engine
from returnml.warehouse.features.tile_tables import build_tiles
from returnml.warehouse.features.window_aggregates import compute_windows
from returnml_tests.features.window_warehouse import connect, write_spine, write_stream
from returnml_tests.oracle import Event, Moment


class EngineWarehouse(Protocol):
    """A small warehouse of an engine, empty when it is made."""

    engine: Engine

    def write(self, keys: Sequence[str], events: dict[Stream, Sequence[Event]], moments: Sequence[Moment]) -> None: ...

    def windows(self, groups: Sequence[KeyGroup], from_tiles: bool) -> dict[Any, dict[str, int | None]]:
        """By moment every aggregate by name; each moment once."""

    def build_tiles(self, group: KeyGroup, first: date, last: date) -> tuple[date, ...]:
        """Returns the days that are stale after it."""

    def drop_tiles(self, group: KeyGroup) -> None: ...

    def stored(self, groups: Sequence[KeyGroup]) -> list:
        """All rows of the groups' tiles, and of what is recorded of them."""

    def evaluate(self, expressions: Sequence[str], texts: Sequence[str | None]) -> list[tuple]:
        """Of each text, as ``t``, the values of the expressions, in order."""


class DuckDBWarehouse:
    engine = DUCKDB

    def __init__(self) -> None:
        self.con = connect()

    def write(self, keys: Sequence[str], events: dict[Stream, Sequence[Event]], moments: Sequence[Moment]) -> None:
        for stream, own in events.items():
            write_stream(self.con, stream, keys, own)
        write_spine(self.con, keys, moments)

    def windows(self, groups: Sequence[KeyGroup], from_tiles: bool) -> dict[Any, dict[str, int | None]]:
        compute_windows(self.con, groups, "spine", "got", from_tiles=from_tiles)
        names = [a.name for g in groups for a in g.aggregates()]
        rows = self.con.execute("select * from got").fetchall()
        found = {row[0]: dict(zip(names, row[1:], strict=True)) for row in rows}
        assert len(found) == len(rows)
        return found

    def build_tiles(self, group: KeyGroup, first: date, last: date) -> tuple[date, ...]:
        return build_tiles(self.con, group, first, last).stale

    def drop_tiles(self, group: KeyGroup) -> None:
        self.con.execute("delete from ops.partitions where table_name = ?", [group.tile_table])
        self.con.execute(f"drop table {group.tile_table}")

    def stored(self, groups: Sequence[KeyGroup]) -> list:
        tables = [*(g.tile_table for g in groups), "ops.partitions"]
        return [self.con.execute(f"select * from {table} order by all").fetchall() for table in tables]

    def evaluate(self, expressions: Sequence[str], texts: Sequence[str | None]) -> list[tuple]:
        query = f"select {', '.join(expressions)} from (select unnest(?::varchar[]) as t, unnest(range(?)) as i) order by i"
        return self.con.execute(query, [list(texts), len(texts)]).fetchall()


ENGINES: dict[str, type[EngineWarehouse]] = {"duckdb": DuckDBWarehouse}
