"""How running totals are packed into wide integers, so that one window function carries several measures.

A *limb* is ``sum(field_i * 2**shift_i)``. Adding, subtracting and prefix sums work on the packed integer as they do on
each field, as long as no field outgrows its width; a field may be negative, because a constant bias makes every field
non-negative before it is cut out. Widths come from bounds on the actual data, so nothing can overflow unseen.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from returnml.features.sql.engine import Engine
from returnml.features.sql.measures import Bound, Measure
from returnml.features.windows import Window


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

    def pack(self, engine: Engine, values: Mapping[Measure, str]) -> str:
        """The packed integer of one row, from each measure's expression (absent: 0)."""
        terms = [
            f"{values[f.measure]} * {engine.wide_literal(1 << f.shift)}" if f.shift else values[f.measure]
            for f in self.fields
            if f.measure in values
        ]
        return " + ".join(terms) if terms else engine.wide_literal(0)

    def unpack(self, engine: Engine, packed: str, field: Field) -> str:
        """One field of a packed integer: of the engine's integer type, or of its wide one where it has more than 63 bits."""
        bias = sum(f.bias << f.shift for f in self.fields)
        value = f"({packed} + {engine.wide_literal(bias)})" if bias else f"({packed})"
        if field.shift:
            value = engine.shifted(value, field.shift)
        if field != self.fields[-1]:
            value = engine.lowest(value, field.width)
        if field.width > 63:
            return f"({value} - {engine.wide_literal(field.bias)})" if field.bias else value
        return f"({engine.as_integer(value)} - {field.bias})" if field.bias else engine.as_integer(value)


def plan_limbs(
    measures: Mapping[Measure, tuple[Window, ...]], bounds: Mapping[Measure, Bound], limb_bits: int
) -> tuple[Limb, ...]:
    """Place measures into limbs, first fit; those with equal windows together.

    One key, two tiles, one window. The key ordered once for 500 cents, then twice for -600 in all; the window holds the
    second tile alone, which is the total after it less the total before it:

    >>> from returnml.features.declarations import Operation
    >>> count, cents = Measure("orders", Operation.COUNT, None), Measure("orders", Operation.SUM, "cents")
    >>> week = (Window.parse("7d"),)
    >>> [limb] = plan_limbs({count: week, cents: week}, {count: Bound(3, is_signed=False), cents: Bound(1100)}, 126)
    >>> [(field.measure.name, field.shift, field.width) for field in limb.fields]
    [('orders_count', 0, 2), ('orders_cents_sum', 2, 12)]
    >>> before, after = 1 + (500 << 2), 3 + (-100 << 2)
    >>> window = after - before
    >>> biased = window + (limb.fields[1].bias << 2)
    >>> biased & 0b11, (biased >> 2) - limb.fields[1].bias
    (2, -600)

    Args:
        measures: each with its windows.
        bounds: what each measure's totals can reach.
        limb_bits: of the engine.

    Raises:
        OverflowError: naming the measure whose totals do not fit a limb at all.
    """
    bins: list[tuple[tuple[Window, ...], list[Measure], int]] = []
    for measure in sorted(measures, key=lambda m: [w.name for w in measures[m]]):
        width = bounds[measure].width
        if width > limb_bits:
            raise OverflowError(f"{measure.name}: running totals of up to {bounds[measure].magnitude} exceed {limb_bits} bits")
        for i, (windows, members, used) in enumerate(bins):
            if windows == measures[measure] and used + width <= limb_bits:
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
