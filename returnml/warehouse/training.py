"""Which lines a model may learn from: mature ones with a known outcome, up to a cut-off."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from returnml.features.declarations import FeatureSet
from returnml.features.windows import DAY_US
from returnml.modeling.snapshot import LINE_COLUMNS, Snapshot, SnapshotError, write_snapshot
from returnml.policy.document import SEGMENT_COLUMNS
from returnml.settings import LabelSettings

if TYPE_CHECKING:
    import duckdb

    from returnml.warehouse.logged_vectors import LoggedVectors

_PREFIX = "feature."
_EPOCH = datetime(1970, 1, 1)

_SNAPSHOTS = """
CREATE TABLE IF NOT EXISTS training.snapshots (
    hash VARCHAR PRIMARY KEY, cut_off TIMESTAMP, rows BIGINT, base_rate DOUBLE, feature_set_hash VARCHAR, path VARCHAR
)"""

MATURE = "o.mature_at <= $cut_off AND o.known_at <= $cut_off"
"""Of an outcome ``o``: whether its label is known at a cut-off."""

_FIRST_RETURN = """
SELECT r.line_id, min(r.known_at) AS return_known_at FROM core.returns r JOIN core.outcomes o USING (line_id)
WHERE o.returned = 1 AND r.known_at <= o.mature_at AND r.returned_at <= o.ordered_at + to_days($window_days)
  AND NOT coalesce(r.is_cancellation, false)
GROUP BY r.line_id"""


def build_snapshot(
    con: duckdb.DuckDBPyConnection,
    feature_set: FeatureSet,
    cut_off: datetime,
    training_root: Path,
    label: LabelSettings,
    logged: LoggedVectors | None = None,
) -> Snapshot:
    """Freeze the mature lines up to a cut-off; the same content gives the same hash and writes nothing.

    Lines of whole-order cancellations have no outcome and so are not in it.

    Args:
        con: the warehouse, with ``core.outcomes``, ``core.orders``, ``core.returns`` and ``features.order_lines``.
        feature_set: what the features must have been computed from.
        cut_off: naive UTC; an outcome that matured or was known later does not exist yet.
        training_root: the folder of all snapshots.
        label: the rule that the outcomes were derived by; recorded, and checked against their maturity.
        logged: of the same cut-off; lines that have one get the vector that they were scored with. Default: every vector
            is the recomputed one.

    Raises:
        SnapshotError: if there is no mature line, a mature line has no features, features are of another feature
            set, or the outcomes were derived by another label rule.
    """
    scope = {"cut_off": cut_off}
    _refuse_unfit(con, feature_set, scope, label)
    # Prefixed, as a feature may be named like a column of the line.
    features = ", ".join(f'f."{name}" AS "{_PREFIX}{name}"' for name in feature_set.outputs)
    segments = ", ".join(f"l.{name}" for name in SEGMENT_COLUMNS)
    frame = con.sql(
        f"""
        SELECT f.line_id, f.order_id, l.customer_id, l.article_id, o.ordered_at, f.requested_at,
               o.returned::TINYINT AS returned, r.return_known_at, l.line_value_cents, l.currency, {segments}, {features}
        FROM core.outcomes o JOIN features.order_lines f USING (line_id) JOIN core.orders l USING (line_id)
        LEFT JOIN ({_FIRST_RETURN}) r USING (line_id)
        WHERE {MATURE}
        ORDER BY o.ordered_at, f.line_id""",
        params={**scope, "window_days": label.window_days},
    ).pl()
    cut_off_us = (cut_off - _EPOCH) // (datetime.resolution)
    vectors = frame.select(pl.col(f"{_PREFIX}{name}").alias(name) for name in feature_set.outputs)
    taken = 0
    if logged is not None and logged.line_ids:
        vectors, taken = _replaced(vectors, frame["line_id"], logged)
    lines = frame.select(list(LINE_COLUMNS))
    snapshot = write_snapshot(lines, vectors, feature_set, cut_off_us, label, training_root, logged=taken)
    con.execute("CREATE SCHEMA IF NOT EXISTS training")
    con.execute(_SNAPSHOTS)
    con.execute(
        "INSERT OR IGNORE INTO training.snapshots VALUES (?, ?, ?, ?, ?, ?)",
        [snapshot.hash, cut_off, snapshot.rows, snapshot.base_rate, feature_set.hash, snapshot.path.name],
    )
    return snapshot


def _replaced(vectors: pl.DataFrame, line_ids: pl.Series, logged: LoggedVectors) -> tuple[pl.DataFrame, int]:
    """The vectors with the logged ones in their lines' places, and how many these are."""
    place = {line: i for i, line in enumerate(line_ids)}
    rows = np.array([place.get(line, -1) for line in logged.line_ids], np.intp)
    matrix = vectors.select(pl.all().cast(pl.Float32).fill_null(float("nan"))).to_numpy(writable=True)
    matrix[rows[rows >= 0]] = np.concatenate(logged.matrices)[rows >= 0]
    return pl.DataFrame(matrix, schema=vectors.columns, orient="row"), int((rows >= 0).sum())


def _refuse_unfit(con: duckdb.DuckDBPyConnection, feature_set: FeatureSet, scope: dict, label: LabelSettings) -> None:
    mature, without, first_day, foreign, foreign_day, other_rule = con.execute(
        f"""
        SELECT count(*), count(*) FILTER (f.line_id IS NULL), min(o.ordered_at::DATE) FILTER (f.line_id IS NULL),
               count(*) FILTER (f.feature_set_hash <> $hash), min(f.day) FILTER (f.feature_set_hash <> $hash),
               count(*) FILTER (CASE epoch_us(o.mature_at) - epoch_us(o.ordered_at)
                   WHEN $maturity_us THEN false WHEN $window_us THEN l.is_returned IS NULL ELSE true END)
        FROM core.outcomes o JOIN core.orders l USING (line_id) LEFT JOIN features.order_lines f USING (line_id)
        WHERE {MATURE}""",
        {
            **scope,
            "hash": feature_set.hash,
            "maturity_us": (label.window_days + label.grace_days) * DAY_US,
            "window_us": label.window_days * DAY_US,  # of lines that only have a flag
        },
    ).fetchall()[0]
    if not mature:
        raise SnapshotError(f"training snapshot: no mature line up to the cut-off {scope['cut_off']}")
    if without:
        raise SnapshotError(
            f"training snapshot: {without} of {mature} mature lines have no features (first ordered on {first_day}): "
            "build features.order_lines for those days first"
        )
    if foreign:
        raise SnapshotError(
            f"training snapshot: {foreign} lines from {foreign_day} on have features of another feature set than "
            f"{feature_set.name} {feature_set.hash[:12]}: rebuild those days"
        )
    if other_rule:
        raise SnapshotError(
            f"training snapshot: {other_rule} of {mature} outcomes were not derived with a label window of {label.window_days} "
            f"and a grace of {label.grace_days} days"
        )
