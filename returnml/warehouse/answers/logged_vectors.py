"""The vectors that mature lines were scored with, from the inference log, compared with the recomputed ones.

A line may be ordered otherwise than it was scored: another quantity, or beside other lines. Its recomputed vector is of
what was ordered, its logged one of what was scored; both are right. Such a *changed* line is compared only in the
features that nothing of the change reaches, and its logged vector is not for training: the label is about what was
ordered.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa

from returnml.features.feature_set import FeatureSet
from returnml.modeling.data.snapshot import SnapshotError
from returnml.monitoring.consistency import Agreement
from returnml.sql import quote
from returnml.warehouse.answers.inference_tables import (
    LOG,
    MOMENTS,
    TABLES,
)
from returnml.warehouse.features.order_line_vectors import TABLE
from returnml.warehouse.tables import column_types, ensure_tables

BATCH_ROWS = 50_000
MATURE = "o.mature_at <= $cut_off AND o.known_at <= $cut_off"
"""Of an outcome ``o``: whether its label is known at a cut-off."""
_BASKET = "basket"


@dataclass
class LoggedVectors:
    """The mature lines of a cut-off that are linked to an answer.

    Attributes:
        lines: mature lines, linked or not.
        linked: those linked to an answer.
        foreign: linked to an answer of another feature set, which nothing is compared with.
        moved: whose features are of another moment than the link says: ``features.order_lines`` is older than it.
        changed: ordered otherwise than scored.
        agreement: logged and recomputed vectors of the others and, in what the change does not reach, of the changed.
        line_ids, matrices: the lines that were scored as ordered, and their logged vectors: float32, in parts.
    """

    agreement: Agreement
    lines: int = 0
    linked: int = 0
    foreign: int = 0
    moved: int = 0
    changed: int = 0
    line_ids: list[str] = field(default_factory=list)
    matrices: list[np.ndarray] = field(default_factory=list)

    @property
    def is_equal(self) -> bool:
        """Whether every vector that can be compared has the recomputed bits, and none is of another moment."""
        return not self.moved and self.agreement.identical_rows == self.agreement.rows

    @property
    def unlinked_share(self) -> float:
        return 1 - self.linked / self.lines if self.lines else 1.0


def read_logged_vectors(con: duckdb.DuckDBPyConnection, feature_set: FeatureSet, cut_off: datetime) -> LoggedVectors:
    """Read and compare the logged vectors of the lines that are mature at a cut-off.

    Raises:
        SnapshotError: where ``features.order_lines`` lacks a feature, or a logged vector has another length.
    """
    ensure_tables(con, TABLES)
    found = LoggedVectors(Agreement.of(feature_set.outputs))
    params = {"cut_off": cut_off, "hash": feature_set.hash}
    found.lines, found.linked, found.foreign = con.execute(
        f"""
        SELECT count(*), count(a.line_id), count(a.line_id) FILTER (a.feature_set_hash <> $hash)
        FROM core.outcomes o LEFT JOIN {MOMENTS} m USING (line_id)
        LEFT JOIN {LOG} a ON a.request_id = m.request_id AND a.line_id = m.line_id WHERE {MATURE}""",
        params,
    ).fetchall()[0]
    if found.linked == found.foreign:
        return found
    present = column_types(con, TABLE)
    absent = [name for name in feature_set.outputs if name not in present]
    if absent:
        raise SnapshotError(f"{TABLE}: no column {absent[0]!r}: build it with {feature_set.name} {feature_set.hash[:12]} first")
    reader: Any = con.sql(_query(feature_set), params=params).to_arrow_reader(BATCH_ROWS)
    for batch in reader:
        _compare(found, feature_set, batch)
    return found


def _compare(found: LoggedVectors, feature_set: FeatureSet, batch: pa.RecordBatch) -> None:
    ids = batch.column("line_id").to_pylist()
    vectors = batch.column("vector").to_pylist()
    width = len(feature_set.outputs)
    for line, vector in zip(ids, vectors, strict=True):
        if len(vector) != 4 * width:
            raise SnapshotError(f"{LOG}, line {line}: a vector of {len(vector)} bytes, {4 * width} are declared")
    logged = np.frombuffer(b"".join(vectors), "<f4").reshape(-1, width)
    recomputed = np.column_stack([_floats(batch, f"f_{i}") for i in range(width)])
    is_there = ~_flags(batch, "moved")
    found.moved += int((~is_there).sum())
    same = partial(_flags, batch)
    comparable = np.column_stack([_all(map(same, sources), len(ids)) for sources in sources_of(feature_set)])
    is_unchanged = is_there & comparable.all(axis=1)
    found.changed += int((is_there & ~is_unchanged).sum())
    names = [line for line, is_taken in zip(ids, is_there, strict=True) if is_taken]
    found.agreement.compare(names, logged[is_there], recomputed[is_there], comparable[is_there])
    found.line_ids += [line for line, is_taken in zip(ids, is_unchanged, strict=True) if is_taken]
    found.matrices.append(logged[is_unchanged])


def sources_of(feature_set: FeatureSet) -> list[tuple[str, ...]]:
    """For each output what of the request it is made from: columns of the line and ``basket``.

    An aggregate's are its key columns: the events behind it are the same for whoever asks.
    """
    found: dict[str, set[str]] = {r.name: {r.column} if r.column else set() for r in feature_set.request}
    found |= {b.name: {_BASKET, *b.by} for b in feature_set.basket}
    found |= {a.name: set(a.group.keys) for a in feature_set.aggregates}
    found |= {d.name: set().union(*(found[name] for name in d.inputs)) for d in feature_set.derived}
    return [tuple(sorted(found[name])) for name in feature_set.outputs]


def _query(feature_set: FeatureSet) -> str:
    """One row for each linked mature line: its id, logged vector, features, and what of the request is as ordered."""
    columns = sorted({column for sources in sources_of(feature_set) for column in sources} - {_BASKET})
    in_basket = sorted({c for b in feature_set.basket for c in (*b.by, b.column) if c is not None})
    features = ", ".join(f"f.{quote(name)} AS f_{i}" for i, name in enumerate(feature_set.outputs))
    flags = "".join(f", a.{quote(c)} IS NOT DISTINCT FROM o.{quote(c)} AS {quote(c)}" for c in columns)
    scored, ordered = (f"list_sort(list(struct_pack({_packed(alias, in_basket)})))" for alias in "ao")
    return f"""
        WITH linked AS (
            SELECT m.* FROM {MOMENTS} m JOIN core.outcomes o USING (line_id) WHERE {MATURE}
        ), scored AS (
            SELECT a.request_id, {scored} AS lines FROM {LOG} a
            WHERE a.request_id IN (SELECT request_id FROM linked) GROUP BY ALL
        ), ordered AS (
            SELECT f.order_id, f.requested_at, {ordered} AS lines FROM {TABLE} f JOIN core.orders o USING (line_id)
            WHERE f.order_id IN (SELECT order_id FROM linked) GROUP BY ALL
        )
        SELECT m.line_id, a.vector, {features}{flags}, scored.lines IS NOT DISTINCT FROM ordered.lines AS {_BASKET},
               f.requested_at <> m.requested_at OR f.visible_until <> m.visible_until
               OR f.derived_until <> m.derived_until AS moved
        FROM linked m JOIN {LOG} a ON a.request_id = m.request_id AND a.line_id = m.line_id
        JOIN {TABLE} f ON f.line_id = m.line_id JOIN core.orders o ON o.line_id = m.line_id
        JOIN scored ON scored.request_id = m.request_id
        JOIN ordered ON ordered.order_id = f.order_id AND ordered.requested_at = f.requested_at
        WHERE a.feature_set_hash = $hash"""


def _packed(alias: str, columns: list[str]) -> str:
    # At least one field: without basket features every basket is as good as any other.
    return ", ".join(f"{quote(c)} := {alias}.{quote(c)}" for c in columns) or "nothing := 0"


def _floats(batch: pa.RecordBatch, name: str) -> np.ndarray:
    return batch.column(name).fill_null(float("nan")).to_numpy(zero_copy_only=False).astype(np.float32, copy=False)


def _flags(batch: pa.RecordBatch, name: str) -> np.ndarray:
    return batch.column(name).to_numpy(zero_copy_only=False).astype(bool)


def _all(flags: map[Any], rows: int) -> np.ndarray:
    together = np.ones(rows, bool)
    for flag in flags:
        together &= flag
    return together
