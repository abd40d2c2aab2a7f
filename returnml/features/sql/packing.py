"""How running totals are packed into 128-bit integers, so that one window function carries several measures.

A *limb* is ``sum(field_i * 2**shift_i)``. Adding, subtracting and prefix sums work on the packed integer as they do on
each field, as long as no field outgrows its width; a field may be negative, because a constant bias makes every field
non-negative before it is cut out. Widths come from bounds on the actual data, so nothing can overflow unseen.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from returnml.features.declarations import Aggregation, KeyGroup, Operation
from returnml.features.sql.dialect import (
    DAY,
    Hop,
    wide,
    wide_literal,
)
from returnml.features.windows import Window

LIMB_BITS = 126
"""Usable bits of a HUGEINT: the sign and one bit for the bias stay free."""


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

    def per_event(self) -> str:
        """Its value for one event, as a wide integer; a null value adds nothing."""
        if self.operation is Operation.COUNT:
            return wide_literal(1)
        value = f"coalesce({wide(f'v_{self.column}')}, 0)"
        return f"({value} * {value})" if self.operation is Operation.SUM_OF_SQUARES else value


@dataclass(frozen=True)
class Field:
    """A measure's place in a limb: ``width`` bits from ``shift`` on, a sign included where it has one."""

    measure: Measure
    shift: int
    width: int
    is_signed: bool

    @property
    def bias(self) -> int:
        """Added to make the field non-negative."""
        return 1 << (self.width - 1) if self.is_signed else 0


@dataclass(frozen=True)
class Limb:
    """Fields that share one packed integer and the windows that any of them needs."""

    index: int
    fields: tuple[Field, ...]
    windows: tuple[Window, ...]

    @property
    def column(self) -> str:
        return f"p{self.index}"

    def pack(self, values: Mapping[Measure, str]) -> str:
        """The packed integer of one row, from each measure's expression (absent: 0)."""
        terms = [
            f"{values[f.measure]} * {wide_literal(1 << f.shift)}" if f.shift else values[f.measure]
            for f in self.fields
            if f.measure in values
        ]
        return " + ".join(terms) if terms else wide_literal(0)

    def unpack(self, packed: str, field: Field) -> str:
        """One field of a packed integer: BIGINT, or HUGEINT where the field is wider than 64 bits."""
        bias = sum(f.bias << f.shift for f in self.fields)
        value = f"({packed} + {wide_literal(bias)})" if bias else f"({packed})"
        if field.shift:
            value = f"({value} >> {field.shift})"
        if field != self.fields[-1]:
            value = f"({value} & {wide_literal((1 << field.width) - 1)})"
        if field.width > 63:
            return f"({value} - {wide_literal(field.bias)})" if field.bias else value
        return f"({value}::BIGINT - {field.bias})" if field.bias else f"{value}::BIGINT"


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


@dataclass(frozen=True)
class Bound:
    """The largest magnitude that any running total or window value of a measure can reach, and whether it may be negative."""

    magnitude: int
    is_signed: bool = True

    @property
    def width(self) -> int:
        return max(self.magnitude.bit_length(), 1) + int(self.is_signed)


def plan_limbs(measures: Mapping[Measure, tuple[Window, ...]], bounds: Mapping[Measure, Bound]) -> tuple[Limb, ...]:
    """Place measures into limbs, first fit; those with equal windows together.

    Args:
        measures: each with its windows.
        bounds: what each measure's totals can reach.

    Raises:
        OverflowError: naming the measure whose totals do not fit a limb at all.
    """
    bins: list[tuple[tuple[Window, ...], list[Measure], int]] = []
    for measure in sorted(measures, key=lambda m: [w.name for w in measures[m]]):
        width = bounds[measure].width
        if width > LIMB_BITS:
            raise OverflowError(f"{measure.name}: running totals of up to {bounds[measure].magnitude} exceed {LIMB_BITS} bits")
        for i, (windows, members, used) in enumerate(bins):
            if windows == measures[measure] and used + width <= LIMB_BITS:
                bins[i] = (windows, [*members, measure], used + width)
                break
        else:
            bins.append((measures[measure], [measure], width))
    return tuple(_limb(i, members, windows, bounds) for i, (windows, members, _) in enumerate(bins))


def _limb(index: int, members: Sequence[Measure], windows: tuple[Window, ...], bounds: Mapping[Measure, Bound]) -> Limb:
    fields, shift = [], 0
    for measure in members:
        fields.append(Field(measure, shift, bounds[measure].width, bounds[measure].is_signed))
        shift += bounds[measure].width
    return Limb(index, tuple(fields), windows)
