"""Which rows a task's model may learn from: those whose label is known at a cut-off."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from returnml.features.windows import DAY_US
from returnml.instants import instant_us
from returnml.modeling.data.snapshot import (
    YOUNG_COLUMNS,
    Snapshot,
    SnapshotError,
    row_columns,
    write_snapshot,
)
from returnml.settings import LabelSettings
from returnml.sql import literal
from returnml.tasks.declaration import FACT_COLUMNS, Task

if TYPE_CHECKING:
    import duckdb

    from returnml.warehouse.answers.logged_vectors import LoggedVectors

_PREFIX = "feature."
_LABELS = "task_labels"
YOUNG_ROWS = 50_000
"""At most so many young rows are kept: enough to see where a refit's scores lie."""

_SNAPSHOTS = """
CREATE SCHEMA IF NOT EXISTS training;
CREATE TABLE IF NOT EXISTS training.snapshots (
    hash VARCHAR PRIMARY KEY, task VARCHAR, cut_off TIMESTAMP, rows BIGINT, base_rate DOUBLE,
    feature_set_hash VARCHAR, path VARCHAR
);
ALTER TABLE training.snapshots ADD COLUMN IF NOT EXISTS task VARCHAR
"""


class NothingMature(SnapshotError):
    """No label is known at the cut-off yet."""


def build_snapshot(
    con: duckdb.DuckDBPyConnection,
    task: Task,
    cut_off: datetime,
    training_root: Path,
    shop_label: LabelSettings,
    logged: LoggedVectors | None = None,
) -> Snapshot:
    """Freeze the task's mature rows up to a cut-off; the same content gives the same hash and writes nothing.

    Args:
        con: the warehouse, with the task's spine and what its queries read.
        cut_off: naive UTC; a label that matured or was known later does not exist yet.
        training_root: the folder of all snapshots.
        shop_label: the shop's rule, from which the task's follows; recorded, and checked against the labels' maturity.
        logged: of the same cut-off; rows that have one get the vector that they were scored with. Default: every vector
            is the recomputed one.

    Raises:
        NothingMature: if no label is known yet, or nobody told which lines came back.
        SnapshotError: if a mature row has no features or no facts, features are of another feature set, or labels were
            derived by another rule.
    """
    label = task.label_rule(shop_label)
    con.execute(f"CREATE OR REPLACE TEMP TABLE {_LABELS} AS {labels_query(task, cut_off, shop_label)}")
    mature = _refuse_unfit(con, task, cut_off, label)
    _refuse_untold(con, task, cut_off)
    # Prefixed, as a feature may be named like a column of the row.
    features = ", ".join(f'f."{name}" AS "{_PREFIX}{name}"' for name in task.feature_set.outputs)
    facts = ", ".join([*(f"a.{name}" for name in FACT_COLUMNS), *(f"a.{p.name}::VARCHAR AS {p.name}" for p in task.protected)])
    keys = ", ".join(task.spine.keys)
    frame = con.sql(
        f"""
        SELECT {task.spine.row_id} AS row_id, l.anchor_at, f.requested_at, l.label::TINYINT AS label, l.label_known_at,
               a.{task.value} AS value_cents, {facts}, {features}
        FROM {_LABELS} l JOIN {task.spine.table} f USING ({keys}) JOIN ({task.facts}) a USING ({keys})
        ORDER BY l.anchor_at, row_id"""
    ).pl()
    young = _young(con, task, cut_off, features)
    con.execute(f"DROP TABLE {_LABELS}")
    if frame.height != mature:
        raise SnapshotError(f"training snapshot of {task.name}: {mature} mature rows, but {frame.height} with facts about them")
    vectors = frame.select(pl.col(f"{_PREFIX}{name}").alias(name) for name in task.feature_set.outputs)
    taken = 0
    if logged is not None and logged.line_ids:
        vectors, taken = _replaced(vectors, frame["row_id"], logged)
    snapshot = write_snapshot(
        frame.select(list(row_columns(task))), vectors, young, task, instant_us(cut_off), label, training_root, logged=taken
    )
    con.execute(_SNAPSHOTS)
    con.execute(
        "INSERT OR IGNORE INTO training.snapshots (hash, task, cut_off, rows, base_rate, feature_set_hash, path) "
        "VALUES (?, ?, ?, ?, ?, ?, ?)",
        [snapshot.hash, task.name, cut_off, snapshot.rows, snapshot.base_rate, task.feature_set.hash, snapshot.path.name],
    )
    return snapshot


