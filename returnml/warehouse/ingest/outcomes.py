"""One outcome per order line when its label matures: ``returnml.features.label`` as set-based SQL.

An outcome of day P is known at the start of P; it is made from what was known before. One day's partition reads the
orders of one ordering day (and those that became known late, the day before), not all of history.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

import duckdb

from returnml.attributes import Attributes
from returnml.features.sets.shop import KEY_COLUMNS
from returnml.features.windows import DAY_US
from returnml.settings import LabelSettings
from returnml.warehouse.ingest.attribute_columns import category_names
from returnml.warehouse.ingest.core_sql import (
    FLAG_IS_OPEN,
    SEQ,
)
from returnml.warehouse.ingest.currency import check_one_currency
from returnml.warehouse.ingest.schema import ensure_schema
from returnml.warehouse.partition import PartitionResult, combine_hashes, content_hashes, replace_partition, transaction


@dataclass(frozen=True)
class OutcomesReport:
    """Lines that matured in the range, and how many of them came back."""

    first: date
    last: date
    rows: int
    returned: int
    partition: PartitionResult


def build_outcomes(
    con: duckdb.DuckDBPyConnection, first: date, last: date, label: LabelSettings, attributes: Attributes = ()
) -> OutcomesReport:
    """Replace the days ``first`` to ``last`` of ``core.outcomes``, in one transaction.

    Needs ``core.orders`` and ``core.returns`` of all days before ``last``.

    Args:
        attributes: the shop's own columns of order lines; outcomes copy those that are counted by.

    Raises:
        MixedCurrencies: where refunds of several currencies would be added.
    """
    ensure_schema(con, attributes)
    check_one_currency(con)
    # a line of day P was ordered at most this many days before it, or became known on the day before it
    reach = timedelta(days=label.window_days + label.grace_days + 1)
    with transaction(con):
        result = replace_partition(
            con,
            "core.outcomes",
            first,
            last,
            _select((*KEY_COLUMNS, *category_names(attributes))),
            params={
                "first": first,
                "last": last,
                "earliest": first - reach,
                "latest": last - timedelta(days=label.window_days),  # a flagged line is mature at the end of its window
                "window_us": label.window_days * DAY_US,
                "mature_us": (label.window_days + label.grace_days) * DAY_US,
            },
            inputs_hash=_inputs(con, first, last, label),
        )
        (returned,) = con.execute(
            "SELECT coalesce(sum(returned), 0)::BIGINT FROM core.outcomes WHERE known_day BETWEEN ? AND ?", [first, last]
        ).fetchall()[0]
    return OutcomesReport(first, last, result.rows, int(returned), result)


def _select(keys: Sequence[str]) -> str:
    listed = ", ".join(keys)
    return f"""
WITH lines AS (
    SELECT line_id, order_id, ordered_at, known_at AS line_known_at, known_day AS line_known_day, quantity, line_value_cents,
        is_returned, {listed},
        {FLAG_IS_OPEN} AS is_unknown,
        ordered_at + to_microseconds($window_us) AS window_end, ordered_at + to_microseconds($mature_us) AS matures
    FROM core.orders
    WHERE known_day >= $earliest AND known_day < $last
      AND ordered_at < $latest::TIMESTAMP AND (ordered_at >= $earliest::TIMESTAMP OR known_day >= $first::DATE - 1)
), events AS (
    SELECT r.line_id, r.returned_at, r.known_at, r.quantity, r.refund_cents, coalesce(r.is_cancellation, false) AS is_cancellation
    FROM core.returns r
    WHERE NOT r.is_orphan AND r.known_day < $last AND r.known_day >= (SELECT min(line_known_day) FROM lines)
), judged AS (
    SELECT l.line_id,
        count(e.line_id) FILTER (NOT e.is_cancellation AND e.known_at <= l.window_end) > 0 AS has_returns,
        coalesce(sum(e.quantity) FILTER (e.counts), 0)::BIGINT AS returned_quantity,
        coalesce(sum(e.refund_cents) FILTER (e.counts), 0)::BIGINT AS refund_cents,
        coalesce(sum(e.quantity) FILTER (e.is_cancellation AND e.known_at <= l.matures), 0)::BIGINT AS cancelled_quantity
    FROM lines l JOIN (
        SELECT e.*, NOT e.is_cancellation AND e.returned_at <= k.window_end AND e.known_at <= k.matures AS counts
        FROM events e JOIN (SELECT line_id, window_end, matures FROM lines) k USING (line_id)
    ) e USING (line_id)
    GROUP BY l.line_id
), labelled AS (
    SELECT l.*, coalesce(j.cancelled_quantity, 0) AS cancelled_quantity,
        -- a flag per line and no return record: known one return window after the order
        l.is_returned IS NOT NULL AND NOT coalesce(j.has_returns, false) AS is_flagged,
        coalesce(j.returned_quantity, 0) AS counted_quantity, coalesce(j.refund_cents, 0) AS counted_refund_cents
    FROM lines l LEFT JOIN judged j USING (line_id)
), outcomes AS (
    SELECT line_id, order_id, ordered_at, line_known_at,
        CASE WHEN is_flagged THEN window_end ELSE matures END AS mature_at,
        CASE WHEN is_flagged THEN is_returned::BIGINT ELSE (counted_quantity > 0)::BIGINT END AS returned,
        CASE WHEN is_flagged THEN is_returned::BIGINT * quantity ELSE counted_quantity END AS returned_quantity,
        CASE WHEN is_flagged THEN is_returned::BIGINT * line_value_cents ELSE counted_refund_cents END AS refund_cents,
        quantity, {listed}
    FROM labelled WHERE cancelled_quantity < quantity AND NOT is_unknown
), dated AS (
    SELECT * EXCLUDE (line_known_at), greatest(mature_at, line_known_at)::DATE + 1 AS known_day, NULL AS known_at FROM outcomes
)
SELECT known_day, {SEQ.format(id="line_id")} AS seq, known_day::TIMESTAMP AS known_at, * EXCLUDE (known_day, known_at)
FROM dated WHERE known_day BETWEEN $first AND $last ORDER BY seq
"""


def _inputs(con: duckdb.DuckDBPyConnection, first: date, last: date, label: LabelSettings) -> dict[date, str]:
    """Per day: hash of the label rule and of the partitions from which its lines and returns come."""
    reach = label.window_days + label.grace_days + 1
    start = first - timedelta(days=reach)
    orders, returns = (content_hashes(con, table, start, last) for table in ("core.orders", "core.returns"))
    inputs: dict[date, str] = {}
    for day in (first + timedelta(n) for n in range((last - first).days + 1)):
        read = [day - timedelta(n) for n in range(1, reach + 1)]
        parts = [f"{d}:{orders.get(d, '')}:{returns.get(d, '')}" for d in read]
        inputs[day] = combine_hashes([f"{label.window_days}+{label.grace_days}", *parts])
    return inputs
