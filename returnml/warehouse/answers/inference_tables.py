"""``serving.inference_log`` and ``serving.moments``: what was answered, and which answer decided about which order line.

The log's partitions are UTC days of ``requested_at``; a day is replaced whole from the workers' logs, so that reading
them again, or later, changes nothing but adds what was logged since. The moments' partitions are the days on which the
order lines became known.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import islice
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from returnml.attributes import Attributes
from returnml.features.feature_set import FeatureSet
from returnml.ledger.answer_records import (
    Answer,
    is_pruned,
    read_day,
)
from returnml.tasks.spines import ORDER_REQUEST
from returnml.warehouse.partition import PartitionResult, replace_partition
from returnml.warehouse.tables import arrow_schema, ensure_tables

LOG = "serving.inference_log"
MOMENTS = "serving.moments"
LINK_DAYS = 7
"""An answer older than this at the order is not the one that the order was placed on."""

BATCH_ANSWERS = 5_000

INPUTS = {**dict.fromkeys(ORDER_REQUEST.texts, "VARCHAR"), **dict.fromkeys(ORDER_REQUEST.integers, "BIGINT")}
"""The request's columns that features are made of."""

LOG_COLUMNS = {
    "day": "DATE",
    "request_id": "VARCHAR",
    "line_number": "INTEGER",
    "order_id": "VARCHAR",
    "line_id": "VARCHAR",
    "requested_at": "TIMESTAMP",
    "mark": "BIGINT",
    "generation": "VARCHAR",
    "visible_until": "TIMESTAMP",
    "derived_until": "TIMESTAMP",
    "feature_set_hash": "VARCHAR",
    "release": "VARCHAR",
    "role": "VARCHAR",
    "worker": "VARCHAR",
    "latency_us": "BIGINT",
    "probability": "FLOAT",
    "expected_cost_cents": "BIGINT",
    "action": "VARCHAR",
    "is_explored": "BOOLEAN",
    "policy_hash": "VARCHAR",
    "is_stale": "BOOLEAN",
    "currency": "VARCHAR",
    **INPUTS,
    "raw": "BLOB",
    "vector": "BLOB",
}
MOMENT_COLUMNS = {
    "known_day": "DATE",
    "line_id": "VARCHAR",
    "order_id": "VARCHAR",
    "request_id": "VARCHAR",
    "requested_at": "TIMESTAMP",
    "visible_until": "TIMESTAMP",
    "derived_until": "TIMESTAMP",
}
TABLES = {LOG: LOG_COLUMNS, MOMENTS: MOMENT_COLUMNS}


def attribute_inputs(attributes: Attributes) -> dict[str, str]:
    """The columns that the log has besides in a shop with attributes: those of them that features are made of."""
    return {a.name: "VARCHAR" if a.is_text else "BIGINT" for a in attributes if a.is_used}


def input_columns(feature_set: FeatureSet) -> tuple[str, ...]:
    """The columns of the log that have what a feature set reads of a request."""
    read = [r.column for r in feature_set.request] + [key for group in feature_set.groups for key in group.keys]
    return tuple(dict.fromkeys((*INPUTS, *(name for name in read if name is not None))))


@dataclass(frozen=True)
class InferenceReport:
    """What a range of days holds.

    Attributes:
        rows: answered lines.
        repeated: log rows of a request and line that the log already had.
    """

    rows: int
    requests: int
    repeated: int
    content_hash: str


@dataclass(frozen=True)
class MomentsReport:
    """How many of the order lines that became known are linked to an answer."""

    lines: int
    linked: int
    content_hash: str


