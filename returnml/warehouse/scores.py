"""``scores.daily``: every order line of a day with its probability, expected cost and the release that said so."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from returnml.modeling.onnx_scoring import OnnxScorer
from returnml.policy.costs import expected_cost_cents
from returnml.release.folder import Release, load_release
from returnml.settings import CostSettings
from returnml.warehouse.partition import PartitionResult, combine_hashes, replace_partition, transaction

if TYPE_CHECKING:
    import duckdb

TABLE = "scores.daily"
THREADS = 2
CHUNK_ROWS = 65_536

DDL = """
CREATE SCHEMA IF NOT EXISTS scores;
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
    """What was scored.

    Attributes:
        expected_cost_cents: sum over all lines.
        content_hash: over the days' content hashes.
    """

    release: str
    first: date
    last: date
    rows: int
    mean_probability: float
    expected_cost_cents: int
    content_hash: str


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
    con.execute(DDL)
    parts: list[PartitionResult] = []
    cost, mass = 0, 0.0
    with transaction(con):
        for chunk, scored in _scored(con, scorer, release, _chunks(con, first, last), costs):
            cost += int(scored["expected_cost_cents"].sum())
            mass += float(scored["probability"].cast(pl.Float64).sum())
            inputs = f"{release.version} {costs}"
            parts.append(replace_partition(con, TABLE, *chunk, scored, day_column="day", inputs_hash=inputs))
    rows = sum(part.rows for part in parts)
    days = [day for part in parts for day in part.days]
    content_hash = combine_hashes(f"{day.day}:{day.content_hash}" for day in days)
    return ScoresReport(release.version, first, last, rows, mass / rows if rows else 0.0, cost, content_hash)


def _scored(
    con: duckdb.DuckDBPyConnection,
    scorer: OnnxScorer,
    release: Release,
    chunks: list[tuple[date, date]],
    costs: CostSettings,
) -> Iterator[tuple[tuple[date, date], pl.DataFrame]]:
    """The rows of ``scores.daily`` of each chunk; others are read and written while one is being scored."""
    with ThreadPoolExecutor(1) as executor:
        running: tuple[tuple[date, date], pl.DataFrame, Future[np.ndarray]] | None = None
        for chunk in chunks:
            lines, matrix = _read(con, release, chunk)
            following = (chunk, lines, executor.submit(scorer.probability, matrix))
            if running is not None:
                yield running[0], _priced(running[1], running[2].result(), release, costs)
            running = following
        if running is not None:
            yield running[0], _priced(running[1], running[2].result(), release, costs)


def _read(con: duckdb.DuckDBPyConnection, release: Release, days: tuple[date, date]) -> tuple[pl.DataFrame, np.ndarray]:
    """Lines with ``row``, their row in the matrix, and the float32 matrix of these days.

    The wide table is only scanned, never joined or sorted; the narrow one is, and finds its features by position.
    """
    columns = ", ".join(f'"{name}"' for name in release.manifest.inputs)
    wide = f"SELECT rowid AS position, {columns} FROM features.order_lines WHERE day BETWEEN $first AND $last"
    scope = {"first": days[0], "last": days[1]}
    features = con.sql(wide, params=scope).pl()
    position = features.drop_in_place("position").to_numpy()
    lines = con.sql(_LINES, params=scope).pl()
    if lines.height != features.height:
        raise ScoresError(
            f"{days[0]} to {days[1]}: {features.height} lines with features, but {lines.height} matches in core.orders: "
            "rebuild these days"
        )
    order = np.argsort(position)
    row = order[np.searchsorted(position[order], lines["position"].to_numpy())]
    return lines.drop("position").with_columns(row=row), features.to_numpy(order="c")


def _priced(lines: pl.DataFrame, probability: np.ndarray, release: Release, costs: CostSettings) -> pl.DataFrame:
    own = probability[lines["row"].to_numpy()]
    return lines.drop("row").with_columns(
        probability=own,
        expected_cost_cents=expected_cost_cents(own, lines["line_value_cents"].to_numpy(), costs),
        release=pl.lit(release.version),
        feature_set_hash=pl.lit(release.manifest.feature_set_hash),
    )


def _chunks(con: duckdb.DuckDBPyConnection, first: date, last: date) -> list[tuple[date, date]]:
    """Consecutive ranges of days of about ``CHUNK_ROWS`` lines, which together are ``first`` to ``last``."""
    counts = con.execute(
        "SELECT day, count(*) FROM features.order_lines WHERE day BETWEEN ? AND ? GROUP BY day ORDER BY day", [first, last]
    ).fetchall()
    starts, rows = [first], 0
    for day, count in counts:
        if rows and rows + count > CHUNK_ROWS:
            starts.append(day)
            rows = 0
        rows += count
    return list(zip(starts, [*(start - timedelta(days=1) for start in starts[1:]), last], strict=True))


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
