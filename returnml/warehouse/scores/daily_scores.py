"""A task's scores: every row of a day with its probability, expected cost, action and the release that said so."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import polars as pl

from returnml.errors import Refusal
from returnml.modeling.export.onnx_scoring import OnnxScorer
from returnml.policy.decisions import Decider, Decisions
from returnml.policy.document import ACTIONS, Policy
from returnml.release.folder import Release, load_release
from returnml.sql import literal, quoted
from returnml.tasks.declaration import Task
from returnml.warehouse.partition import PartitionResult, combine_hashes, day_ranges, registered, replace_partition
from returnml.warehouse.tables import column_types, ensure_tables

if TYPE_CHECKING:
    import duckdb

THREADS = 2
CHUNK_ROWS = 200_000
"""Above DuckDB's row groups (122,880): smaller inserts go through the write-ahead log and are written twice."""

_ROWS = """
CREATE OR REPLACE TEMP TABLE {name} AS
SELECT f.rowid AS position, f.day, {carried}, f.requested_at, a.{value}, a.currency, {in_training} AS in_training{read}
FROM {table} f JOIN ({facts}) a USING ({keys})
WHERE f.day BETWEEN {first} AND {last}"""


class ScoresError(Refusal):
    """Rows that cannot be scored by this release; the message names the day and the rule."""


@dataclass(frozen=True)
class ScoresReport:
    """What was scored.

    Attributes:
        in_training: rows whose outcome the release may have learnt.
        expected_cost_cents: sum over all rows.
        content_hash: over the days' content hashes.
    """

    release: str
    first: date
    last: date
    rows: int
    in_training: int
    mean_probability: float
    expected_cost_cents: int
    content_hash: str


def build_scores(
    con: duckdb.DuckDBPyConnection, task: Task, release_dir: Path, first: date, last: date, policy: Policy
) -> ScoresReport:
    """Score the task's rows of the days from ``first`` to ``last`` (inclusive); each day is replaced whole or not at all.

    Args:
        con: the warehouse, with the task's spine and what its ``facts`` read.
        release_dir: a release folder; it is verified against its manifest.
        policy: what turns probabilities into costs and actions.

    Raises:
        ReleaseError: if the release folder is not what its manifest says.
        ScoresError: if the release is of another task, rows of these days have features of another feature set, or a feature
            column is absent.
    """
    release = load_release(release_dir)
    _refuse_unfit(con, task, release, first, last)
    scorer, decider = OnnxScorer(release.model, THREADS), Decider(policy)
    ensure_tables(con, {task.score_table: task.score_table_columns()})
    parts: list[PartitionResult] = []
    in_training, cost, mass = 0, 0, 0.0
    for chunk, probability, decided in _scored(
        con, task, scorer, release, day_ranges(con, task.spine.table, first, last, CHUNK_ROWS), decider
    ):
        scored = _frame(chunk, probability, decided)
        dropped = "".join(f", policy_{column}" for column in decider.columns)
        with registered(con, "scored_rows", scored):
            rows = (
                f"SELECT * EXCLUDE (position{dropped}), {literal(release.version)} AS release, "
                f"{literal(release.manifest.feature_set_hash)} AS feature_set_hash, "
                f"{literal(policy.hash)} AS policy_hash FROM {chunk.table} JOIN scored_rows USING (position)"
            )
            inputs = f"{release.version} {policy.hash}"
            (learnt,) = con.execute(f"SELECT count(*) FILTER (in_training) FROM {chunk.table}").fetchall()[0]
            parts.append(replace_partition(con, task.score_table, *chunk.days, rows, day_column="day", inputs_hash=inputs))
        con.execute(f"DROP TABLE {chunk.table}")
        in_training += learnt
        cost += int(decided.expected_cost_cents.sum())
        mass += float(probability.sum(dtype=np.float64))
    rows_written = sum(part.rows for part in parts)
    days = [day for part in parts for day in part.days]
    content_hash = combine_hashes(f"{day.day}:{day.content_hash}" for day in days)
    mean = mass / rows_written if rows_written else 0.0
    return ScoresReport(release.version, first, last, rows_written, in_training, mean, cost, content_hash)


