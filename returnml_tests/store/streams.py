"""One small stream of events in an in-memory warehouse, and a feature set over all operations on it."""

from __future__ import annotations

from collections.abc import Sequence

import duckdb

from returnml.features.declarations import Aggregation, Derived, KeyGroup, Operation, Stream
from returnml.features.feature_set import FeatureSet
from returnml.features.windows import Window

EVENTS = Stream("events", "core.events", {"value": 40})
WINDOWS = ("5m", "1h", "24h", "1d", "7d", "30d", "365d", "lifetime")
OF_COLUMN = ("sum", "sum_of_squares", "min", "max", "last", "distinct")


def _all_operations(windows: Sequence[str]) -> tuple[Aggregation, ...]:
    parsed = tuple(Window.parse(w) for w in windows)
    return (
        Aggregation(EVENTS, Operation.COUNT, None, parsed),
        *(Aggregation(EVENTS, Operation(o), "value", parsed) for o in OF_COLUMN),
        Aggregation(EVENTS, Operation.SINCE_LAST, None, (Window.parse("lifetime"),)),
    )


def feature_set(windows: Sequence[str] = WINDOWS) -> FeatureSet:
    """Every operation over every window, keyed once by one column and once by two."""
    aggregations = _all_operations(windows)
    groups = (KeyGroup("k", ("key",), aggregations), KeyGroup("pair", ("key", "other"), aggregations))
    derived = (Derived("mean", ("k_events_value_sum_7d", "k_events_count_7d"), lambda total, count: total / count),)
    return FeatureSet("test", 1, (), (), groups, derived)


def warehouse(events: Sequence[tuple[int, int, int | None, str | None, str | None]]) -> duckdb.DuckDBPyConnection:
    """``core.events`` of (seq, known_at in microseconds, value, key, other)."""
    con = duckdb.connect()
    con.execute("SET TimeZone='UTC'")
    con.execute("CREATE SCHEMA core")
    con.execute("CREATE TABLE core.events (seq BIGINT, known_at TIMESTAMP, value BIGINT, key VARCHAR, other VARCHAR)")
    if events:
        con.executemany("INSERT INTO core.events VALUES (?, make_timestamp(?), ?, ?, ?)", events)
    return con
