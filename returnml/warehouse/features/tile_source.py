"""Which stored tiles and which events a spine needs: what keeps a day's cost independent of the history.

A window edge at day E reads each key's last tile before E. Since a checkpoint day has a row for every key, the
partitions from the last checkpoint before E up to E are enough.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

import duckdb

from returnml.features.declarations import KeyGroup, Stream
from returnml.features.sql.dialect import quote
from returnml.features.sql.mergeable import MERGEABLE
from returnml.features.sql.packing import (
    Bound,
    Measure,
    measures_of,
)
from returnml.features.sql.spine import (
    SPINE,
    tiles_table,
)
from returnml.features.union import holder
from returnml.features.windows import DAY_US
from returnml.instants import day_of
from returnml.tasks.live_sets import TILE_GROUPS
from returnml.warehouse.features.tile_chain import (
    TileChain,
    read_chain,
)


@dataclass(frozen=True)
class Extent:
    """First and last day of a spine's instants: requested, and of the ends of what is visible."""

    requested: tuple[date, date]
    events: tuple[date, date]
    derived: tuple[date, date]

    def until(self, stream: Stream) -> tuple[date, date]:
        return self.derived if stream.is_derived else self.events


def spine_extent(con: duckdb.DuckDBPyConnection) -> Extent | None:
    """The days of the encoded spine; None where it is empty."""
    row = con.execute(f"select min(d), max(d), min(de), max(de), min(dd), max(dd) from {SPINE}").fetchone()
    if row is None or row[0] is None:
        return None
    days = [day_of(n * DAY_US) for n in row]
    return Extent((days[0], days[1]), (days[2], days[3]), (days[4], days[5]))


def tile_chains(
    con: duckdb.DuckDBPyConnection, groups: Sequence[KeyGroup], extent: Extent | None, from_tiles: bool | None
) -> dict[str, TileChain]:
    """The chains of the groups whose tiles are read, checked to be current as far as the spine sees.

    A live feature set's group reads the tiles that are kept for all of them.

    Raises:
        StaleTilesError: where they are missing or stale.
    """
    if from_tiles is False or extent is None:
        return {}
    chains = {}
    for group in groups:
        if not group.is_tiled:
            continue
        chain = read_chain(con, holder(group, TILE_GROUPS))
        if not chain.days and from_tiles is None:
            continue
        chain.require(max(extent.until(s)[1] for s in group.streams))
        chains[group.name] = chain
    return chains


def tile_intervals(group: KeyGroup, chain: TileChain, extent: Extent | None) -> list[tuple[date, date]]:
    """The runs of days (first, end exclusive) in which every edge of the spine finds each key's last tile."""
    if extent is None:
        return []
    edges = {extent.until(s) for s in group.streams}
    for windows in measures_of(group).values():
        for window in windows:
            if window.length_us is not None:
                back = timedelta(days=window.length_us // DAY_US)
                edges.add((extent.requested[0] - back, extent.requested[1] - back))
    checkpoints = chain.checkpoints(extent.requested[1] + timedelta(days=1))[0]
    runs = []
    for first, last in edges:
        before = [c for c in checkpoints if c < first]
        start = before[-1] if before else min(chain.days)
        if start < last:
            runs.append((start, last))
    return _merge(sorted(runs))


def _merge(runs: Sequence[tuple[date, date]]) -> list[tuple[date, date]]:
    merged: list[tuple[date, date]] = []
    for first, end in runs:
        if merged and first <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((first, end))
    return merged


def events_condition(stream: Stream, groups: Sequence[KeyGroup], chains: Mapping[str, TileChain], extent: Extent | None) -> str:
    """Which events are loaded: all for totals without tiles; else the days of the heads, and those that windows which are
    read from events (mergeable ones, and those in minutes and hours) reach."""
    if extent is None:
        return "false"
    first, last = extent.until(stream)
    upper = f"e.known_day <= date '{last}'"
    for group in groups:
        for aggregation in group.aggregations:
            if aggregation.stream.name != stream.name:
                continue
            for window in aggregation.windows:
                has_totals = aggregation.operation not in MERGEABLE and window.hop_us == DAY_US
                if has_totals and group.name in chains:
                    continue
                if has_totals or window.length_us is None:
                    return upper
                first = min(first, extent.requested[0] - timedelta(days=-(-window.length_us // DAY_US)))
    return f"e.known_day >= date '{first}' and {upper}"


def tile_bounds(con: duckdb.DuckDBPyConnection, group: KeyGroup, heads: Mapping[Measure, Bound]) -> dict[Measure, Bound]:
    """Bounds on window values that are differences of stored totals plus a head."""
    measures = list(measures_of(group))
    if not measures:
        return dict(heads)
    largest = ", ".join(f"coalesce(max(abs({quote(m.name)}::HUGEINT)), 0)" for m in measures)
    row = con.execute(f"select {largest} from {tiles_table(group)}").fetchone() or ()
    return {m: Bound(2 * int(v) + heads[m].magnitude) for m, v in zip(measures, row, strict=True)}
