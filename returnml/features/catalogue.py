"""The catalogue of a feature set: every model input with what it is made from, derived from the declarations."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from returnml.features.declarations import Aggregate, BasketAggregate, Derived, Operation, RequestInput
from returnml.features.feature_set import FeatureSet

DTYPE = "float32"
SCORED_LINE = "request"
"""Source of inputs that the scored row, or its order, carries itself."""


@dataclass(frozen=True)
class Feature:
    """One model input.

    Attributes:
        key: the columns whose events are aggregated; empty where the line itself is the source.
        source: stream, ``request``, ``basket`` or, for derived features, the sources of its inputs.
        columns: (stream, column) pairs that it is made from.
    """

    name: str
    key: tuple[str, ...]
    source: str
    operation: str
    column: str | None
    window: str | None
    dtype: str
    description: str
    columns: tuple[tuple[str, str], ...]

    def as_data(self) -> dict[str, object]:
        """JSON-ready, as ``returnml features --json`` prints it."""
        return {
            "name": self.name,
            "key": list(self.key),
            "source": self.source,
            "operation": self.operation,
            "column": self.column,
            "window": self.window,
            "dtype": self.dtype,
            "description": self.description,
        }


def catalogue(feature_set: FeatureSet) -> tuple[Feature, ...]:
    """All inputs of the model, in the order of its vector."""
    raw = {feature.name: feature for feature in _raw(feature_set)}
    derived = {d.name: _derived(d, raw) for d in feature_set.derived}
    return tuple((raw | derived)[name] for name in feature_set.outputs)


def _raw(feature_set: FeatureSet) -> Iterator[Feature]:
    for request in feature_set.request:
        yield _request(request)
    for basket in feature_set.basket:
        yield _basket(basket)
    for aggregate in feature_set.aggregates:
        yield _aggregate(aggregate)


def _request(declared: RequestInput) -> Feature:
    columns = (declared.origin or ("orders", declared.column),) if declared.column else ()
    return Feature(
        declared.name, (), SCORED_LINE, declared.kind.value, declared.column, None, DTYPE, declared.description, columns
    )


def _basket(declared: BasketAggregate) -> Feature:
    columns = tuple(("orders", name) for name in (declared.column, *declared.by) if name)
    key = ("order_id", *declared.by)
    return Feature(
        declared.name, key, "basket", declared.operation.value, declared.column, None, DTYPE, declared.description, columns
    )


_VERBS = {
    Operation.COUNT: "Number",
    Operation.SUM: "Sum of {column}",
    Operation.SUM_OF_SQUARES: "Sum of squares of {column}",
    Operation.MIN: "Smallest {column}",
    Operation.MAX: "Largest {column}",
    Operation.LAST: "Last {column}",
    Operation.DISTINCT: "Different values of {column}",
    Operation.SINCE_LAST: "Microseconds since the last",
}


def _aggregate(declared: Aggregate) -> Feature:
    group, aggregation = declared.group, declared.aggregation
    stream, column, window = aggregation.stream.name, aggregation.column, declared.window.name
    verb = _VERBS[aggregation.operation].format(column=column)
    of = "" if aggregation.operation is Operation.SINCE_LAST else " of"
    span = "ever" if window == "lifetime" else f"in {window}"
    columns = ((stream, column),) if column else tuple((stream, key) for key in group.keys)
    return Feature(
        declared.name,
        group.keys,
        stream,
        aggregation.operation.value,
        column,
        window,
        DTYPE,
        f"{verb}{of} {stream} of this {' and '.join(group.keys)}, {span}.",
        columns,
    )


def _derived(declared: Derived, raw: dict[str, Feature]) -> Feature:
    """Key, sources and window are those of its inputs, where these agree on one."""
    inputs = [raw[name] for name in declared.inputs]
    windows = {feature.window for feature in inputs if feature.window}
    return Feature(
        declared.name,
        tuple(dict.fromkeys(key for feature in inputs for key in feature.key)),
        "+".join(dict.fromkeys(feature.source for feature in inputs)),
        "derived",
        None,
        windows.pop() if len(windows) == 1 else None,
        DTYPE,
        declared.description,
        tuple(dict.fromkeys(pair for feature in inputs for pair in feature.columns)),
    )
