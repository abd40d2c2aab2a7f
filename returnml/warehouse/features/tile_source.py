"""Which stored tiles and which events a spine needs: what keeps a day's cost independent of the history.

A window edge at day E reads each key's last tile before E. Since a checkpoint day has a row for every key, the
partitions from the last checkpoint before E up to E are enough.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import duckdb

from returnml.features.declarations import KeyGroup
from returnml.features.sql.measured import Extent, Interval
from returnml.features.sql.measures import measures_of
from returnml.features.union import holder
from returnml.features.windows import DAY_US
from returnml.warehouse.features.tile_chain import TileChain, read_chain


def tile_chains(
    con: duckdb.DuckDBPyConnection, groups: Sequence[KeyGroup], held: Sequence[KeyGroup], extent: Extent, is_required: bool
) -> dict[str, TileChain]:
    """The chains of the groups whose tiles are read, checked to be current as far as the spine sees.

    Args:
        held: groups whose tiles are kept; a group that one of them covers reads that one's.
        is_required: whether a group without tiles is an error, and not read from its streams.

    Raises:
        StaleTilesError: where they are missing or stale.
    """
    chains = {}
    for group in groups:
        if not group.is_tiled:
            continue
        chain = read_chain(con, holder(group, held))
        if not chain.days and not is_required:
            continue
        chain.require(max(extent.until(s)[1] for s in group.streams))
        chains[group.name] = chain
    return chains


def tile_intervals(group: KeyGroup, chain: TileChain, extent: Extent) -> tuple[Interval, ...]:
    """The runs of days (first, end exclusive) in which every edge of the spine finds each key's last tile."""
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


def _merge(runs: Sequence[Interval]) -> tuple[Interval, ...]:
    merged: list[Interval] = []
    for first, end in runs:
        if merged and first <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((first, end))
    return tuple(merged)
