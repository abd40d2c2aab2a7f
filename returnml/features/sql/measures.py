"""Running totals that invertible aggregations read, and how large they can get."""

from __future__ import annotations

from dataclasses import dataclass

from returnml.features.declarations import Aggregation, KeyGroup, Operation
from returnml.features.sql.hops import DAY, Hop
from returnml.features.windows import Window


@dataclass(frozen=True)
class Measure:
    """One running total of one stream: what an invertible aggregation reads.

    >>> Measure("orders", Operation.SUM, "quantity").name
    'orders_quantity_sum'
    """

    stream: str
    operation: Operation
    column: str | None

    @property
    def name(self) -> str:
        return "_".join([self.stream, *([self.column] if self.column else []), self.operation])


@dataclass(frozen=True)
class Bound:
    """The largest magnitude that any running total or window value of a measure can reach, and whether it may be negative."""

    magnitude: int
    is_signed: bool = True

    @property
    def width(self) -> int:
        return max(self.magnitude.bit_length(), 1) + int(self.is_signed)


def measures_of(group: KeyGroup, hop: Hop = DAY) -> dict[Measure, tuple[Window, ...]]:
    """The running totals that a group's windows of one hop need, each with those windows, in declared order."""
    found: dict[Measure, dict[Window, None]] = {}
    for a in group.aggregations:
        windows = [w for w in a.windows if w.hop_us == hop.us]
        if windows and a.operation.is_invertible:
            found.setdefault(measure_of(a), {}).update(dict.fromkeys(windows))
    return {m: tuple(w) for m, w in found.items()}


def measure_of(aggregation: Aggregation) -> Measure:
    return Measure(aggregation.stream.name, aggregation.operation, aggregation.column)
