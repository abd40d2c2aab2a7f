"""``scores.reasons``: why the riskiest lines of each day got their scores."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from returnml.features.declarations import FeatureSet
from returnml.reasons.kernel import EXPLAINER_FILE, Explainer
from returnml.reasons.ordering import Reasoner
from returnml.release.folder import Release, load_release
from returnml.warehouse.partition import replace_partition
from returnml.warehouse.tables import ensure_tables, table_frame

if TYPE_CHECKING:
    import duckdb

TABLE = "scores.reasons"
COLUMNS = {
    "day": "DATE",
    "line_id": "VARCHAR",
    "rank": "TINYINT",
    "family": "VARCHAR",
    "text": "VARCHAR",
    "contribution": "DOUBLE",
    "feature": "VARCHAR",
    "value": "FLOAT",
    "release": "VARCHAR",
}
_RISKIEST = """
SELECT s.day, s.line_id, {columns} FROM features.order_lines f JOIN (
    SELECT day, line_id FROM scores.daily WHERE day BETWEEN $first AND $last
    QUALIFY row_number() OVER (PARTITION BY day ORDER BY expected_cost_cents DESC, line_id) <= $per_day
) s ON f.day = s.day AND f.line_id = s.line_id WHERE f.day BETWEEN $first AND $last ORDER BY s.day, s.line_id"""


class ReasonsError(Exception):
    """Scores that this release cannot explain; the message names the day and the rule."""


@dataclass(frozen=True)
class ReasonsReport:
    """What was explained.

    Attributes:
        lines: explained; those whose score nothing raises have no row.
        rows: reasons.
        unexplained: why there are none; empty where there are.
    """

    release: str
    lines: int
    rows: int
    unexplained: str = ""


def build_reasons(
    con: duckdb.DuckDBPyConnection, release_dir: Path, feature_set: FeatureSet, first: date, last: date, per_day: int
) -> ReasonsReport:
    """Explain the lines with the highest expected costs of each day from ``first`` to ``last`` (inclusive).

    A release without an explainer, or of other features than those that have families, gives no reasons; the report says so.

    Args:
        con: the warehouse, with these days' ``scores.daily`` and ``features.order_lines``.
        release_dir: the release that scored these days.
        feature_set: for which families are declared.
        per_day: how many lines of each day.

    Raises:
        ReleaseError: if the release folder is not what its manifest says.
        ReasonsError: if the days were scored by another release.
    """
    release = load_release(release_dir)
    ensure_tables(con, {TABLE: COLUMNS})
    found = table_frame((), COLUMNS)
    lines, unexplained = 0, _unexplained(release, feature_set)
    if not unexplained:
        _refuse_foreign(con, release, first, last)
        reasoner = Reasoner(Explainer(release.read(EXPLAINER_FILE)), feature_set)
        lines, found = _explained(con, reasoner, release, (first, last), per_day)
    replace_partition(con, TABLE, first, last, found, day_column="day", inputs_hash=f"{release.version} {per_day}")
    return ReasonsReport(release.version, lines, found.height, unexplained)


def _explained(
    con: duckdb.DuckDBPyConnection, reasoner: Reasoner, release: Release, days: tuple[date, date], per_day: int
) -> tuple[int, pl.DataFrame]:
    columns = ", ".join(f'f."{name}"' for name in release.manifest.inputs)
    params = {"first": days[0], "last": days[1], "per_day": per_day}
    riskiest = con.sql(_RISKIEST.format(columns=columns), params=params).pl()
    x = riskiest.drop("day", "line_id").to_numpy(order="c")
    rows = (
        (day, line_id, rank, r.family, r.text, r.contribution, r.feature, r.value, release.version)
        for day, line_id, reasons in zip(riskiest["day"], riskiest["line_id"], reasoner.reasons(x), strict=True)
        for rank, r in enumerate(reasons, start=1)
    )
    return riskiest.height, table_frame(rows, COLUMNS)


def _unexplained(release: Release, feature_set: FeatureSet) -> str:
    """Why the release gives no reasons; empty where it does."""
    if EXPLAINER_FILE not in release.manifest.files:
        return f"release {release.version} holds no {EXPLAINER_FILE}: train a new one"
    if release.manifest.feature_set_hash != feature_set.hash:
        return (
            f"release {release.version} was made for feature set {release.manifest.feature_set_hash[:12]}, "
            f"reasons are declared for {feature_set.name} {feature_set.hash[:12]}"
        )
    return ""


def _refuse_foreign(con: duckdb.DuckDBPyConnection, release: Release, first: date, last: date) -> None:
    foreign = con.execute(
        "SELECT day, release FROM scores.daily WHERE day BETWEEN ? AND ? AND release <> ? ORDER BY day LIMIT 1",
        [first, last, release.version],
    ).fetchone()
    if foreign:
        raise ReasonsError(f"{foreign[0]} was scored by release {foreign[1]}, not {release.version}: score it again")