def build_inference_log(
    con: duckdb.DuckDBPyConnection, root: Path, first: date, last: date, attributes: Attributes = ()
) -> InferenceReport:
    """Replace the days ``first`` to ``last`` (inclusive) by what the workers logged, in one transaction.

    Days that were removed from the log (``log_retention``) stay as they are.

    Args:
        con: the warehouse.
        root: the folder of all workers' logs.
        attributes: the shop's own fields of a request.

    Raises:
        LogError: for a damaged log; nothing is written then.
    """
    inputs = INPUTS | attribute_inputs(attributes)
    columns = LOG_COLUMNS | inputs
    schema = arrow_schema(columns)
    ensure_tables(con, {**TABLES, LOG: columns})
    con.execute(f"CREATE OR REPLACE TEMP TABLE logged AS SELECT *, 0::BIGINT AS position FROM {LOG} WHERE false")
    read = 0
    all_days = [first + timedelta(n) for n in range((last - first).days + 1)]
    kept = [day for day in all_days if is_pruned(root, day)]
    for day in (d for d in all_days if d not in kept):
        answers = read_day(root, day)
        while batch := list(islice(answers, BATCH_ANSWERS)):
            rows = pa.Table.from_pylist([row for answer in batch for row in _rows(answer, inputs)], schema)
            rows = rows.append_column("position", pa.array(range(read, read + rows.num_rows), pa.int64()))
            read += rows.num_rows
            con.register("logged_batch", rows)
            con.execute("INSERT INTO logged BY NAME SELECT * FROM logged_batch")
            con.unregister("logged_batch")
    once = (
        "SELECT * EXCLUDE (position) FROM logged "
        "QUALIFY row_number() OVER (PARTITION BY request_id, line_id ORDER BY position) = 1"
    )
    result = replace_partition(con, LOG, first, last, once, day_column="day", keep_days=kept)
    requests = _scalar(con, "SELECT count(DISTINCT request_id) FROM logged")
    con.execute("DROP TABLE logged")
    return InferenceReport(result.rows, requests, read - result.rows, result.content_hash)


def build_moments(con: duckdb.DuckDBPyConnection, first: date, last: date) -> MomentsReport:
    """Link the order lines that became known on the days ``first`` to ``last`` to the last answer before.

    An answer is linked to a line if it is about that line of that order and did not see it, at most ``LINK_DAYS`` before
    the line became known: ``requested_at`` may be the very instant, which is not visible itself. Of several the last counts.
    """
    ensure_tables(con, TABLES)
    linked = f"""
        SELECT o.known_day, o.line_id, o.order_id, a.request_id, a.requested_at, a.visible_until, a.derived_until
        FROM core.orders o JOIN {LOG} a ON a.line_id = o.line_id AND a.order_id = o.order_id AND a.requested_at <= o.known_at
        WHERE o.known_day BETWEEN $first AND $last
          AND a.day BETWEEN $first::DATE - {LINK_DAYS} AND $last::DATE
          AND a.requested_at >= o.known_at - INTERVAL {LINK_DAYS} DAY
        QUALIFY row_number() OVER (PARTITION BY o.line_id ORDER BY a.requested_at DESC, a.request_id) = 1"""
    result: PartitionResult = replace_partition(con, MOMENTS, first, last, linked, params={"first": first, "last": last})
    lines = _scalar(con, "SELECT count(*) FROM core.orders WHERE known_day BETWEEN ? AND ?", [first, last])
    return MomentsReport(lines, result.rows, result.content_hash)


def _rows(answer: Answer, inputs: Iterable[str]) -> list[dict[str, Any]]:
    """One row for each line of an answer; ``raw`` are its own words, ``vector`` its own float32s."""
    shared = {
        "day": answer.day,
        "request_id": answer.request_id,
        "order_id": answer.order_id,
        "requested_at": answer.requested_at_us,
        "mark": answer.mark,
        "generation": answer.generation,
        "visible_until": answer.visible_until_us,
        "derived_until": answer.derived_until_us,
        "feature_set_hash": answer.feature_set_hash,
        "release": answer.release,
        "role": answer.role,
        "worker": answer.worker,
        "latency_us": answer.latency_us,
        "currency": answer.currency,
        "policy_hash": answer.policy.hash,
        "is_stale": answer.is_stale,
    }
    width = len(answer.vectors) // answer.lines
    words = memoryview(answer.raw).cast("q")
    absent: list[Any] = [None] * answer.lines  # a column that the service did not know then
    found = []
    for i in range(answer.lines):
        row = shared | {name: answer.inputs.get(name, absent)[i] for name in (*inputs, "line_id")}
        row["line_number"] = i
        row["probability"] = answer.probability[i]
        row["expected_cost_cents"] = answer.expected_cost_cents[i]
        row["action"] = answer.action[i]
        row["is_explored"] = answer.is_explored[i]
        row["raw"] = words[i :: answer.lines].tobytes()
        row["vector"] = answer.vectors[i * width : (i + 1) * width]
        found.append(row)
    return found


def _scalar(con: duckdb.DuckDBPyConnection, query: str, params: list[Any] | None = None) -> int:
    return int(con.execute(query, params).fetchall()[0][0])
