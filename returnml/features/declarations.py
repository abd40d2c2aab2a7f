"""What a feature is, as data: streams, key groups, aggregations over windows, basket aggregates, derived features.

Everything downstream (the SQL compiler, the tiles, the online engine, the catalogue, the hash) reads these
declarations; nothing about a feature is stated a second time. Names are derived, never typed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from typing import Any

from returnml.features.expressions import Expr, trace
from returnml.features.families import Family, FamilyError, family_of_features
from returnml.features.windows import DAY_US, Window


class Operation(StrEnum):
    """An aggregation. *Invertible* ones may be differences of running totals; the others combine tiles."""

    COUNT = "count"
    SUM = "sum"
    SUM_OF_SQUARES = "sum_of_squares"
    MIN = "min"
    MAX = "max"
    LAST = "last"
    DISTINCT = "distinct"
    SINCE_LAST = "since_last"

    @property
    def is_invertible(self) -> bool:
        return self in _INVERTIBLE


_INVERTIBLE = {Operation.COUNT, Operation.SUM, Operation.SUM_OF_SQUARES}
_WITHOUT_COLUMN = {Operation.COUNT, Operation.SINCE_LAST}


@dataclass(frozen=True)
class Stream:
    """A table of events, each known at an instant.

    Attributes:
        name: as it appears in feature names, e.g. ``orders``.
        table: the warehouse table; it has ``known_at``, ``seq``, ``known_day``, the key columns and ``columns``.
        columns: integer columns that may be aggregated, with the bits of the largest magnitude a single value may
            have (checked when tiles are built; negative values are allowed).
        is_derived: whether it is made by the nightly job (its visible part ends at a generation's cut-off).
        texts: string columns of which ``DISTINCT`` counts the different values; null and the empty string do not count.
    """

    name: str
    table: str
    columns: dict[str, int] = field(hash=False)
    is_derived: bool = False
    texts: tuple[str, ...] = ()


@dataclass(frozen=True)
class Aggregation:
    """One operation on one column of a stream, over several windows.

    ``SINCE_LAST`` (microseconds since the last visible event, null where there is none) has the single window
    ``lifetime`` and no column.

    Attributes:
        family: of its features; default: its group's.
    """

    stream: Stream
    operation: Operation
    column: str | None = None
    windows: tuple[Window, ...] = ()
    is_feature: bool = True
    family: str | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        if (self.column is None) != (self.operation in _WITHOUT_COLUMN):
            raise ValueError(
                f"{self.stream.name}.{self.operation}: a column is {'not ' * (self.operation in _WITHOUT_COLUMN)}needed"
            )
        if self.is_text and self.operation is not Operation.DISTINCT:
            raise ValueError(f"{self.stream.name}.{self.column}: {self.operation} of a string; only distinct counts strings")
        if self.column is not None and not self.is_text and self.column not in self.stream.columns:
            raise ValueError(f"stream {self.stream.name!r} has no aggregable column {self.column!r}")
        if not self.windows:
            raise ValueError(f"{self.stream.name}.{self.operation}: no window")

    @property
    def is_text(self) -> bool:
        return self.column in self.stream.texts


@dataclass(frozen=True)
class KeyGroup:
    """The entity whose events are aggregated.

    Attributes:
        name: prefix of its features, and of its tile table ``features.tiles_<name>``.
        keys: key columns (strings). Where any of them is null, the line has no key: all aggregates are null.
        family: of the features of aggregations that name none.
    """

    name: str
    keys: tuple[str, ...]
    aggregations: tuple[Aggregation, ...]
    family: str | None = field(default=None, compare=False)

    @property
    def tile_table(self) -> str:
        return f"features.tiles_{self.name}"

    @property
    def is_tiled(self) -> bool:
        """Whether the batch engine keeps running totals per day for it: windows in hours need none."""
        return any(
            a.operation is Operation.SINCE_LAST or (a.operation.is_invertible and w.hop_us == DAY_US)
            for a in self.aggregations
            for w in a.windows
        )

    @property
    def streams(self) -> tuple[Stream, ...]:
        return tuple({a.stream.name: a.stream for a in self.aggregations}.values())

    def aggregates(self) -> Iterator[Aggregate]:
        """Every (aggregation, window) with its derived name, in declared order."""
        for aggregation in self.aggregations:
            for window in aggregation.windows:
                yield Aggregate(self, aggregation, window)


@dataclass(frozen=True)
class Aggregate:
    """One aggregate of one window: a raw (integer or null) input of the feature vector."""

    group: KeyGroup
    aggregation: Aggregation
    window: Window

    @property
    def name(self) -> str:
        """Derived: ``customer_returns_quantity_sum_30d``, ``customer_orders_count_7d``, ``customer_orders_since_last_us``."""
        a = self.aggregation
        if a.operation is Operation.SINCE_LAST:
            return f"{self.group.name}_{a.stream.name}_since_last_us"
        column = f"{a.column}_" if a.column else ""
        return f"{self.group.name}_{a.stream.name}_{column}{a.operation}_{self.window.name}"


class InputKind(StrEnum):
    """How an input is read from the scored line."""

    INTEGER = "integer"  # the column's value; null stays missing
    PRESENT = "present"  # 1 where the column is not null, else 0
    LETTER_SIZE = "letter_size"  # the text's rank among sizes in letters; missing where it is none (``fit_codes``)
    NUMBER_SIZE = "number_size"  # twice the text's number; missing where it is none (``fit_codes``)
    TEXT = "text"  # the string's short code (``text_codes``): it tells values apart, its order means nothing
    DAYS_SINCE = "days_since"  # whole days from the column's day, a number since 1970-01-01, to requested_at's, UTC
    SINCE = "since"  # microseconds from the column's instant to requested_at
    HOUR_OF_DAY = "hour_of_day"  # of requested_at, UTC, 0 to 23
    DAY_OF_WEEK = "day_of_week"  # of requested_at, UTC, Monday = 0


@dataclass(frozen=True)
class RequestInput:
    """An input that the scored row itself carries.

    Attributes:
        origin: the delivered stream and its column that ``column`` is; default: the order's column of that name.
        family: what a reason says of it (``families``).
    """

    name: str
    kind: InputKind
    description: str
    column: str | None = None
    is_feature: bool = True
    origin: tuple[str, str] | None = None
    family: str | None = field(default=None, compare=False)


@dataclass(frozen=True)
class BasketAggregate:
    """An aggregate over the lines of the same order, as requested.

    Attributes:
        operation: ``count``, ``sum`` or ``distinct`` (number of different non-null values).
        by: restrict to the order's lines with the same value of these columns, e.g. ``("article_id",)``.
        family: what a reason says of it (``families``).
    """

    name: str
    operation: Operation
    description: str
    column: str | None = None
    by: tuple[str, ...] = ()
    is_feature: bool = True
    family: str | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        if self.operation not in (Operation.COUNT, Operation.SUM, Operation.DISTINCT):
            raise ValueError(f"basket aggregate {self.name!r}: {self.operation} is not supported")


@dataclass(frozen=True)
class Derived:
    """A feature computed from raw inputs by a function over float64 arrays (see ``expressions``).

    Attributes:
        family: what a reason says of it; default: the one that all its inputs have (``families``).
    """

    name: str
    inputs: tuple[str, ...]
    function: Callable[..., Expr] = field(hash=False, compare=False)
    description: str = ""
    family: str | None = field(default=None, compare=False)

    @cached_property
    def expr(self) -> Expr:
        return trace(self.function, self.inputs)


@dataclass(frozen=True)
class FeatureDeclarations:
    """The ordered, versioned list of model inputs; with its hash it is a ``feature_set.FeatureDeclarations``.

    Attributes:
        outputs: names of the model inputs in order: request inputs, basket aggregates, aggregates and derived
            features, each where ``is_feature``. A vector is float32 of this length; missing is NaN.
        family_of: the family's name of each output, where families are declared.
        families: what reasons speak of; none: the features are not explained, and need no family.

    Raises:
        ValueError: naming a feature that is declared twice, or that asks for an input that there is not.
        FamilyError: naming a feature that belongs to no family, where there are any (``families``).
    """

    name: str
    version: int
    request: tuple[RequestInput, ...]
    basket: tuple[BasketAggregate, ...]
    groups: tuple[KeyGroup, ...]
    derived: tuple[Derived, ...]
    families: tuple[Family, ...] = ()
    family_of: Mapping[str, str] = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        seen: set[str] = set()
        for name in [*self.raw_names, *(d.name for d in self.derived)]:
            if name in seen:
                raise ValueError(f"feature {name!r} is declared twice")
            seen.add(name)
        raw = set(self.raw_names)
        for derived in self.derived:
            missing = [n for n in derived.inputs if n not in raw]
            if missing:
                raise ValueError(f"derived feature {derived.name!r}: no raw input {missing[0]!r}")
        object.__setattr__(self, "family_of", self._family_of())

    def _family_of(self) -> dict[str, str]:
        if not self.families:
            return {}
        named = {r.name: r.family for r in self.request} | {b.name: b.family for b in self.basket}
        named |= {d.name: d.family for d in self.derived}
        named |= {a.name: a.aggregation.family or a.group.family for a in self.aggregates}
        try:
            return family_of_features(self.families, named, {d.name: d.inputs for d in self.derived}, self.outputs)
        except FamilyError as error:
            raise FamilyError(f"feature set {self.name}: {error}") from None

    @cached_property
    def aggregates(self) -> tuple[Aggregate, ...]:
        return tuple(a for g in self.groups for a in g.aggregates())

    @cached_property
    def raw_names(self) -> tuple[str, ...]:
        """Request inputs, basket aggregates, then aggregates: what engines must deliver, as integers or null."""
        return (*(r.name for r in self.request), *(b.name for b in self.basket), *(a.name for a in self.aggregates))

    @cached_property
    def outputs(self) -> tuple[str, ...]:
        return (
            *(r.name for r in self.request if r.is_feature),
            *(b.name for b in self.basket if b.is_feature),
            *(a.name for a in self.aggregates if a.aggregation.is_feature),
            *(d.name for d in self.derived),
        )

    def as_data(self) -> dict[str, Any]:
        """The declarations as plain data, without descriptions and families: rewording one does not change the hash."""
        return {
            "name": self.name,
            "version": self.version,
            "request": [[r.name, r.kind, r.column, r.is_feature, r.origin] for r in self.request],
            "basket": [[b.name, b.operation, b.column, b.by, b.is_feature] for b in self.basket],
            "groups": [
                [
                    g.name,
                    g.keys,
                    [
                        [
                            a.stream.name,
                            a.stream.table,
                            a.stream.is_derived,
                            a.operation,
                            a.column,
                            a.is_text,
                            [w.name for w in a.windows],
                            a.is_feature,
                        ]
                        for a in g.aggregations
                    ],
                ]
                for g in self.groups
            ],
            "derived": [[d.name, d.expr.as_data()] for d in self.derived],
        }
