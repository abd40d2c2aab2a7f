"""Small warehouses for feature tests: streams and spines given as oracle events and moments."""

from __future__ import annotations

from collections.abc import Sequence

import duckdb
import polars as pl

from returnml.features.declarations import Stream
from returnml_tests.oracle import Event, Moment


def connect() -> duckdb.DuckDBPyConnection:
    con = duckdb.connect(config={"threads": 2})
    con.execute("SET TimeZone='UTC'")
    for schema in ("core", "features", "ops"):
        con.execute(f"create schema if not exists {schema}")
    return con


def write_stream(con: duckdb.DuckDBPyConnection, stream: Stream, keys: Sequence[str], events: Sequence[Event]) -> None:
    """Create the stream's warehouse table from events."""
    data: dict[str, list] = {"seq": [e.seq for e in events], "known_us": [e.known_at for e in events]}
    data |= {k: [e.keys[k] for e in events] for k in keys}
    data |= {c: [e.values[c] for e in events] for c in (*stream.columns, *stream.texts)}
    schema = {"seq": pl.Int64, "known_us": pl.Int64} | dict.fromkeys((*keys, *stream.texts), pl.String)
    schema |= dict.fromkeys(stream.columns, pl.Int64)
    con.register("frame", pl.DataFrame(data, schema=schema))
    con.execute(
        f"create or replace table {stream.table} as select * exclude (known_us), make_timestamp(known_us) as known_at, "
        "make_timestamp(known_us)::DATE as known_day from frame"
    )
    con.unregister("frame")


def write_spine(con: duckdb.DuckDBPyConnection, keys: Sequence[str], moments: Sequence[Moment], table: str = "spine") -> str:
    """Create a spine table from moments."""
    data: dict[str, list] = {
        "moment_id": [m.moment_id for m in moments],
        "t": [m.requested_at for m in moments],
        "v": [m.visible_until for m in moments],
        "w": [m.derived_until for m in moments],
    }
    data |= {k: [m.keys[k] for m in moments] for k in keys}
    schema = {"moment_id": pl.Int64, "t": pl.Int64, "v": pl.Int64, "w": pl.Int64} | dict.fromkeys(keys, pl.String)
    con.register("frame", pl.DataFrame(data, schema=schema))
    con.execute(
        f"create or replace table {table} as select moment_id, make_timestamp(t) as requested_at, make_timestamp(v) as "
        f"visible_until, make_timestamp(w) as derived_until, * exclude (moment_id, t, v, w) from frame"
    )
    con.unregister("frame")
    return table
