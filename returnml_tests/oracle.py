"""The naive oracle: every aggregate by its definition, in plain Python loops over the events of one key.

Slow on purpose and with nothing in common with the engines: no tiles, no prefix sums, no SQL. Everything fast must
equal it exactly.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from returnml.features.declarations import Aggregation, InputKind, KeyGroup, Operation
from returnml.features.feature_set import FeatureSet
from returnml.features.fit_codes import (
    letter_size,
    number_size,
)
from returnml.features.windows import HOUR_US, Window

DAY = 86_400_000_000


@dataclass(frozen=True)
class Event:
    """One event of a stream: its position, when it was known (us), its keys and values by column."""

    seq: int
    known_at: int
    keys: Mapping[str, str | None] = field(default_factory=dict)
    values: Mapping[str, int | str | None] = field(default_factory=dict)


@dataclass(frozen=True)
class Moment:
    """What a vector is as of, in microseconds; ``keys`` by column, ``request`` the scored line's columns."""

    moment_id: Any
    requested_at: int
    visible_until: int
    derived_until: int
    keys: Mapping[str, str | None] = field(default_factory=dict)
    request: Mapping[str, Any] = field(default_factory=dict)


def aggregate(
    events: Iterable[Event], operation: Operation, column: str | None, window: Window, requested_at: int, until: int
) -> int | None:
    """One operation over the events known in ``[window start, requested_at)`` and before ``until``.

    Null values are ignored by every operation on a column, and the empty string with them.
    """
    start = window.start_us(requested_at)
    inside = [e for e in events if e.known_at < requested_at and e.known_at < until and (start is None or e.known_at >= start)]
    if operation is Operation.COUNT:
        return len(inside)
    if operation is Operation.SINCE_LAST:
        return requested_at - max(e.known_at for e in inside) if inside else None
    valued = [(e.seq, e.values[column or ""]) for e in inside]
    if operation is Operation.DISTINCT:
        return len({v for _, v in valued if v is not None and v != ""})
    values = [(seq, v) for seq, v in valued if isinstance(v, int)]
    if operation is Operation.SUM:
        return sum(v for _, v in values)
    if operation is Operation.SUM_OF_SQUARES:
        return sum(v * v for _, v in values)
    if not values:
        return None
    if operation is Operation.MIN:
        return min(v for _, v in values)
    if operation is Operation.MAX:
        return max(v for _, v in values)
    return max(values)[1]


def _until(aggregation: Aggregation, moment: Moment) -> int:
    return moment.derived_until if aggregation.stream.is_derived else moment.visible_until


def group_aggregates(group: KeyGroup, streams: Mapping[str, Sequence[Event]], moment: Moment) -> dict[str, int | None]:
    """Every aggregate of a group at a moment, by derived name."""
    key = [moment.keys[k] for k in group.keys]
    found: dict[str, int | None] = {}
    for a in group.aggregates():
        if any(part is None for part in key):
            found[a.name] = None
            continue
        own = [e for e in streams[a.aggregation.stream.name] if [e.keys[k] for k in group.keys] == key]
        found[a.name] = aggregate(
            own, a.aggregation.operation, a.aggregation.column, a.window, moment.requested_at, _until(a.aggregation, moment)
        )
    return found


def request_and_basket(feature_set: FeatureSet, moments: Sequence[Moment], moment: Moment) -> dict[str, int | None]:
    """Request inputs and basket aggregates of one line; its basket is the moments of the same order and instant."""
    found: dict[str, int | None] = {}
    for r in feature_set.request:
        if r.kind is InputKind.HOUR_OF_DAY:
            found[r.name] = moment.requested_at % DAY // HOUR_US
        elif r.kind is InputKind.DAY_OF_WEEK:
            found[r.name] = (moment.requested_at // DAY + 3) % 7
        elif r.kind is InputKind.TEXT:
            text = moment.request[r.column or ""]
            found[r.name] = int(hashlib.md5(text.encode()).hexdigest()[:6], 16) if text else None
        elif r.kind is InputKind.SINCE:
            found[r.name] = moment.requested_at - moment.request[r.column or ""]
        else:
            found[r.name] = _READ[r.kind](moment.request[r.column or ""])
    basket = [
        m.request
        for m in moments
        if m.requested_at == moment.requested_at and m.request["order_id"] == moment.request["order_id"]
    ]
    for b in feature_set.basket:
        if any(moment.request[c] is None for c in b.by):
            found[b.name] = None
            continue
        lines = [line for line in basket if all(line[c] == moment.request[c] for c in b.by)]
        if b.column is None:
            found[b.name] = len(lines)
            continue
        values = [line[b.column] for line in lines if line[b.column] is not None]
        if b.operation is Operation.COUNT:
            found[b.name] = len(values)
        else:
            found[b.name] = len(set(values)) if b.operation is Operation.DISTINCT else sum(values)
    return found


_READ: dict[InputKind, Callable[[Any], int | None]] = {
    InputKind.INTEGER: lambda value: value,
    InputKind.PRESENT: lambda value: int(value is not None),
    InputKind.LETTER_SIZE: letter_size,
    InputKind.NUMBER_SIZE: number_size,
}