def _young(con: duckdb.DuckDBPyConnection, task: Task, cut_off: datetime, features: str) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Rows anchored after the last mature one whose moment is before the cut-off, with their features: all, or evenly spread."""
    facts = ", ".join(f"a.{name}" for name in FACT_COLUMNS)
    keys = ", ".join(task.spine.keys)
    frame = con.sql(
        f"""
        WITH young AS (
            SELECT {task.spine.row_id} AS row_id, {keys}, a.anchor_at, f.requested_at, a.{task.value} AS value_cents, {facts},
                   row_number() OVER (ORDER BY a.anchor_at, row_id) - 1 AS number, count(*) OVER () AS rows
            FROM {task.spine.table} f JOIN ({task.facts}) a USING ({keys})
            WHERE a.anchor_at > (SELECT max(anchor_at) FROM {_LABELS}) AND a.anchor_at < $cut_off AND f.requested_at < $cut_off
              AND f.feature_set_hash = $hash
        )
        SELECT a.row_id, a.anchor_at, a.requested_at, a.value_cents, {facts}, {features}
        FROM young a JOIN {task.spine.table} f USING ({keys})
        WHERE a.number % (1 + (a.rows - 1) // {YOUNG_ROWS}) = 0
        ORDER BY a.anchor_at, a.row_id""",
        params={"cut_off": cut_off, "hash": task.feature_set.hash},
    ).pl()
    vectors = frame.select(pl.col(f"{_PREFIX}{name}").alias(name) for name in task.feature_set.outputs)
    return frame.select(list(YOUNG_COLUMNS)), vectors


def labels_query(task: Task, cut_off: datetime, shop_label: LabelSettings) -> str:
    """The task's labels that are known at a cut-off."""
    at = literal(cut_off)
    sampling = task.spine.sampling
    return task.labels.format(
        cut_off=at,
        window_days=shop_label.window_days,
        grace_days=shop_label.grace_days,
        sampled="true" if sampling is None else sampling.condition(at),
    )


def _replaced(vectors: pl.DataFrame, row_ids: pl.Series, logged: LoggedVectors) -> tuple[pl.DataFrame, int]:
    """The vectors with the logged ones in their rows' places, and how many these are."""
    place = {row: i for i, row in enumerate(row_ids)}
    rows = np.array([place.get(line, -1) for line in logged.line_ids], np.intp)
    matrix = vectors.select(pl.all().cast(pl.Float32).fill_null(float("nan"))).to_numpy(writable=True)
    matrix[rows[rows >= 0]] = np.concatenate(logged.matrices)[rows >= 0]
    return pl.DataFrame(matrix, schema=vectors.columns, orient="row"), int((rows >= 0).sum())


def _refuse_untold(con: duckdb.DuckDBPyConnection, task: Task, cut_off: datetime) -> None:
    """Without any return and any flag, lines without a return are unknown, not kept."""
    if "outcomes" not in task.labels_from:
        return
    [(returns, flags)] = con.execute(
        """
        SELECT (SELECT count(*) FROM core.returns WHERE known_at <= $cut_off),
            (SELECT count(*) FROM core.orders WHERE is_returned IS NOT NULL)
        """,
        {"cut_off": cut_off},
    ).fetchall()
    if not returns and not flags:
        raise NothingMature(
            f"training snapshot of {task.name}: no return was delivered up to the cut-off {cut_off} and no line has a flag: "
            "what came back is unknown, not nothing; import returns, send them as events, or map is_returned"
        )


def _refuse_unfit(con: duckdb.DuckDBPyConnection, task: Task, cut_off: datetime, label: LabelSettings) -> int:
    """How many labels are known; refuses those that nothing can be learnt from."""
    spine, feature_set = task.spine, task.feature_set
    mature, without, first_day, foreign, foreign_day, other_rule = con.execute(
        f"""
        SELECT count(*), count(*) FILTER (f.feature_set_hash IS NULL), min(l.anchor_at::DATE) FILTER (f.feature_set_hash IS NULL),
               count(*) FILTER (f.feature_set_hash <> $hash), min(f.day) FILTER (f.feature_set_hash <> $hash),
               count(*) FILTER (CASE epoch_us(l.matures_at) - epoch_us(l.anchor_at)
                   WHEN $maturity_us THEN false WHEN $window_us THEN NOT l.is_flag ELSE true END)
        FROM {_LABELS} l LEFT JOIN {spine.table} f USING ({", ".join(spine.keys)})""",
        {
            "hash": feature_set.hash,
            "maturity_us": (label.window_days + label.grace_days) * DAY_US,
            "window_us": label.window_days * DAY_US,
        },
    ).fetchall()[0]
    named, rows = f"training snapshot of {task.name}", task.words.rows
    if not mature:
        raise NothingMature(f"{named}: none of the {rows} is mature up to the cut-off {cut_off}")
    if without:
        raise SnapshotError(
            f"{named}: {without} of {mature} mature {rows} have no features (first {task.words.anchored} on {first_day}): "
            f"build {spine.table} for those days first"
        )
    if foreign:
        raise SnapshotError(
            f"{named}: {foreign} {rows} from {foreign_day} on have features of another feature set than "
            f"{feature_set.name} {feature_set.hash[:12]}: rebuild those days"
        )
    if other_rule:
        raise SnapshotError(
            f"{named}: {other_rule} of {mature} labels were not derived with a label window of {label.window_days} "
            f"and a grace of {label.grace_days} days"
        )
    return int(mature)
