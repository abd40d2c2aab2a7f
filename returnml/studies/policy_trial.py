"""A new policy on the lines that were scored: decided again, beside the current one."""

from __future__ import annotations

import time
from datetime import date, timedelta
from typing import TYPE_CHECKING

from returnml.errors import Refusal
from returnml.policy.document import Policy
from returnml.studies.policy_comparison import (
    DIMENSIONS,
    Comparing,
    Comparison,
    Lines,
    action_rates,
    changes_by,
    idle_parts,
    totals,
    transitions,
)
from returnml.warehouse.partition import day_ranges
from returnml.warehouse.tables import present_tables

if TYPE_CHECKING:
    import duckdb

CHUNK_ROWS = 200_000


UNSEEN = "s.in_training IS NOT TRUE"
"""Of a row of ``scores.daily``: its release has not learnt its outcome. A score that knows the answer prices no policy."""


class PolicyReplayError(Refusal):
    """Scores that cannot be decided about; the message says what to do."""


def replay_policy(
    con: duckdb.DuckDBPyConnection, current: Policy, new: Policy, days: int, currency: str | None = None
) -> Comparison:
    """Compare two policies on the lines of the last ``days`` days of ``scores.daily``.

    Args:
        con: the warehouse, or its published copy; only read.
        currency: of the lines that are compared; needed where there are several, which cannot be added up.

    Raises:
        PolicyReplayError: where there are no scores, or several currencies and none is named.
    """
    started = time.perf_counter()
    first, last = _days(con, days)
    currency = _currency(con, first, last, currency)
    comparing = Comparing(current, new)
    carried = ", ".join(f"l.{column}" for column in comparing.columns if column != "order_id")
    for low, high in day_ranges(con, "scores.daily", first, last, CHUNK_ROWS):
        frame = con.sql(
            "SELECT s.probability, s.line_value_cents, coalesce(o.returned, -1)::TINYINT AS returned, s.order_id, "
            f"{carried} FROM scores.daily s JOIN core.orders l USING (line_id) LEFT JOIN core.outcomes o USING (line_id) "
            f"WHERE s.day BETWEEN $low AND $high AND s.currency = $currency AND {UNSEEN}",
            params={"low": low, "high": high, "currency": currency},
        ).pl()
        if frame.height:
            columns = {name: frame[name].to_list() for name in comparing.columns}
            probability, value, returned = (frame[n].to_numpy() for n in ("probability", "line_value_cents", "returned"))
            comparing.add(Lines(probability, value, returned, columns))
    if comparing.is_empty:
        raise PolicyReplayError(
            f"{first} to {last}: every line in {currency} was in the training of the release that scored it: such scores know "
            "the outcome; score younger days, or wait for them"
        )
    cube = comparing.cube()
    total, own = totals(cube)
    otherwise, in_training = con.execute(
        f"SELECT count(*) FILTER ({UNSEEN} AND policy_hash IS DISTINCT FROM ?), count(*) FILTER (NOT {UNSEEN}) "
        "FROM scores.daily s WHERE day BETWEEN ? AND ? AND currency = ?",
        [current.hash, first, last, currency],
    ).fetchall()[0]
    return Comparison(
        first=first,
        last=last,
        currency=currency,
        current_policy=current.hash,
        new_policy=new.hash,
        total=total,
        own_cost_before_cents=own,
        decided_otherwise=otherwise,
        in_training=in_training,
        actions=action_rates(cube),
        transitions=transitions(cube),
        dimensions={dimension: changes_by(cube, dimension) for dimension in DIMENSIONS},
        idle=idle_parts(cube, new),
        seconds=time.perf_counter() - started,
    )


def _days(con: duckdb.DuckDBPyConnection, days: int) -> tuple[date, date]:
    is_there = "scores.daily" in present_tables(con)
    first, last = con.execute("SELECT min(day), max(day) FROM scores.daily").fetchall()[0] if is_there else (None, None)
    if last is None:
        raise PolicyReplayError("scores.daily has no lines: score some first (`returnml run`, `returnml score`)")
    return last - timedelta(days=min(days - 1, (last - first).days)), last


def _currency(con: duckdb.DuckDBPyConnection, first: date, last: date, wanted: str | None) -> str:
    rows = con.execute(
        "SELECT DISTINCT currency FROM scores.daily WHERE day BETWEEN ? AND ? ORDER BY 1", [first, last]
    ).fetchall()
    found = [row[0] for row in rows]
    if wanted is None and len(found) == 1:
        return found[0]
    if wanted is None or wanted not in found:
        said = f"no lines in {wanted}" if wanted else "lines in several currencies, which cannot be added up"
        raise PolicyReplayError(f"{first} to {last}: {said}: name one of {', '.join(found)} with --currency")
    return wanted
