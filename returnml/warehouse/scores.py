"""``scores.daily``: every order line of a day with its probability, expected cost and the release that said so."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from returnml.modeling.onnx_scoring import OnnxScorer
from returnml.policy.costs import expected_cost_cents
from returnml.release.folder import Release, load_release
from returnml.settings import CostSettings

if TYPE_CHECKING:
    import duckdb

THREADS = 2
CHUNK_ROWS = 131_072

_TABLE = """
CREATE TABLE IF NOT EXISTS scores.daily (
    day DATE, line_id VARCHAR, order_id VARCHAR, customer_id VARCHAR, article_id VARCHAR, requested_at TIMESTAMP,
    probability FLOAT, expected_cost_cents BIGINT, line_value_cents BIGINT, currency VARCHAR, release VARCHAR,
    feature_set_hash VARCHAR
)"""

_LINES = """
SELECT f.rowid AS position, f.day AS "day", f.line_id, f.order_id, l.customer_id, l.article_id, f.requested_at,
       l.line_value_cents, l.currency
FROM features.order_lines f JOIN core.orders l USING (line_id)
WHERE f.day BETWEEN $first AND $last
ORDER BY f.day, f.requested_at, f.line_id"""


class ScoresError(Exception):
    """Lines that cannot be scored by this release; the message names the day and the rule."""


@dataclass(frozen=True)
class ScoresReport:
    """What was scored. ``expected_cost_cents`` is the sum over all lines."""

    release: str
    first: date
    last: date
    rows: int
    mean_probability: float
    expected_cost_cents: int


def build_scores(con: duckdb.DuckDBPyConnection, release_dir: Path, first: date, last: date, costs: CostSettings) -> ScoresReport:
    """Score the lines of the days from ``first`` to ``last`` (inclusive), replacing these partitions at once.

    Args:
        con: the warehouse, with ``features.order_lines`` and ``core.orders``.
        release_dir: a release folder; it is verified against its manifest.
        costs: of one return.

    Raises:
        ReleaseError: if the release folder is not what its manifest says.
        ScoresError: if lines of these days have features of another feature set, or a feature column is absent.
    """
    release = load_release(release_dir)
    _refuse_unfit(con, release, first, last)
    scorer = OnnxScorer(release.model, THREADS)
    con.execute("CREATE SCHEMA IF NOT EXISTS scores")
    con.execute(_TABLE)
    con.execute("BEGIN")
    try:
        con.execute("DELETE FROM scores.daily WHERE day BETWEEN ? AND ?", [first, last])
        _score_into(con, scorer, release, (first, last), costs)
        rows, mean, cost = con.execute(
            "SELECT count(*), coalesce(avg(probability::DOUBLE), 0), coalesce(sum(expected_cost_cents), 0)::BIGINT "
            "FROM scores.daily WHERE day BETWEEN ? AND ?",
            [first, last],
        ).fetchall()[0]
        con.execute("COMMIT")
    except BaseException:
        con.execute("ROLLBACK")
        raise
    return ScoresReport(release.version, first, last, rows, mean, cost)


def _score_into(
    con: duckdb.DuckDBPyConnection, scorer: OnnxScorer, release: Release, days: tuple[date, date], costs: CostSettings
) -> None:
    """Score whole days, as many at a time as make a chunk.

    The wide table is only scanned, never joined or sorted; the narrow one is, and finds its features by position.
    """
    columns = ", ".join(f'"{name}"' for name in release.manifest.inputs)
    wide = f"SELECT rowid AS position, {columns} FROM features.order_lines WHERE day BETWEEN $first AND $last"
    for first, last in _chunks(con, days):
        scope = {"first": first, "last": last}
        features = con.sql(wide, params=scope).pl()
        position = features.drop_in_place("position").to_numpy()
        probability = scorer.probability(features.to_numpy(order="c"))
        lines = con.sql(_LINES, params=scope).pl()
        if lines.height != features.height:
            raise ScoresError(
                f"{first} to {last}: {features.height} lines with features, but {lines.height} matches in core.orders: "
                "rebuild these days"
            )
        order = np.argsort(position)
        own = order[np.searchsorted(position[order], lines["position"].to_numpy())]
        scored = lines.drop("position").with_columns(
            probability=probability[own],
            expected_cost_cents=expected_cost_cents(probability[own], lines["line_value_cents"].to_numpy(), costs),
            release=pl.lit(release.version),
            feature_set_hash=pl.lit(release.manifest.feature_set_hash),
        )
        con.register("scored_lines", scored.to_arrow())
        con.execute("INSERT INTO scores.daily BY NAME SELECT * FROM scored_lines")
        con.unregister("scored_lines")


def _chunks(con: duckdb.DuckDBPyConnection, days: tuple[date, date]) -> Iterator[tuple[date, date]]:
    """Runs of days of about ``CHUNK_ROWS`` lines, covering every day that has lines."""
    counts = con.execute(
        "SELECT day, count(*) FROM features.order_lines WHERE day BETWEEN ? AND ? GROUP BY day ORDER BY day", days
    ).fetchall()
    start, rows = None, 0
    for i, (day, count) in enumerate(counts):
        start, rows = start or day, rows + count
        if i + 1 == len(counts) or rows + counts[i + 1][1] > CHUNK_ROWS:
            yield start, day
            start, rows = None, 0


def _refuse_unfit(con: duckdb.DuckDBPyConnection, release: Release, first: date, last: date) -> None:
    present = {row[0] for row in con.execute("DESCRIBE features.order_lines").fetchall()}
    absent = [name for name in release.manifest.inputs if name not in present]
    if absent:
        raise ScoresError(f"release {release.version}: features.order_lines has no column {absent[0]!r}")
    expected = release.manifest.feature_set_hash
    foreign = con.execute(
        "SELECT min(day), count(*) FROM features.order_lines WHERE day BETWEEN ? AND ? AND feature_set_hash <> ?",
        [first, last, expected],
    ).fetchall()[0]
    if foreign[1]:
        raise ScoresError(
            f"release {release.version} was made for feature set {expected[:12]}; {foreign[1]} lines from {foreign[0]} on have "
            "features of another: rebuild features.order_lines for those days"
        )
