"""Packing: every field comes back exactly, whatever its sign and its neighbours'."""

from __future__ import annotations

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from returnml.features.declarations import Operation
from returnml.features.sql.duckdb import DUCKDB
from returnml.features.sql.measures import Bound, Measure
from returnml.features.sql.packing import plan_limbs
from returnml.features.windows import Window

WINDOWS = (Window.parse("7d"),)
CON = duckdb.connect()
BITS = DUCKDB.limb_bits


@settings(max_examples=60)
@given(st.lists(st.tuples(st.integers(0, 2**70), st.booleans(), st.data()), min_size=1, max_size=8))
def test_fields_come_back(drawn: list) -> None:
    bounds, values = {}, {}
    for i, (magnitude, is_signed, data) in enumerate(drawn):
        measure = Measure("orders", Operation.SUM, f"c{i}")
        bounds[measure] = Bound(magnitude, is_signed)
        values[measure] = data.draw(st.integers(-magnitude if is_signed else 0, magnitude))
    limbs = plan_limbs(dict.fromkeys(bounds, WINDOWS), bounds, BITS)
    assert sorted(f.measure.name for limb in limbs for f in limb.fields) == sorted(m.name for m in values)
    for limb in limbs:
        packed = limb.pack(DUCKDB, {m: DUCKDB.wide_literal(v) for m, v in values.items()})
        cut = ", ".join(limb.unpack(DUCKDB, "p", f) for f in limb.fields)
        assert CON.execute(f"select {cut} from (select {packed} as p)").fetchone() == tuple(
            values[f.measure] for f in limb.fields
        )


def test_measures_with_other_windows_get_their_own_limb() -> None:
    short, long = Measure("orders", Operation.COUNT, None), Measure("outcomes", Operation.COUNT, None)
    limbs = plan_limbs({short: WINDOWS, long: (Window.parse("lifetime"),)}, {short: Bound(9), long: Bound(9)}, BITS)
    assert [(limb.column, [f.measure for f in limb.fields]) for limb in limbs] == [("p0", [short]), ("p1", [long])]


def test_a_measure_wider_than_a_limb_is_refused() -> None:
    measure = Measure("orders", Operation.SUM_OF_SQUARES, "value")
    with pytest.raises(OverflowError, match="orders_value_sum_of_squares: running totals of up to"):
        plan_limbs({measure: WINDOWS}, {measure: Bound(1 << BITS)}, BITS)