@dataclass(frozen=True)
class _Chunk:
    """Rows that were read and are being scored.

    Attributes:
        table: temporary, with each row's ``position`` in the spine's table.
        position, value_cents: int64, shape (n,), in the order of the matrix that is scored.
        facts: the columns that the policy reads, in that order.
    """

    days: tuple[date, date]
    table: str
    position: np.ndarray
    value_cents: np.ndarray
    facts: dict[str, list[Any]]


def _scored(
    con: duckdb.DuckDBPyConnection,
    task: Task,
    scorer: OnnxScorer,
    release: Release,
    chunks: list[tuple[date, date]],
    decider: Decider,
) -> Iterator[tuple[_Chunk, np.ndarray, Decisions]]:
    """Each chunk with its probabilities and decisions; others are read and written while one is being scored."""

    def finish(chunk: _Chunk, future: Future[np.ndarray]) -> tuple[_Chunk, np.ndarray, Decisions]:
        probability = future.result()
        return chunk, probability, decider.decide(probability, chunk.value_cents, chunk.facts)

    with ThreadPoolExecutor(1) as executor:
        running: tuple[_Chunk, Future[np.ndarray]] | None = None
        for i, days in enumerate(chunks):
            chunk, matrix = _read(con, task, release, days, f"score_rows_{i % 2}", decider.columns)
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
    con: duckdb.DuckDBPyConnection, task: Task, release: Release, days: tuple[date, date], table: str, wanted: tuple[str, ...]
) -> tuple[_Chunk, np.ndarray]:
    """The rows of these days and their float32 matrix.

    The wide table is only scanned, never joined or sorted; the narrow one is, inside DuckDB, and meets its scores by
    position.
    """
    columns = quoted(release.manifest.inputs)
    wide = f"SELECT rowid AS position, {columns} FROM {task.spine.table} WHERE day BETWEEN $first AND $last"
    features = con.sql(wide, params={"first": days[0], "last": days[1]}).pl()
    position = features.drop_in_place("position").to_numpy()
    con.execute(
        _ROWS.format(
            name=table,
            carried=", ".join(f"f.{c}" if c in task.spine.keys else f"a.{c}" for c in task.score_columns),
            value=task.value,
            in_training=_in_training(release),
            read="".join(f", a.{c} AS policy_{c}" for c in wanted),
            table=task.spine.table,
            facts=task.facts,
            keys=", ".join(task.spine.keys),
            first=literal(days[0]),
            last=literal(days[1]),
        )
    )
    rows = con.sql(f"SELECT position, {task.value} AS value_cents{''.join(f', policy_{c}' for c in wanted)} FROM {table}").pl()
    if rows.height != features.height:
        raise ScoresError(
            f"{days[0]} to {days[1]}: {features.height} {task.words.rows} with features, but {rows.height} with facts "
            "about them: rebuild these days"
        )
    found = rows["position"].to_numpy()
    order = np.argsort(found)
    rows = rows[order[np.searchsorted(found, position, sorter=order)]]
    read = {column: rows[f"policy_{column}"].to_list() for column in wanted}
    return _Chunk(days, table, position, rows["value_cents"].to_numpy(), read), features.to_numpy(order="c")


def _in_training(release: Release) -> str:
    """SQL: whether the release may have learnt a row's outcome; null where it does not say what it was trained on."""
    trained_on = release.manifest.trained_on
    if isinstance(trained_on, msgspec.UnsetType):
        return "NULL::BOOLEAN"
    return f"a.anchor_at <= make_timestamp({trained_on.until_us})"


def _refuse_unfit(con: duckdb.DuckDBPyConnection, task: Task, release: Release, first: date, last: date) -> None:
    table = task.spine.table
    if release.manifest.task != task.name:
        raise ScoresError(f"release {release.version} answers {release.manifest.task}, not {task.name}")
    present = column_types(con, table)
    absent = [name for name in release.manifest.inputs if name not in present]
    if absent:
        raise ScoresError(f"release {release.version}: {table} has no column {absent[0]!r}")
    expected = release.manifest.feature_set_hash
    foreign = con.execute(
        f"SELECT min(day), count(*) FROM {table} WHERE day BETWEEN ? AND ? AND feature_set_hash <> ?",
        [first, last, expected],
    ).fetchall()[0]
    if foreign[1]:
        raise ScoresError(
            f"release {release.version} was made for feature set {expected[:12]}; {foreign[1]} {task.words.rows} from "
            f"{foreign[0]} on have features of another: rebuild {table} for those days"
        )
