"""``scores.daily``: every order line of a day with its probability, expected cost and the release that said so."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from returnml.modeling.onnx_scoring import OnnxScorer
from returnml.policy.decisions import Decider, Decisions
from returnml.policy.document import ACTIONS, Policy
from returnml.release.folder import Release, load_release
from returnml.warehouse.partition import PartitionResult, combine_hashes, day_ranges, registered, replace_partition
from returnml.warehouse.tables import ensure_tables

if TYPE_CHECKING:
    import duckdb

TABLE = "scores.daily"
COLUMNS = {
    "day": "DATE",
    "line_id": "VARCHAR",
    "order_id": "VARCHAR",
    "customer_id": "VARCHAR",
    "article_id": "VARCHAR",
    "requested_at": "TIMESTAMP",
    "probability": "FLOAT",
    "expected_cost_cents": "BIGINT",
    "line_value_cents": "BIGINT",
    "currency": "VARCHAR",
    "release": "VARCHAR",
    "feature_set_hash": "VARCHAR",
    "action": "VARCHAR",
    "is_explored": "BOOLEAN",
    "policy_hash": "VARCHAR",
}
THREADS = 2
CHUNK_ROWS = 200_000
"""Above DuckDB's row groups (122,880): smaller inserts go through the write-ahead log and are written twice."""

_LINES = """
CREATE OR REPLACE TEMP TABLE {name} AS
SELECT f.rowid AS position, f.day, f.line_id, f.order_id, l.customer_id, l.article_id, f.requested_at,
       l.line_value_cents, l.currency{carried}
FROM features.order_lines f JOIN core.orders l USING (line_id)
WHERE f.day BETWEEN DATE '{first}' AND DATE '{last}'"""


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


def build_scores(con: duckdb.DuckDBPyConnection, release_dir: Path, first: date, last: date, policy: Policy) -> ScoresReport:
    """Score the lines of the days from ``first`` to ``last`` (inclusive); each day is replaced whole or not at all.

    Args:
        con: the warehouse, with ``features.order_lines`` and ``core.orders``.
        release_dir: a release folder; it is verified against its manifest.
        policy: what turns probabilities into costs and actions.

    Raises:
        ReleaseError: if the release folder is not what its manifest says.
        ScoresError: if lines of these days have features of another feature set, or a feature column is absent.
    """
    release = load_release(release_dir)
    _refuse_unfit(con, release, first, last)
    scorer, decider = OnnxScorer(release.model, THREADS), Decider(policy)
    ensure_tables(con, {TABLE: COLUMNS})
    parts: list[PartitionResult] = []
    cost, mass = 0, 0.0
    for chunk, probability, decided in _scored(
        con, scorer, release, day_ranges(con, "features.order_lines", first, last, CHUNK_ROWS), decider
    ):
        scored = _frame(chunk, probability, decided)
        dropped = "".join(f", policy_{column}" for column in decider.columns)
        with registered(con, "scored_lines", scored):
            rows = (
                f"SELECT * EXCLUDE (position{dropped}), '{release.version}' AS release, "
                f"'{release.manifest.feature_set_hash}' AS feature_set_hash, "
                f"'{policy.hash}' AS policy_hash FROM {chunk.table} JOIN scored_lines USING (position)"
            )
            inputs = f"{release.version} {policy.hash}"
            parts.append(replace_partition(con, TABLE, *chunk.days, rows, day_column="day", inputs_hash=inputs))
        con.execute(f"DROP TABLE {chunk.table}")
        cost += int(decided.expected_cost_cents.sum())
        mass += float(probability.sum(dtype=np.float64))
    rows_written = sum(part.rows for part in parts)
    days = [day for part in parts for day in part.days]
    content_hash = combine_hashes(f"{day.day}:{day.content_hash}" for day in days)
    mean = mass / rows_written if rows_written else 0.0
    return ScoresReport(release.version, first, last, rows_written, mean, cost, content_hash)


@dataclass(frozen=True)
class _Chunk:
    """Lines that were read and are being scored.

    Attributes:
        table: temporary, one row per line, with its ``position`` in ``features.order_lines``.
        position, line_value_cents: int64, shape (n,), in the order of the matrix that is scored.
        lines: the columns that the policy reads, in that order.
    """

    days: tuple[date, date]
    table: str
    position: np.ndarray
    line_value_cents: np.ndarray
    lines: dict[str, list[Any]]


def _scored(
    con: duckdb.DuckDBPyConnection,
    scorer: OnnxScorer,
    release: Release,
    chunks: list[tuple[date, date]],
    decider: Decider,
) -> Iterator[tuple[_Chunk, np.ndarray, Decisions]]:
    """Each chunk with its probabilities and decisions; others are read and written while one is being scored."""

    def finish(chunk: _Chunk, future: Future[np.ndarray]) -> tuple[_Chunk, np.ndarray, Decisions]:
        probability = future.result()
        return chunk, probability, decider.decide(probability, chunk.line_value_cents, chunk.lines)

    with ThreadPoolExecutor(1) as executor:
        running: tuple[_Chunk, Future[np.ndarray]] | None = None
        for i, days in enumerate(chunks):
            chunk, matrix = _read(con, release, days, f"score_lines_{i % 2}", decider.columns)
            following = (chunk, executor.submit(scorer.probability, matrix))
            if running is not None:
                yield finish(*running)
            running = following
        if running is not None:
            yield finish(*running)


def _frame(chunk: _Chunk, probability: np.ndarray, decided: Decisions) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "position": chunk.position,
            "probability": probability,
            "expected_cost_cents": decided.expected_cost_cents,
            "action": pl.Series(ACTIONS).gather(decided.action),
            "is_explored": decided.is_explored,
        }
    )


def _read(
    con: duckdb.DuckDBPyConnection, release: Release, days: tuple[date, date], table: str, wanted: tuple[str, ...]
) -> tuple[_Chunk, np.ndarray]:
    """The lines of these days and their float32 matrix.

    The wide table is only scanned, never joined or sorted; the narrow one is, inside DuckDB, and meets its scores by
    position.
    """
    columns = ", ".join(f'"{name}"' for name in release.manifest.inputs)
    wide = f"SELECT rowid AS position, {columns} FROM features.order_lines WHERE day BETWEEN $first AND $last"
    features = con.sql(wide, params={"first": days[0], "last": days[1]}).pl()
    position = features.drop_in_place("position").to_numpy()
    con.execute(_LINES.format(name=table, first=days[0], last=days[1], carried="".join(f", l.{c} AS policy_{c}" for c in wanted)))
    lines = con.sql(f"SELECT position, line_value_cents{''.join(f', policy_{c}' for c in wanted)} FROM {table}").pl()
    if lines.height != features.height:
        raise ScoresError(
            f"{days[0]} to {days[1]}: {features.height} lines with features, but {lines.height} matches in "
            "core.orders: rebuild these days"
        )
    found = lines["position"].to_numpy()
    order = np.argsort(found)
    lines = lines[order[np.searchsorted(found, position, sorter=order)]]
    read = {column: lines[f"policy_{column}"].to_list() for column in wanted}
    return _Chunk(days, table, position, lines["line_value_cents"].to_numpy(), read), features.to_numpy(order="c")


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
