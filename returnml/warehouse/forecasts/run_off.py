"""Run-off tables from the validated tables: what became known of each day's order lines, and how long after the order.

*Label*: lines by their first return that counts (``returnml.features.label``), so that a cohort's total is its
``core.outcomes``. *Volume*: line and day on which goods came back, whether or not that counts for the label: what a warehouse
has to book. Lines of whole-order cancellations leave when the cancellation becomes known; lines of shops with
a flag per line are left out, as a flag says when nothing came back.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

import duckdb
import numpy as np

from returnml.features.windows import DAY_US
from returnml.maturity.delays import RunOff
from returnml.settings import LabelSettings
from returnml.warehouse.ingest.core_sql import FLAG_IS_OPEN

OTHER = "(other)"
"""Where lines go whose product group is not named, or is none of those that are told apart."""
GROUP_DAYS = 90

_LINES = f"""
CREATE OR REPLACE TEMP TABLE run_off_lines AS
SELECT line_id, ordered_at, ordered_at::DATE AS cohort, known_day, quantity,
    CASE WHEN list_contains($groups, product_group) THEN product_group ELSE '{OTHER}' END AS product_group
FROM core.orders WHERE ordered_at >= $first AND ordered_at < $until AND known_day < $until
  AND is_returned IS NULL AND NOT {FLAG_IS_OPEN}
"""

_EVENTS = """
CREATE OR REPLACE TEMP TABLE run_off_events AS
WITH events AS (
    SELECT l.line_id, l.cohort, l.product_group, greatest(l.known_day, r.known_day) AS known_day, r.quantity,
        coalesce(r.is_cancellation, false) AS is_cancellation, l.quantity AS ordered,
        r.known_at <= l.ordered_at + to_microseconds($mature_us) AS is_known_in_time,
        r.returned_at <= l.ordered_at + to_microseconds($window_us) AS is_in_window
    FROM core.returns r JOIN run_off_lines l USING (line_id)
    WHERE NOT r.is_orphan AND r.known_day >= $first AND r.known_day < $until
)
SELECT *, coalesce(sum(quantity) FILTER (is_cancellation AND is_known_in_time) OVER (PARTITION BY line_id), 0) >= ordered
    AS is_cancelled
FROM events
"""

_EXPOSURE = """
SELECT cohort, product_group, known_day, count(*)::DOUBLE AS amount FROM run_off_lines GROUP BY ALL
UNION ALL
SELECT any_value(cohort), any_value(product_group), max(known_day) FILTER (is_cancellation AND is_known_in_time), -1.0
FROM run_off_events WHERE is_cancelled GROUP BY line_id
"""

_LABELLED = """
SELECT any_value(cohort) AS cohort, any_value(product_group) AS product_group, min(known_day) AS known_day, 1.0 AS amount
FROM run_off_events WHERE NOT is_cancelled AND NOT is_cancellation AND is_known_in_time AND is_in_window GROUP BY line_id
"""

_RETURNED = """
SELECT cohort, product_group, known_day, {amount} AS amount
FROM run_off_events WHERE NOT is_cancelled AND NOT is_cancellation GROUP BY ALL
"""


@dataclass(frozen=True)
class RunOffs:
    """The tables of one range of days; all have the same cohorts and groups.

    Attributes:
        label: delays up to the label's maturity. volume: up to ``longest_delay_days``.
        pieces: as ``volume``, pieces in place of lines.
    """

    label: RunOff
    volume: RunOff
    pieces: RunOff

    def day(self, index: int) -> date:
        return self.label.first_day + timedelta(days=index)


def largest_groups(con: duckdb.DuckDBPyConnection, until: date, count: int) -> tuple[str, ...]:
    """The product groups with the most lines in the ``GROUP_DAYS`` days before a day, by name."""
    rows = con.execute(
        "SELECT product_group FROM core.orders WHERE product_group IS NOT NULL AND known_day >= ? AND known_day < ? "
        "GROUP BY product_group ORDER BY count(*) DESC, product_group LIMIT ?",
        [until - timedelta(days=GROUP_DAYS), until, count],
    ).fetchall()
    return tuple(sorted(row[0] for row in rows))


def read_run_offs(
    con: duckdb.DuckDBPyConnection,
    first: date,
    last: date,
    groups: tuple[str, ...],
    label: LabelSettings,
    longest_delay_days: int,
) -> RunOffs:
    """Read the cohorts ordered on the days ``first`` to ``last`` (inclusive), as known at the end of ``last``.

    Args:
        con: the warehouse, with ``core.orders`` and ``core.returns``.
        groups: the product groups to tell apart; the rest is one more, ``OTHER``.
        label: window and grace; a label's longest delay is their sum.
        longest_delay_days: returns later than this are no part of the volume.
    """
    maturity_days = label.window_days + label.grace_days
    bounds = {"first": first, "until": last + timedelta(days=1)}
    con.execute(_LINES, {**bounds, "groups": list(groups)})
    con.execute(_EVENTS, {**bounds, "mature_us": maturity_days * DAY_US, "window_us": label.window_days * DAY_US})
    groups = (*groups, OTHER)
    shape = (len(groups), (last - first).days + 1)

    def counted(sql: str, longest: int) -> np.ndarray:
        return _cube(con, sql, first, groups, (*shape, longest + 1))

    exposure = counted(_EXPOSURE, max(longest_delay_days, maturity_days))
    lines, label_lines = exposure[:, :, : longest_delay_days + 1], exposure[:, :, : maturity_days + 1]
    labelled = counted(_LABELLED, maturity_days)
    returned = counted(_RETURNED.format(amount="count(DISTINCT line_id)"), longest_delay_days)
    pieces = counted(_RETURNED.format(amount="sum(quantity)"), longest_delay_days)
    for name in ("run_off_events", "run_off_lines"):
        con.execute(f"DROP TABLE {name}")
    return RunOffs(
        label=RunOff(first, groups, label_lines, labelled),
        volume=RunOff(first, groups, lines, returned),
        pieces=RunOff(first, groups, lines, pieces),
    )


def _cube(
    con: duckdb.DuckDBPyConnection, sql: str, first: date, groups: tuple[str, ...], shape: tuple[int, int, int]
) -> np.ndarray:
    """Amounts by group, cohort and delay in days, float64; what is later than the last delay is left out."""
    found = con.execute(
        f"SELECT date_diff('day', ?::DATE, cohort) AS cohort, product_group, date_diff('day', cohort, known_day) AS delay, "
        f"sum(amount)::DOUBLE AS amount FROM ({sql}) GROUP BY ALL",
        [first],
    ).fetchall()
    cube = np.zeros(shape)
    index = {name: i for i, name in enumerate(groups)}
    for cohort, group, delay, amount in found:
        if delay < shape[2]:
            cube[index[group], cohort, delay] = amount
    return cube
