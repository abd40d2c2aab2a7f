"""Training from logged vectors: which lines have one, and that it is the one that batch computes."""

from __future__ import annotations

import shutil
from datetime import datetime, time, timedelta
from pathlib import Path

import dagster as dg
import duckdb
import numpy as np
import pytest

from returnml.features.sets.order_line import ORDER_LINE
from returnml.pipeline.assets.training import build_training_set
from returnml.pipeline.resources.warehouse_resource import warehouse_resource
from returnml.settings import Settings, TrainingSettings
from returnml.tasks.declared import return_risk
from returnml.warehouse.answers.inference_tables import (
    MOMENTS,
    build_inference_log,
    build_moments,
)
from returnml.warehouse.answers.logged_vectors import (
    LoggedVectors,
    read_logged_vectors,
    sources_of,
)
from returnml.warehouse.features.order_line_vectors import build_order_lines
from returnml.warehouse.partition import open_warehouse
from returnml.warehouse.training.training_rows import build_snapshot
from returnml_tests.inference.conftest import LAST, Scored, score_day
from returnml_tests.inference.test_assets import verdict
from returnml_tests.roots import same_root

CUT_OFF = datetime.combine(LAST + timedelta(days=40), time())
LABEL = Settings().label


def prepare(con: duckdb.DuckDBPyConnection, log: Path) -> int:
    """The last day ingested, linked, computed, and 40 days later mature: every third line came back. How many lines."""
    build_inference_log(con, log, LAST, LAST)
    build_moments(con, LAST, LAST)
    build_order_lines(con, ORDER_LINE, LAST, LAST, MOMENTS)
    con.execute("DELETE FROM core.outcomes")
    con.execute(
        "INSERT INTO core.outcomes BY NAME SELECT line_id, order_id, ordered_at, ordered_at + INTERVAL 33 DAY AS mature_at, "
        "ordered_at::DATE::TIMESTAMP + INTERVAL 34 DAY AS known_at, (ordered_at::DATE + 34)::DATE AS known_day, seq, "
        "(row_number() OVER (ORDER BY line_id) % 3 = 0)::INTEGER AS returned FROM core.orders WHERE known_day = ?",
        [LAST],
    )
    return con.execute("SELECT count(*) FROM core.outcomes").fetchall()[0][0]


@pytest.fixture
def con(root: Path):
    con = open_warehouse(root / "warehouse" / "returnml.duckdb")
    prepare(con, root / "logs" / "inference")
    yield con
    con.close()


def read(con: duckdb.DuckDBPyConnection) -> LoggedVectors:
    return read_logged_vectors(con, ORDER_LINE, CUT_OFF)


def some_line(con: duckdb.DuckDBPyConnection) -> tuple[str, bytes]:
    return con.execute("SELECT line_id, vector FROM serving.inference_log ORDER BY line_id LIMIT 1").fetchall()[0]


def plant(con: duckdb.DuckDBPyConnection, feature: str) -> str:
    """One bit of one logged feature; returns whose."""
    line, vector = some_line(con)
    at = 4 * ORDER_LINE.outputs.index(feature)
    changed = vector[:at] + bytes([vector[at] ^ 1]) + vector[at + 1 :]
    con.execute("UPDATE serving.inference_log SET vector = ? WHERE line_id = ?", [changed, line])
    return line


def test_every_linked_line_has_its_logged_vector(scored: Scored, con):
    lines = sum(len(a["lines"]) for a in scored.answers.values())
    found = read(con)
    assert (found.lines, found.linked, found.agreement.rows, found.agreement.identical_rows) == (lines,) * 4
    assert (found.foreign, found.moved, found.changed, found.unlinked_share) == (0, 0, 0, 0)
    assert sorted(found.line_ids) == sorted(n["line_id"] for a in scored.answers.values() for n in a["lines"])
    assert found.is_equal


def test_a_planted_difference_is_caught_and_named(con):
    line = plant(con, "article_returns_count_30d")
    found = read(con)
    assert not found.is_equal
    assert found.agreement.differing == ["article_returns_count_30d"]
    assert found.agreement.identical_rows == found.agreement.rows - 1
    [example] = [f.first for f in found.agreement.features if f.first is not None]
    assert example.moment == line


def test_unlinked_and_foreign_lines_are_counted(con):
    line, _ = some_line(con)
    con.execute("DELETE FROM serving.moments WHERE line_id = ?", [line])
    con.execute(
        "UPDATE serving.inference_log SET feature_set_hash = 'other' WHERE request_id = "
        "(SELECT min(request_id) FROM serving.moments WHERE request_id NOT IN "
        "(SELECT request_id FROM serving.inference_log WHERE line_id = ?))",
        [line],
    )
    foreign = con.execute("SELECT count(*) FROM serving.inference_log WHERE feature_set_hash = 'other'").fetchall()[0][0]
    found = read(con)
    assert (found.linked, found.foreign) == (found.lines - 1, foreign)
    assert found.unlinked_share == pytest.approx(1 / found.lines)
    assert found.agreement.rows == len(found.line_ids) == found.lines - 1 - foreign


def test_features_of_another_moment_than_the_link_are_a_fault(con):
    line, _ = some_line(con)
    con.execute("UPDATE serving.moments SET visible_until = visible_until - INTERVAL 1 DAY WHERE line_id = ?", [line])
    found = read(con)
    assert (found.moved, found.changed, found.is_equal) == (1, 0, False)
    assert found.agreement.identical_rows == found.agreement.rows == found.lines - 1
    assert line not in found.line_ids


