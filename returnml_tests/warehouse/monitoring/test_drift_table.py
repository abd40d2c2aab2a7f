"""The drift table: trailing week, own release only, the same on a second run."""

from datetime import date, timedelta

import msgspec
import numpy as np
import polars as pl
import pytest

from returnml.modeling.data.drift_reference import (
    Reference,
    describe,
)
from returnml.release.folder import write_release
from returnml.release.manifest import Manifest
from returnml.settings import DriftSettings
from returnml.warehouse.monitoring.drift_table import build_drift
from returnml.warehouse.partition import open_warehouse

FIRST = date(2025, 1, 1)
DAYS = 20
ROWS = 300
SETTINGS = DriftSettings(min_rows=200)


@pytest.fixture
def release(tmp_path):
    rng = np.random.default_rng(0)
    x, p = rng.normal(size=5_000), rng.random(5_000)
    reference = Reference(rows=5_000, features={"x": describe(x, 10)}, score=describe(p, 20))
    manifest = Manifest(
        task="return_risk", feature_set="order_line", feature_set_version=1, feature_set_hash="h", inputs=["x"], cut_off_us=0,
        training_snapshot="s", seed=1, parameters={}, metrics={}, label={}, libraries={},
    )  # fmt: skip
    return write_release(tmp_path, manifest, {"model.onnx": b"m", "reference.json": msgspec.json.encode(reference)})


@pytest.fixture
def con(release):
    """Twenty days; from day 10 on ``x`` is moved by 2; a second release's scores are elsewhere."""
    rng = np.random.default_rng(1)
    n = DAYS * ROWS
    day = np.repeat(np.arange(DAYS), ROWS)
    frame = pl.DataFrame(
        {
            "day": [FIRST + timedelta(days=int(d)) for d in day],
            "line_id": [str(i) for i in range(n)],
            "x": (rng.normal(size=n) + 2.0 * (day >= 10)).astype(np.float32),
            "feature_set_hash": "h",
            "probability": rng.random(n).astype(np.float32),
            "release": release.version,
        }
    )
    con = open_warehouse(":memory:")
    con.execute("CREATE SCHEMA features; CREATE SCHEMA scores")
    con.register("f", frame)
    con.execute("CREATE TABLE features.order_lines AS SELECT day, line_id, x, feature_set_hash FROM f")
    con.execute("CREATE TABLE scores.daily AS SELECT day, line_id, probability, release FROM f")
    con.execute("INSERT INTO scores.daily SELECT day, line_id, 0.999, 'other' FROM f")
    con.unregister("f")
    return con


def test_a_moved_feature_is_found_and_the_score_is_not(con, release):
    report = build_drift(con, release, FIRST + timedelta(days=6), FIRST + timedelta(days=19), SETTINGS)
    drifted = [day for day, period in report.days.items() if "x" in period.drifted]
    assert FIRST + timedelta(days=9) not in drifted
    assert FIRST + timedelta(days=16) in drifted
    assert not any("score" in period.drifted for period in report.days.values())
    rows = con.sql("SELECT rows, psi FROM monitoring.drift WHERE day = DATE '2025-01-17' AND column_name = 'x'").fetchall()
    assert rows[0][0] == 7 * ROWS
    assert rows[0][1] > 0.25


def test_day_by_day_equals_the_range_and_a_rerun_changes_nothing(con, release):
    last = FIRST + timedelta(days=DAYS - 1)
    build_drift(con, release, FIRST, last, SETTINGS)
    whole = con.sql("SELECT * FROM monitoring.drift ORDER BY ALL").fetchall()
    assert len(whole) == 2 * DAYS
    for n in range(DAYS):
        day = FIRST + timedelta(days=n)
        build_drift(con, release, day, day, SETTINGS)
    assert con.sql("SELECT * FROM monitoring.drift ORDER BY ALL").fetchall() == whole


def test_a_day_without_lines_is_written_and_not_judged(con, release):
    day = FIRST + timedelta(days=40)
    report = build_drift(con, release, day, day, SETTINGS)
    assert (report.days[day].is_judged, report.days[day].is_drifted, report.days[day].rows) == (False, False, 0)
