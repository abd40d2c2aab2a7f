"""What the service needs of a task and training does not: asked where tasks are declared, and again of every candidate.

A feature may be computed in batch from whatever a table has. The service has the request and the online store.
"""

from __future__ import annotations

from collections.abc import Iterator

from returnml.features.declarations import BasketAggregate, InputKind, KeyGroup, Operation, RequestInput
from returnml.features.request_inputs import BATCH_ONLY, SIZES
from returnml.features.sets.shop import EVENT_STREAMS, KEY_COLUMNS
from returnml.tasks.declaration import RequestColumns, Task

_WHOLE = (InputKind.INTEGER, InputKind.DAYS_SINCE)
_OF_THE_MOMENT = (InputKind.HOUR_OF_DAY, InputKind.DAY_OF_WEEK)
_FED = {stream.table: {*stream.columns, *stream.texts} for stream in EVENT_STREAMS}


def serving_problems(task: Task) -> list[str]:
    """Why the service could not answer the task, each with the feature, group or table that it is about; empty: it can.

    A task whose rows are not served has no problem but one: that it is explained without families.
    """
    declared, request = task.feature_set, task.spine.request
    found = []
    if task.reason_table is not None and not declared.families:
        found.append(f"{task.reason_table} has reasons, feature set {declared.name} declares no families")
    if request is not None:
        if not declared.groups:
            found.append(f"feature set {declared.name} has no key group: the online store is read by keys")
        for of_line in declared.request:
            found += _of_request(of_line, request)
        for basket in declared.basket:
            found += _of_basket(basket, request)
        for group in declared.groups:
            found += _of_group(group, request)
    return found


def _of_request(declared: RequestInput, request: RequestColumns) -> Iterator[str]:
    name, column, kind = f"request input {declared.name!r}", declared.column, declared.kind
    if kind in BATCH_ONLY:
        yield f"{name}: {kind} is read in batch only"
    elif kind not in _OF_THE_MOMENT:
        allowed = request.integers if kind in _WHOLE else request.texts if kind in SIZES else request.names
        yield from _absent(name, column, allowed, request)


def _of_basket(declared: BasketAggregate, request: RequestColumns) -> Iterator[str]:
    name = f"basket aggregate {declared.name!r}"
    if declared.column is not None or declared.operation is not Operation.COUNT:
        allowed = request.integers if declared.operation is Operation.SUM else request.names
        yield from _absent(name, declared.column, allowed, request)
    for column in declared.by:
        yield from _absent(name, column, request.names, request)


def _of_group(group: KeyGroup, request: RequestColumns) -> Iterator[str]:
    name = f"key group {group.name!r}"
    for key in group.keys:
        yield from _absent(name, key, request.texts, request)
        if key not in (*KEY_COLUMNS, *request.categories):
            yield f"{name}: {key!r} is no key that events carry ({', '.join((*KEY_COLUMNS, *request.categories))})"
    for aggregation in group.aggregations:
        stream, column = aggregation.stream, aggregation.column
        if not stream.is_derived and stream.table not in _FED:
            yield f"{name}: no event adds to {stream.table}: {stream.name} would stand still between two generations"
        elif not stream.is_derived and column is not None and column not in _FED[stream.table]:
            yield f"{name}: events bring no {column!r} of {stream.name}"


def _absent(name: str, column: str | None, allowed: tuple[str, ...], request: RequestColumns) -> Iterator[str]:
    if column is None:
        yield f"{name}: names no column"
    elif column not in request.names:
        yield f"{name}: a request has no {column!r} ({', '.join(request.names)})"
    elif column not in allowed:
        yield f"{name}: {column!r} of a request is {'a text' if column in request.texts else 'an integer'}"
