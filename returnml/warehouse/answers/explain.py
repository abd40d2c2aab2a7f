"""Which events made the windows of a logged answer: read from the warehouse and counted up again, independently.

Here the aggregates are computed the naive way, from the events of one key alone: what is said about a decision does not
come from the engine whose decision it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import duckdb

from returnml.features.declarations import Aggregate, KeyGroup, Operation, Stream
from returnml.features.feature_set import FeatureSet
from returnml.instants import instant
from returnml.ledger.answer_records import Answer
from returnml.sql import quote
from returnml.warehouse.ingest.raw_events import TABLE as EVENTS_TABLE
from returnml.warehouse.tables import column_types

_SQL = {
    Operation.COUNT: "count(*)",
    Operation.SUM: "coalesce(sum({c}), 0)",
    Operation.SUM_OF_SQUARES: "coalesce(sum({c}::HUGEINT * {c}), 0)",
    Operation.MIN: "min({c})",
    Operation.MAX: "max({c})",
    Operation.LAST: "arg_max({c}, seq)",
    Operation.DISTINCT: "count(DISTINCT {c})",
    Operation.SINCE_LAST: "$requested_at_us - epoch_us(max(known_at))",
}
_ID_COLUMNS = ("return_id", "line_id")


@dataclass(frozen=True)
class WindowValue:
    """One aggregate of one window.

    Attributes:
        since: the first instant inside the window (naive UTC); None for ``lifetime``.
        logged: what the answer was made from.
        from_events: the same, counted up again; None where missing.
        events: how many events lie in the window.
    """

    name: str
    since: datetime | None
    logged: int | None
    from_events: int | None
    events: int


@dataclass(frozen=True)
class Contribution:
    """What the events of one stream, for one key of a line, made.

    Attributes:
        key: the group's key columns with the line's values.
        until: events known before this instant (naive UTC) were visible.
        latest: the latest visible events, newest first: id, ``known_at``, ``seq``, values.
    """

    group: str
    key: Mapping[str, str]
    stream: str
    until: datetime
    windows: tuple[WindowValue, ...]
    latest: tuple[Mapping[str, Any], ...]

    @property
    def differing(self) -> list[str]:
        """Windows whose events give another value than the logged one."""
        return [w.name for w in self.windows if w.logged != w.from_events]


def contributions(
    con: duckdb.DuckDBPyConnection,
    feature_set: FeatureSet,
    answer: Answer,
    raw: Mapping[str, list[int | None]],
    line: int,
    limit: int = 5,
) -> list[Contribution]:
    """The events behind every window of one line; groups without a key have none.

    Args:
        con: the warehouse.
        raw: the answer's exact raw values, see ``returnml.warehouse.answers.answer_recomputation.raw_values``.
        line: the line's place in the answer.
        limit: how many of the latest events to name.
    """
    found = []
    for group in feature_set.groups:
        key = {name: answer.inputs[name][line] for name in group.keys}
        if None in key.values():
            continue
        for stream in group.streams:
            logged = {a.name: raw[a.name][line] for a in group.aggregates()}
            found.append(_contribution(con, group, stream, key, answer, logged, limit))
    return found


def unseen_events(con: duckdb.DuckDBPyConnection, answer: Answer) -> int:
    """How many of the ledger's events that the answer saw the warehouse does not have yet: where any, windows may differ."""
    [(held,)] = con.execute(f"SELECT count(*) FROM {EVENTS_TABLE} WHERE seq <= ?", [answer.mark]).fetchall()
    return answer.mark - int(held)


def _contribution(
    con: duckdb.DuckDBPyConnection,
    group: KeyGroup,
    stream: Stream,
    key: Mapping[str, str],
    answer: Answer,
    logged: Mapping[str, int | None],
    limit: int,
) -> Contribution:
    until_us = min(answer.derived_until_us if stream.is_derived else answer.visible_until_us, answer.requested_at_us)
    aggregates = [a for a in group.aggregates() if a.aggregation.stream is stream]
    present = column_types(con, stream.table)
    shown = [*(c for c in _ID_COLUMNS if c in present), "known_at", "seq", *stream.columns, *stream.texts]
    where = " AND ".join([*(f"{quote(name)} = ${name}" for name in group.keys), "known_at < make_timestamp($until_us)"])
    params: dict[str, Any] = {**key, "until_us": until_us}
    latest = con.execute(
        f"SELECT {', '.join(shown)} FROM {stream.table} WHERE {where} ORDER BY seq DESC LIMIT {int(limit)}", params
    ).fetchall()
    values = _values(con, stream, aggregates, where, params, answer.requested_at_us)
    windows = []
    for aggregate in aggregates:
        start_us = aggregate.window.start_us(answer.requested_at_us)
        since = None if start_us is None else _instant(start_us)
        events, value = values[aggregate.name]
        windows.append(WindowValue(aggregate.name, since, logged[aggregate.name], value, events))
    events_shown = tuple(dict(zip(shown, row, strict=True)) for row in latest)
    return Contribution(group.name, dict(key), stream.name, _instant(until_us), tuple(windows), events_shown)


def _values(
    con: duckdb.DuckDBPyConnection,
    stream: Stream,
    aggregates: list[Aggregate],
    where: str,
    params: Mapping[str, Any],
    requested_at_us: int,
) -> dict[str, tuple[int, int | None]]:
    """By aggregate: events in its window, and its value."""
    columns, used = [], dict(params)
    for aggregate in aggregates:
        a = aggregate.aggregation
        column = quote(a.column or "")
        expression = _SQL[a.operation].format(c=f"nullif({column}, '')" if a.is_text else column)
        if a.operation is Operation.SINCE_LAST:
            used["requested_at_us"] = requested_at_us
        start_us = aggregate.window.start_us(requested_at_us)
        inside = "true" if start_us is None else f"known_at >= make_timestamp({start_us})"
        columns += [f"(SELECT count(*) FROM events WHERE {inside})", f"(SELECT {expression} FROM events WHERE {inside})"]
    read = ["known_at", "seq", *stream.columns, *stream.texts]
    row = con.execute(
        f"WITH events AS MATERIALIZED (SELECT {', '.join(read)} FROM {stream.table} WHERE {where}) SELECT {', '.join(columns)}",
        used,
    ).fetchall()[0]
    return {a.name: (row[2 * i], None if row[2 * i + 1] is None else int(row[2 * i + 1])) for i, a in enumerate(aggregates)}


def _instant(at_us: int) -> datetime:
    return instant(at_us).replace(tzinfo=None)
