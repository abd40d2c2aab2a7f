"""Plans: the text of a small declaration's, and that the text is what is run."""

from __future__ import annotations

import duckdb
import pytest

from returnml.features.declarations import Aggregation, KeyGroup, Operation, Stream
from returnml.features.sql.duckdb import DUCKDB
from returnml.features.sql.measured import nominal
from returnml.features.sql.plan import Inputs, plan
from returnml.features.windows import Window
from returnml.warehouse.features.feature_errors import FeatureError
from returnml.warehouse.features.measure import measure
from returnml.warehouse.features.window_aggregates import compute_windows, computed
from returnml_tests.features.sql.golden_plans import CUSTOMER, FOLDER, KEYS, ORDERS, OUTCOMES, plans
from returnml_tests.features.window_warehouse import connect, write_spine, write_stream
from returnml_tests.oracle import DAY, Event, Moment, group_aggregates

START = 20_000 * DAY
KEY_VALUES = {"customer_id": "a", "article_id": "x", "size": "M"}
EVENTS = {
    "orders": [
        Event(1, START, KEY_VALUES, {"cents": 500, "method": "card"}),
        Event(2, START + DAY, KEY_VALUES, {"cents": -70, "method": "invoice"}),
    ],
    "outcomes": [Event(3, START + DAY, KEY_VALUES, {"returned": 1})],
}
MOMENTS = [Moment(n, at, at, at, KEY_VALUES) for n, at in enumerate((START + DAY // 2, START + DAY + 1, START + 30 * DAY))]
INPUTS = Inputs("spine", (CUSTOMER,))


@pytest.fixture
def con() -> duckdb.DuckDBPyConnection:
    con = connect()
    write_stream(con, ORDERS, tuple(KEYS), EVENTS["orders"])
    write_stream(con, OUTCOMES, tuple(KEYS), EVENTS["outcomes"])
    write_spine(con, tuple(KEYS), MOMENTS)
    return con


def temporary(con: duckdb.DuckDBPyConnection) -> list[str]:
    return [name for (name,) in con.execute("select table_name from duckdb_tables() where temporary").fetchall()]


def run(con: duckdb.DuckDBPyConnection, script: str) -> dict[int, dict[str, int | None]]:
    """What the script's own query of the values returns."""
    found = {}
    for statement in script.split(";\n"):
        cursor = con.execute(statement) if statement.strip() else None
        if cursor is not None and "-- values" in statement:
            names = [column[0] for column in cursor.description]
            found = {row[0]: dict(zip(names[1:], row[1:], strict=True)) for row in cursor.fetchall()}
    return found


@pytest.mark.parametrize("name", plans())
def test_the_plan_is_written_as_it_was(name: str) -> None:
    renewed = "if it is meant to be another: python -m returnml_tests.features.sql.golden_plans"
    assert plans()[name].text() == (FOLDER / f"{name}.sql").read_text(), renewed


def test_a_printed_plan_is_a_script_that_gives_the_values(con: duckdb.DuckDBPyConnection) -> None:
    planned = plan(INPUTS, measure(con, INPUTS, DUCKDB, from_tiles=False), DUCKDB)
    want = {m.moment_id: group_aggregates(CUSTOMER, EVENTS, m) for m in MOMENTS}
    assert run(con, planned.text()) == want
    for aggregate in CUSTOMER.aggregates():
        got = run(con, planned.only([aggregate.name]).text())
        assert got == {moment: {aggregate.name: values[aggregate.name]} for moment, values in want.items()}
    assert temporary(con) == []


def test_a_plan_of_nominal_measurements_gives_the_values_too(con: duckdb.DuckDBPyConnection) -> None:
    script = plan(INPUTS, nominal(INPUTS.groups), DUCKDB).text().replace("2025-01-31", "2030-01-01")
    assert run(con, script) == {m.moment_id: group_aggregates(CUSTOMER, EVENTS, m) for m in MOMENTS}


def test_what_was_computed_is_dropped_whatever_happens(con: duckdb.DuckDBPyConnection) -> None:
    with computed(con, INPUTS, from_tiles=False) as found:
        assert set(found.plan.leftovers) == set(temporary(con))
        assert found.rows == len(MOMENTS)
    assert temporary(con) == []
    con.execute("alter table core.outcomes drop column seq")
    with pytest.raises(duckdb.BinderException), computed(con, INPUTS, from_tiles=False):
        pass
    assert temporary(con) == []


def test_totals_that_no_limb_holds_are_refused_before_anything_is_run(con: duckdb.DuckDBPyConnection) -> None:
    wide = Stream("orders", "core.orders", {"cents": 63})
    squares = Aggregation(wide, Operation.SUM_OF_SQUARES, "cents", (Window.parse("7d"),))
    con.execute("update core.orders set cents = 9223372036854775807")
    with pytest.raises(FeatureError, match=r"group 'squares': orders_cents_sum_of_squares: running totals of up to 1701411"):
        compute_windows(con, [KeyGroup("squares", ("customer_id",), (squares,))], "spine", from_tiles=False)
    assert temporary(con) == []
