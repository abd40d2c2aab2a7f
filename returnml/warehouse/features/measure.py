"""Asks the warehouse what a plan has to know: the spine, the tiles that can be read, bounds on every total.

Belongs here: running the queries of ``features.sql.measuring``, and refusing what no plan can be made for.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import duckdb

from returnml.features.declarations import KeyGroup, Stream
from returnml.features.sql.encoding import MOMENT_COLUMNS, events_condition
from returnml.features.sql.engine import Engine
from returnml.features.sql.measured import Interval, Measured, Moments
from returnml.features.sql.measures import Bound, Measure
from returnml.features.sql.measuring import (
    bounds_of,
    events_query,
    moments_of,
    moments_query,
    tile_bounds_of,
    tiles_query,
    used_measures,
)
from returnml.features.sql.plan import Inputs
from returnml.warehouse.features.feature_errors import FeatureError, check_widths
from returnml.warehouse.features.tile_source import tile_chains, tile_intervals


def measure(
    con: duckdb.DuckDBPyConnection,
    inputs: Inputs,
    engine: Engine,
    from_tiles: bool | None = None,
    held: Sequence[KeyGroup] = (),
) -> Measured:
    """Everything that ``plan`` depends on.

    Args:
        from_tiles: see ``compute_windows``.
        held: see ``compute_windows``.

    Raises:
        FeatureError: where a column is absent, an instant is missing, or a value exceeds its declared bits.
        StaleTilesError: where the tiles to be read are missing or stale.
    """
    _check_spine(con, inputs)
    moments = moments_of(_one(con, moments_query(engine, inputs.spine, inputs.key_columns)), inputs.key_columns)
    tiles: dict[str, tuple[Interval, ...]] = {}
    if from_tiles is not False and moments.extent is not None:
        chains = tile_chains(con, inputs.groups, held, moments.extent, is_required=from_tiles is True)
        tiles = {g.name: tile_intervals(g, chains[g.name], moments.extent) for g in inputs.groups if g.name in chains}
    bounds: dict[Measure, Bound] = {}
    for stream in inputs.streams:
        bounds |= _bounds(con, engine, stream, inputs, moments, tiles)
    tile_bounds = {
        group.name: tile_bounds_of(group, _one(con, tiles_query(engine, group, tiles[group.name])), bounds)
        for group in inputs.groups
        if group.name in tiles
    }
    return Measured(moments, tiles, bounds, tile_bounds)


def _bounds(
    con: duckdb.DuckDBPyConnection,
    engine: Engine,
    stream: Stream,
    inputs: Inputs,
    moments: Moments,
    tiles: dict[str, tuple[Interval, ...]],
) -> dict[Measure, Bound]:
    """Bounds on every total of a stream, from its data; single values are checked against their declared bits."""
    measures = used_measures(stream, inputs.groups)
    condition = events_condition(engine, stream, inputs.groups, tiles, moments.extent)
    row = _one(con, events_query(engine, stream, measures, condition))
    check_widths(stream, row[: len(stream.columns)])
    return bounds_of(measures, row[len(stream.columns) :])


def _check_spine(con: duckdb.DuckDBPyConnection, inputs: Inputs) -> None:
    spine = inputs.spine
    present = {row[0] for row in con.execute(f"DESCRIBE SELECT * FROM {spine} AS r").fetchall()}
    missing = [c for c in (*MOMENT_COLUMNS, *inputs.key_columns, *inputs.kept_columns) if c not in present]
    if missing:
        raise FeatureError(f"spine {spine}: no column {missing[0]!r}")
    instants = ", ".join(f"count(*) FILTER (WHERE {c} IS NULL)" for c in MOMENT_COLUMNS)
    nulls = _one(con, f"SELECT {instants}, min(requested_at) < TIMESTAMP '1971-01-01' FROM {spine} AS r")
    for column, count in zip(MOMENT_COLUMNS, nulls, strict=False):
        if count:
            raise FeatureError(f"spine {spine}: {count} rows have no {column}")
    if nulls[-1]:
        raise FeatureError(f"spine {spine}: requested_at lies before 1971")


def _one(con: duckdb.DuckDBPyConnection, query: str) -> tuple[Any, ...]:
    row = con.execute(query).fetchone()
    if row is None:
        raise FeatureError(f"no row: {query}")
    return row
