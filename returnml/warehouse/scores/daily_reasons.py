"""Why a task's riskiest rows of each day got their scores."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from returnml.errors import Refusal
from returnml.reasons.kernel import EXPLAINER_FILE, Explainer
from returnml.reasons.ordering import Reasoner
from returnml.release.folder import Release, load_release
from returnml.tasks.declaration import Task
from returnml.warehouse.partition import replace_partition
from returnml.warehouse.tables import ensure_tables, table_frame

if TYPE_CHECKING:
    import duckdb

_RISKIEST = """
SELECT {named}, {columns} FROM {table} f JOIN (
    SELECT {named} FROM {scores} WHERE day BETWEEN $first AND $last
    QUALIFY row_number() OVER (PARTITION BY day ORDER BY expected_cost_cents DESC, {named}) <= $per_day
) s USING ({named}) WHERE f.day BETWEEN $first AND $last ORDER BY {named}"""


class ReasonsError(Refusal):
    """Scores that this release cannot explain; the message names the day and the rule."""


@dataclass(frozen=True)
class ReasonsReport:
    """What was explained.

    Attributes:
        lines: rows explained; those whose score nothing raises have no row.
        rows: reasons.
        unexplained: why there are none; empty where there are.
    """

    release: str
    lines: int
    rows: int
    unexplained: str = ""


def build_reasons(
    con: duckdb.DuckDBPyConnection, task: Task, release_dir: Path, first: date, last: date, per_day: int
) -> ReasonsReport:
    """Explain the task's rows with the highest expected costs of each day from ``first`` to ``last`` (inclusive).

    A release without an explainer, or of another feature set than the task's, gives no reasons; the report says so.

    Args:
        con: the warehouse, with the task's scores and vectors of these days.
        release_dir: the release that scored these days.
        task: whose feature set declares families.
        per_day: how many rows of each day.

    Raises:
        ReleaseError: if the release folder is not what its manifest says.
        ReasonsError: if the days were scored by another release.
    """
    release = load_release(release_dir)
    unexplained = _unexplained(release, task)
    if task.reason_table is None:
        return ReasonsReport(release.version, 0, 0, unexplained)
    columns = task.reason_columns()
    ensure_tables(con, {task.reason_table: columns})
    found = table_frame((), columns)
    lines = 0
    if not unexplained:
        _refuse_foreign(con, task, release, first, last)
        reasoner = Reasoner(Explainer(release.read(EXPLAINER_FILE)), task.feature_set)
        lines, found = _explained(con, task, reasoner, release, (first, last), per_day)
    inputs = f"{release.version} {per_day}"
    replace_partition(con, task.reason_table, first, last, found, day_column="day", inputs_hash=inputs)
    return ReasonsReport(release.version, lines, found.height, unexplained)


def _explained(
    con: duckdb.DuckDBPyConnection, task: Task, reasoner: Reasoner, release: Release, days: tuple[date, date], per_day: int
) -> tuple[int, pl.DataFrame]:
    named = ["day", *(key for key in task.spine.keys if key != "day")]
    columns = ", ".join(f'f."{name}"' for name in release.manifest.inputs)
    params = {"first": days[0], "last": days[1], "per_day": per_day}
    sql = _RISKIEST.format(named=", ".join(named), columns=columns, table=task.spine.table, scores=task.score_table)
    riskiest = con.sql(sql, params=params).pl()
    x = riskiest.drop(named).to_numpy(order="c")
    rows = (
        (*row, rank, r.family, r.text, r.contribution, r.feature, r.value, release.version)
        for row, reasons in zip(riskiest.select(named).iter_rows(), reasoner.reasons(x), strict=True)
        for rank, r in enumerate(reasons, start=1)
    )
    return riskiest.height, table_frame(rows, task.reason_columns())


def _unexplained(release: Release, task: Task) -> str:
    """Why the release gives no reasons; empty where it does."""
    feature_set = task.feature_set
    if task.reason_table is None:
        return f"no reasons are declared for {task.name}"
    if EXPLAINER_FILE not in release.manifest.files:
        return f"release {release.version} holds no {EXPLAINER_FILE}: train a new one"
    if release.manifest.feature_set_hash != feature_set.hash:
        return (
            f"release {release.version} was made for feature set {release.manifest.feature_set_hash[:12]}, "
            f"reasons are declared for {feature_set.name} {feature_set.hash[:12]}"
        )
    return ""


def _refuse_foreign(con: duckdb.DuckDBPyConnection, task: Task, release: Release, first: date, last: date) -> None:
    foreign = con.execute(
        f"SELECT day, release FROM {task.score_table} WHERE day BETWEEN ? AND ? AND release <> ? ORDER BY day LIMIT 1",
        [first, last, release.version],
    ).fetchone()
    if foreign:
        raise ReasonsError(f"{foreign[0]} was scored by release {foreign[1]}, not {release.version}: score it again")
