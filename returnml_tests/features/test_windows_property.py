"""Batch windows equal the naive oracle exactly, for random events and moments."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from returnml.features.declarations import Aggregation, KeyGroup, Operation, Stream
from returnml.features.windows import Window
from returnml_tests.features.engines import EngineWarehouse
from returnml_tests.oracle import DAY, Event, Moment, group_aggregates

pytestmark = pytest.mark.slow

ORDERS = Stream("orders", "core.orders", {"value": 40, "pieces": 20}, texts=("method",))
OUTCOMES = Stream("outcomes", "core.outcomes", {"returned": 1}, is_derived=True)
WINDOWS = tuple(Window.parse(w) for w in ("5m", "1h", "24h", "1d", "25h", "3d", "lifetime"))
SHORT = tuple(Window.parse(w) for w in ("5m", "30h"))
KEYS = ("customer_id", "article_id")


def _all(stream: Stream, column: str) -> tuple[Aggregation, ...]:
    operations = (o for o in Operation if o not in (Operation.COUNT, Operation.SINCE_LAST))
    return (
        Aggregation(stream, Operation.COUNT, None, WINDOWS),
        Aggregation(stream, Operation.SINCE_LAST, None, (Window.parse("lifetime"),)),
        *(Aggregation(stream, o, column, WINDOWS) for o in operations),
    )


GROUPS = (
    KeyGroup("customer", ("customer_id",), (*_all(ORDERS, "value"), *_all(OUTCOMES, "returned"))),
    KeyGroup("pair", KEYS, (*_all(ORDERS, "value"), Aggregation(ORDERS, Operation.SUM, "pieces", WINDOWS))),
    KeyGroup("article", ("article_id",), (Aggregation(OUTCOMES, Operation.COUNT, None, WINDOWS),)),
    KeyGroup(
        "article_velocity",
        ("article_id",),
        (Aggregation(ORDERS, Operation.SUM, "value", SHORT), Aggregation(ORDERS, Operation.DISTINCT, "method", SHORT)),
    ),
)
TILED = tuple(group for group in GROUPS if group.is_tiled)

START = 20_000 * DAY
SLOT = 300_000_000
INSTANTS = st.one_of(
    st.integers(0, 6 * DAY),
    st.builds(lambda day, off: day * DAY + off, st.integers(0, 6), st.sampled_from([-1, 0, 1, DAY // 2])),
    # Around noon of one day, on slots and beside them: where windows of minutes and hours hold something.
    st.builds(lambda slot, off: 7 * DAY // 2 + slot * SLOT + off, st.integers(-300, 12), st.integers(-1, 1)),
    st.integers(7 * DAY // 2 - 2 * SLOT, 7 * DAY // 2 + 2 * SLOT),
).map(lambda x: START + max(x, 0))
KEY = {"customer_id": st.sampled_from(["a", "b", None]), "article_id": st.sampled_from(["x", "y", None])}
METHODS = st.sampled_from(["card", "invoice", "é", "", None])
VALUES = st.one_of(st.none(), st.integers(-(2**40) + 1, 2**40 - 1), st.integers(-2, 2))


@st.composite
def streams(draw: st.DrawFn) -> dict[str, list[Event]]:
    def events(values: dict[str, st.SearchStrategy]) -> list[Event]:
        at = sorted(draw(st.lists(INSTANTS, max_size=14)))
        return [
            Event(
                i,
                t,
                {k: draw(s) for k, s in KEY.items()},
                {c: draw(s) for c, s in values.items()},
            )
            for i, t in enumerate(at)
        ]

    return {
        "orders": events({"value": VALUES, "pieces": st.integers(-5, 2**20 - 1), "method": METHODS}),
        "outcomes": events({"returned": st.integers(0, 1)}),
    }


@st.composite
def moments(draw: st.DrawFn) -> list[Moment]:
    instants = draw(st.lists(INSTANTS, min_size=1, max_size=6))
    is_imported = draw(st.booleans())
    found = []
    for i, t in enumerate(instants):
        until = t if is_imported else draw(INSTANTS)
        derived = t if is_imported else draw(INSTANTS)
        found.append(Moment(i, t, until, derived, {k: draw(s) for k, s in KEY.items()}))
    return found


def _warehouse(engine: type[EngineWarehouse], events: dict[str, list[Event]], spine: list[Moment]) -> EngineWarehouse:
    warehouse = engine()
    warehouse.write(KEYS, {ORDERS: events["orders"], OUTCOMES: events["outcomes"]}, spine)
    return warehouse


def _want(events: dict[str, list[Event]], spine: list[Moment]) -> dict[int, dict[str, int | None]]:
    return {m.moment_id: {n: v for g in GROUPS for n, v in group_aggregates(g, events, m).items()} for m in spine}


@settings(max_examples=40)
@given(streams(), moments())
def test_batch_from_streams_equals_oracle(
    engine: type[EngineWarehouse], events: dict[str, list[Event]], spine: list[Moment]
) -> None:
    assert _warehouse(engine, events, spine).windows(GROUPS, from_tiles=False) == _want(events, spine)


@settings(max_examples=12)
@given(streams(), moments(), st.integers(0, 5))
def test_batch_from_tiles_equals_oracle(
    engine: type[EngineWarehouse], events: dict[str, list[Event]], spine: list[Moment], cut: int
) -> None:
    """From tiles built in one pass, and from tiles built day by day, a day built again: the same tables and values."""
    warehouse = _warehouse(engine, events, spine)
    first, last = date(2024, 10, 4), date(2024, 10, 10)
    for group in TILED:
        warehouse.build_tiles(group, first, last)
    assert warehouse.windows(GROUPS, from_tiles=True) == _want(events, spine)
    one_pass = warehouse.stored(TILED)
    for group in TILED:
        warehouse.drop_tiles(group)
        for n in range((last - first).days + 1):
            warehouse.build_tiles(group, first + timedelta(days=n), first + timedelta(days=n))
        assert warehouse.build_tiles(group, first + timedelta(days=cut), first + timedelta(days=cut + 1)) == ()
    assert warehouse.stored(TILED) == one_pass