def one_more_piece(order: dict) -> dict:
    """Of the first line of every order with several."""
    first, *others = order["lines"]
    return order | {"lines": [first | {"quantity": first["quantity"] + 1}, *others]} if others else order


def test_lines_ordered_otherwise_than_scored_are_compared_where_nothing_changed(scored: Scored, root: Path, tmp_path_factory):
    data = tmp_path_factory.mktemp("altered")
    same_root(data, scored.data)
    for part in ("store", "releases", "deployment"):
        shutil.copytree(scored.data / part, data / part)
    score_day(data, scored.con, alter=one_more_piece)
    con = open_warehouse(root / "warehouse" / "returnml.duckdb")
    lines = prepare(con, data / "logs" / "inference")
    in_several = con.execute(
        "SELECT count(*), count(DISTINCT order_id) FROM core.orders WHERE known_day = $1 AND order_id IN "
        "(SELECT order_id FROM core.orders WHERE known_day = $1 GROUP BY ALL HAVING count(*) > 1)",
        [LAST],
    ).fetchall()[0]
    found = read(con)
    assert (found.changed, found.moved, found.linked) == (in_several[0], 0, lines)
    assert in_several[0] > 10
    assert found.is_equal
    rows = {f.name: f.rows for f in found.agreement.features}
    assert rows["customer_returns_count_30d"] == rows["has_voucher"] == lines
    assert rows["basket_count"] == rows["basket_value_share"] == lines - in_several[0]
    # The quantity of the other lines of such an order is as it was scored.
    assert rows["quantity"] == lines - in_several[1]
    assert len(found.line_ids) == lines - in_several[0]
    # Without this rule they would be called differences.
    [(quantity, ordered)] = con.execute(
        "SELECT a.quantity, o.quantity FROM serving.inference_log a JOIN core.orders o USING (line_id) "
        "WHERE a.quantity <> o.quantity LIMIT 1"
    ).fetchall()
    assert quantity == ordered + 1
    con.close()


def test_a_snapshot_of_logged_vectors_is_the_recomputed_one(con, tmp_path):
    plain = build_snapshot(con, return_risk.TASK, CUT_OFF, tmp_path, LABEL)
    line, _ = some_line(con)
    con.execute("DELETE FROM serving.moments WHERE line_id = ?", [line])
    logged = build_snapshot(con, return_risk.TASK, CUT_OFF, tmp_path, LABEL, read(con))
    assert plain.manifest.vectors == {"logged": 0, "recomputed": plain.rows}
    assert logged.manifest.vectors == {"logged": plain.rows - 1, "recomputed": 1}
    assert logged.hash != plain.hash
    assert logged.matrix().tobytes() == plain.matrix().tobytes()


def test_a_snapshot_holds_what_was_logged(con, tmp_path):
    plain = build_snapshot(con, return_risk.TASK, CUT_OFF, tmp_path, LABEL)
    line = plant(con, "quantity")
    logged = build_snapshot(con, return_risk.TASK, CUT_OFF, tmp_path, LABEL, read(con))
    differs = logged.matrix().view(np.uint32) != plain.matrix().view(np.uint32)
    assert [plain.table()["row_id"][int(i)] for i in np.flatnonzero(differs.any(axis=1))] == [line]
    assert [ORDER_LINE.outputs[j] for j in np.flatnonzero(differs.any(axis=0))] == ["quantity"]


def materialize(root: Path, vectors) -> dg.ExecuteInProcessResult:
    settings = Settings(data=str(root), training=TrainingSettings(vectors=vectors))
    resources = {"settings": settings, "warehouse": warehouse_resource(settings)}
    config = {"ops": {"training_set": {"config": {"cut_off": CUT_OFF.isoformat()}}}}
    return dg.materialize([build_training_set(return_risk.TASK)], resources=resources, run_config=config, raise_on_error=False)


@pytest.mark.parametrize(("vectors", "severity"), [("recomputed", "WARN"), ("logged", "ERROR")])
def test_the_asset_says_which_vectors_and_whether_they_agree(root: Path, con, vectors, severity):
    lines = con.execute("SELECT count(*) FROM core.outcomes").fetchall()[0][0]
    con.close()
    done = materialize(root, vectors)
    assert verdict(done, "training_set", "logged_equals_recomputed").passed
    [event] = done.get_asset_materialization_events()
    metadata = event.materialization.metadata
    logged = lines if vectors == "logged" else 0
    assert metadata["vectors"].value == {"logged": logged, "recomputed": lines - logged}
    assert metadata["unlinked_share"].value == 0
    con = open_warehouse(root / "warehouse" / "returnml.duckdb")
    line = plant(con, "brand_return_rate_365d")
    con.close()
    failed = verdict(materialize(root, vectors), "training_set", "logged_equals_recomputed")
    assert (failed.passed, failed.severity.name) == (False, severity)
    assert failed.metadata["differing"].value == ["brand_return_rate_365d"]
    assert failed.metadata["examples"].value == {"brand_return_rate_365d": line}


def test_what_a_feature_is_made_from():
    sources = dict(zip(ORDER_LINE.outputs, sources_of(ORDER_LINE), strict=True))
    assert sources["hour_of_day"] == ()
    assert sources["has_voucher"] == ("voucher_code",)
    assert sources["basket_same_article_count"] == ("article_id", "basket")
    assert sources["country_payment_orders_count_30d"] == ("country", "payment_method")
    assert sources["price_against_customer_365d"] == ("customer_id", "unit_price_cents")
