"""``scores.reasons``: the riskiest lines of each day, explained by the release that scored them."""

from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import duckdb
import numpy as np
import polars as pl
import pytest

from returnml.features.declarations import InputKind, RequestInput
from returnml.features.families import Family
from returnml.features.feature_set import FeatureSet
from returnml.modeling.export.explainer import build_explainer
from returnml.modeling.fit.boosting import (
    parameters,
    train,
)
from returnml.reasons.kernel import Explainer
from returnml.reasons.ordering import Reasoner
from returnml.release.folder import Release, write_release
from returnml.settings import TrainingSettings
from returnml.tasks.declared import return_risk
from returnml.warehouse.scores.daily_reasons import (
    ReasonsError,
    build_reasons,
)
from returnml_tests.serving import shop

NAMES = ("quantity", "customer_returns_count_365d", "has_voucher", "hour_of_day")
FAMILIES = tuple(Family(name, f"said of {name}") for name in ("pieces", "customer_returns", "voucher", "time"))
INPUTS = tuple(RequestInput(n, InputKind.INTEGER, "", n, family=f.name) for n, f in zip(NAMES, FAMILIES, strict=True))
FEATURE_SET = FeatureSet("order_line", 1, INPUTS, (), (), (), FAMILIES)
TASK = replace(return_risk.TASK, feature_set=FEATURE_SET)
FIRST, LAST = date(2024, 1, 1), date(2024, 1, 3)
PER_DAY = 7


def matrix(rows: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 3, (rows, len(NAMES))).astype(np.float32)


@pytest.fixture(scope="module")
def explainer() -> bytes:
    x = matrix(3_000, 1)
    y = x[:, :2].sum(axis=1) + np.random.default_rng(2).normal(size=3_000) > 2
    return build_explainer(train(x, y.astype(int), NAMES, parameters(TrainingSettings(threads=1)), 30))


@pytest.fixture
def release(tmp_path: Path, explainer: bytes) -> Release:
    return write_release(tmp_path, shop.manifest(FEATURE_SET), {"model.onnx": b"", "explainer.bin": explainer})


@pytest.fixture
def lines() -> pl.DataFrame:
    x = matrix(60, 3)
    return pl.DataFrame(
        {
            "day": [FIRST + timedelta(days=i % 3) for i in range(60)],
            "line_id": [f"l{i:02d}" for i in range(60)],
            "expected_cost_cents": np.random.default_rng(4).integers(0, 10, 60),
            **{name: x[:, j] for j, name in enumerate(NAMES)},
        }
    )


@pytest.fixture
def con(lines: pl.DataFrame, release: Release):
    con = duckdb.connect()
    con.register("given", lines.to_arrow())
    con.execute("CREATE SCHEMA scores; CREATE SCHEMA features")
    scored = f"day, line_id, expected_cost_cents, '{release.version}' AS release"
    con.execute(f"CREATE TABLE scores.daily AS SELECT {scored} FROM given")
    con.execute(f"CREATE TABLE features.order_lines AS SELECT day, line_id, {', '.join(NAMES)} FROM given")
    return con


def test_the_riskiest_lines_of_each_day_are_explained(con, release: Release, lines: pl.DataFrame, explainer: bytes):
    report = build_reasons(con, TASK, release.path, FIRST, LAST, PER_DAY)
    by_risk = lines.sort(["day", "expected_cost_cents", "line_id"], descending=[False, True, False])
    riskiest = by_risk.group_by("day").head(PER_DAY)
    x = riskiest.select(NAMES).to_numpy(order="c")
    expected = {
        (line_id, rank): (r.family, r.text, r.contribution, r.feature, r.value)
        for line_id, reasons in zip(riskiest["line_id"], Reasoner(Explainer(explainer), FEATURE_SET).reasons(x), strict=True)
        for rank, r in enumerate(reasons, start=1)
    }
    found = con.execute("SELECT line_id, rank, family, text, contribution, feature, value FROM scores.reasons").fetchall()
    assert {row[:2]: row[2:] for row in found} == expected
    assert (report.lines, report.rows, report.unexplained) == (3 * PER_DAY, len(expected), "")
    assert {"pieces", "customer_returns"} <= {row[2] for row in found}


def test_a_day_is_replaced_whole(con, release: Release):
    build_reasons(con, TASK, release.path, FIRST, LAST, PER_DAY)
    build_reasons(con, TASK, release.path, LAST, LAST, 1)
    counts = con.execute("SELECT day, count(DISTINCT line_id) FROM scores.reasons GROUP BY day ORDER BY day").fetchall()
    assert counts[-1] == (LAST, 1)
    assert all(count > 1 for _, count in counts[:-1])


def test_a_release_that_cannot_explain_says_so(con, release: Release, tmp_path: Path):
    build_reasons(con, TASK, release.path, FIRST, LAST, PER_DAY)
    old = write_release(tmp_path, shop.manifest(FEATURE_SET), {"model.onnx": b"old"})
    report = build_reasons(con, TASK, old.path, FIRST, LAST, PER_DAY)
    assert (report.lines, report.rows) == (0, 0)
    assert f"release {old.version} holds no explainer.bin" in report.unexplained
    assert con.execute("SELECT count(*) FROM scores.reasons").fetchall() == [(0,)]
    other = FeatureSet("order_line", 2, INPUTS, (), (), (), FAMILIES)
    report = build_reasons(con, replace(TASK, feature_set=other), release.path, FIRST, LAST, PER_DAY)
    assert "reasons are declared for order_line" in report.unexplained


def test_scores_of_another_release_are_refused(con, release: Release):
    con.execute("UPDATE scores.daily SET release = 'other' WHERE day = '2024-01-02'")
    with pytest.raises(ReasonsError, match="2024-01-02 was scored by release other"):
        build_reasons(con, TASK, release.path, FIRST, LAST, PER_DAY)
