"""Every declared aggregate for any spine of moments: measures, plans, runs the plan on a DuckDB connection.

Belongs here: running. What a plan is and how it is made: ``returnml.features.sql``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import duckdb

from returnml.features.declarations import KeyGroup
from returnml.features.feature_set import FeatureSet
from returnml.features.sql.duckdb import DUCKDB
from returnml.features.sql.plan import Inputs, plan
from returnml.features.sql.steps import Materialise, Plan
from returnml.sql import quote
from returnml.warehouse.features.feature_errors import FeatureError
from returnml.warehouse.features.measure import measure
from returnml.warehouse.ingest.currency import check_one_currency


@dataclass(frozen=True)
class Computed:
    """What there is to be read while it lasts: the plan that has been run, and how many moments it was run for."""

    plan: Plan
    rows: int


def compute_windows(
    con: duckdb.DuckDBPyConnection,
    groups: FeatureSet | Sequence[KeyGroup],
    spine: str,
    into: str | None = None,
    from_tiles: bool | None = None,
    held: Sequence[KeyGroup] = (),
) -> duckdb.DuckDBPyRelation:
    """Every declared aggregate of every moment of a spine, exact: BIGINT (or HUGEINT), null where missing.

    Args:
        groups: the declarations.
        spine: a table, view or parenthesised query with ``moment_id, requested_at, visible_until, derived_until`` and
            the key columns.
        into: a table to create (replaced if it exists) instead of a temporary one.
        from_tiles: read the stored running totals (True), or the streams alone (False). Default: each group's tiles
            where it has any. The values are the same; stored totals keep one day's cost independent of the history.
        held: groups whose tiles are kept: a group that one of them covers is read from that one's tiles, any other from
            its own.

    Returns:
        The relation: ``moment_id`` and one column per aggregate, in declared order.

    Raises:
        FeatureError: where a column is absent, an instant is missing, or a value exceeds its declared bits.
        StaleTilesError: where the tiles to be read are missing or stale.
        MixedCurrencies: where amounts of several currencies would be added.
    """
    declared = groups.groups if isinstance(groups, FeatureSet) else tuple(groups)
    target = into or "pit_result"
    with computed(con, Inputs(spine, declared), from_tiles, held) as found:
        columns = ", ".join(f"{e} AS {quote(n)}" for n, e in found.plan.expressions.items())
        query = f"SELECT s.moment_id, {columns} {found.plan.relation()}"
        con.execute(f"CREATE OR REPLACE TABLE {target} AS {query}" if into else DUCKDB.materialise(target, query))
    return con.table(target)


@contextmanager
def computed(
    con: duckdb.DuckDBPyConnection, inputs: Inputs, from_tiles: bool | None = None, held: Sequence[KeyGroup] = ()
) -> Iterator[Computed]:
    """Measure, plan and run; what the plan leaves is there inside the block, and nothing of it after, whatever happens.

    Args:
        from_tiles, held: see ``compute_windows``.

    Raises:
        FeatureError, StaleTilesError, MixedCurrencies: see ``compute_windows``.
    """
    check_one_currency(con)
    measured = measure(con, inputs, DUCKDB, from_tiles, held)
    try:
        planned = plan(inputs, measured, DUCKDB)
    except OverflowError as error:
        raise FeatureError(str(error)) from error
    try:
        for step in planned.steps:
            con.execute(step.sql(DUCKDB))
        yield Computed(planned, measured.moments.rows)
    finally:
        for step in planned.steps:
            if isinstance(step, Materialise):
                con.execute(DUCKDB.drop(step.name))
