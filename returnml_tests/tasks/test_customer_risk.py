"""Labels of customers at a cut-off, at the edges of the horizon and of maturity; what is at stake; which days are sampled."""

from __future__ import annotations

from datetime import date, datetime, timedelta

import duckdb
import pytest

from returnml.features.sets.customer import CUSTOMER
from returnml.settings import LabelSettings
from returnml.tasks.declared.customer_risk import TASK
from returnml.warehouse.features.customer_vectors import (
    build_customers,
    build_past_customers,
)
from returnml.warehouse.training.training_rows import (
    build_snapshot,
    labels_query,
)
from returnml_tests.warehouse.features.test_customer_vectors import (
    DAYS,
    FIRST,
    build_shop,
)

LABEL = LabelSettings(window_days=30, grace_days=3)
MATURE = timedelta(days=63)


def sampled_day() -> datetime:
    days = (datetime(2024, 3, 8) + timedelta(days=n) for n in range(8))
    return next(day for day in days if (day.date() - date(1970, 1, 1)).days % 8 == 0)


@pytest.fixture
def con() -> duckdb.DuckDBPyConnection:
    con = duckdb.connect()
    con.execute("CREATE SCHEMA core; CREATE SCHEMA features")
    con.execute("CREATE TABLE features.customers (day DATE, customer_id VARCHAR, requested_at TIMESTAMP)")
    con.execute(
        "CREATE TABLE core.outcomes (line_id VARCHAR, customer_id VARCHAR, ordered_at TIMESTAMP, mature_at TIMESTAMP, "
        "known_at TIMESTAMP, returned BIGINT)"
    )
    con.execute(
        "CREATE TABLE core.returns (line_id VARCHAR, returned_at TIMESTAMP, known_at TIMESTAMP, is_cancellation BOOLEAN, "
        "is_orphan BOOLEAN)"
    )
    return con


def ask(con: duckdb.DuckDBPyConnection, at: datetime, customer: str = "c") -> None:
    con.execute("INSERT INTO features.customers VALUES (?, ?, ?)", [at.date(), customer, at])


def line(con: duckdb.DuckDBPyConnection, ordered_at: datetime, returned: int, customer: str = "c") -> str:
    """A line and its outcome; what came back did so after two days, and was known a day later."""
    (count,) = con.execute("SELECT count(*) FROM core.outcomes").fetchall()[0]
    mature = ordered_at + timedelta(days=33)
    known = datetime(mature.year, mature.month, mature.day) + timedelta(days=1)
    con.execute(
        "INSERT INTO core.outcomes VALUES (?, ?, ?, ?, ?, ?)", [f"l{count}", customer, ordered_at, mature, known, returned]
    )
    if returned:
        back = ordered_at + timedelta(days=2)
        con.execute("INSERT INTO core.returns VALUES (?, ?, ?, false, false)", [f"l{count}", back, back + timedelta(days=1)])
    return f"l{count}"


def labels(con: duckdb.DuckDBPyConnection, cut_off: datetime) -> list[tuple]:
    query = labels_query(TASK, cut_off, LABEL)
    return con.execute(f"SELECT customer_id, anchor_at, label, label_known_at FROM ({query}) ORDER BY ALL").fetchall()


@pytest.mark.parametrize(
    ("ordered", "label"),
    [
        (timedelta(microseconds=-1), 0),  # before the cut-off: among its features
        (timedelta(0), 1),
        (timedelta(days=30, microseconds=-1), 1),
        (timedelta(days=30), 0),
    ],
)
def test_the_horizon_is_half_open(con, ordered: timedelta, label: int):
    at = sampled_day()
    ask(con, at)
    line(con, at + ordered, returned=1)
    known = at + ordered + timedelta(days=3) if label else None
    assert labels(con, at + MATURE) == [("c", at, label, known)]


def test_whoever_keeps_or_orders_nothing_is_a_zero_and_others_do_not_count(con):
    at = sampled_day()
    for customer in ("keeps", "orders nothing", "returns twice"):
        ask(con, at, customer)
    line(con, at + timedelta(days=1), 0, "keeps")
    line(con, at + timedelta(days=9), 1, "returns twice")
    line(con, at + timedelta(days=4), 1, "returns twice")
    line(con, at + timedelta(days=1), 1, "somebody else")
    found = {customer: (label, known) for customer, _, label, known in labels(con, at + MATURE)}
    assert found == {"keeps": (0, None), "orders nothing": (0, None), "returns twice": (1, at + timedelta(days=7))}


def test_a_label_is_known_at_its_maturity_and_not_before(con):
    at = sampled_day()
    ask(con, at)
    line(con, at + timedelta(days=1), returned=1)
    assert labels(con, at + MATURE - timedelta(microseconds=1)) == []
    assert [row[2] for row in labels(con, at + MATURE)] == [1]


def test_only_sampled_midnights_are_trained_on(con):
    at = sampled_day()
    for n in range(9):
        ask(con, at + timedelta(days=n))
    ask(con, at + timedelta(days=16, hours=13))
    ask(con, at - timedelta(days=400))
    assert [row[1] for row in labels(con, at + timedelta(days=100))] == [at, at + timedelta(days=8)]


def test_the_past_is_built_once_and_a_snapshot_holds_it(tmp_path):
    con = build_shop(tmp_path)
    sampling = TASK.spine.sampling
    until = datetime.combine(FIRST + timedelta(days=DAYS), datetime.min.time())
    written = build_past_customers(con, CUSTOMER, sampling, until, 20)
    assert len(written) > 2
    assert all((day - date(1970, 1, 1)).days % 8 == 0 and day <= (until - timedelta(days=20)).date() for day in written)
    past = con.execute("SELECT * FROM features.customers ORDER BY ALL").fetchall()
    for day in written:
        build_customers(con, CUSTOMER, datetime.combine(day, datetime.min.time()))
    assert con.execute("SELECT * FROM features.customers ORDER BY ALL").fetchall() == past
    assert build_past_customers(con, CUSTOMER, sampling, until, 20) == []
    con.execute("UPDATE ops.partitions SET content_hash = 'changed' WHERE table_name = 'core.orders' AND day = ?", [written[1]])
    assert build_past_customers(con, CUSTOMER, sampling, until, 20) == written[2:]
    short = LabelSettings(window_days=1, grace_days=1)
    snapshot = build_snapshot(con, TASK, until, tmp_path / "training", short)
    mature = [day for day in written if datetime.combine(day, datetime.min.time()) + timedelta(days=32) <= until]
    table = snapshot.table()
    assert sorted(set(table["anchor_at"].dt.date())) == mature
    assert snapshot.manifest.sampling == sampling
    assert (snapshot.manifest.label.window_days, snapshot.manifest.label.grace_days) == (31, 1)
    values = con.execute(
        "SELECT customer_id || ' ' || day, coalesce(floor(customer_value_per_line_365d::DOUBLE + 0.5), 0)::BIGINT "
        "FROM features.customers"
    ).fetchall()
    assert dict(zip(table["row_id"], table["value_cents"], strict=True)).items() <= dict(values).items()
    assert set(table["currency"]) == {"EUR"}
