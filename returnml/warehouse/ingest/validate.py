"""From raw to core: every delivered row ends in ``core.<stream>`` or, with its rules, in ``quarantine.<stream>``.

Rules of one row are judged by the pandera contract, a batch of days at a time; rules that need other rows here, in SQL and
(where acceptance of one row depends on that of another) by a fold in ``acceptance``. Landing rows are taken in the order
(known day, known at, time, id, file, row number), after the ledger's rows of their day, which were judged when they were sent
(``verdicts``); so a range built at once equals its days built one by one.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from itertools import groupby

import duckdb
import polars as pl

from returnml.attributes import UNREADABLE, Attributes
from returnml.contracts.columns import INSPECTIONS, ORDERS, RETURNS, DeliveredStream
from returnml.contracts.rules import missing, rule_ranks, rule_texts
from returnml.exchange.rates import Rates
from returnml.sql import quoted
from returnml.warehouse.ingest.acceptance import judge_returns
from returnml.warehouse.ingest.amount_conversion import convert_candidates, rates_until
from returnml.warehouse.ingest.attribute_columns import unreadable
from returnml.warehouse.ingest.core_sql import (
    core_select,
    quarantine_select,
)
from returnml.warehouse.ingest.currency import judge_currency
from returnml.warehouse.ingest.ledger_verdicts import (
    check_conflicts,
    mark_refused,
    refer,
)
from returnml.warehouse.ingest.links import LINK
from returnml.warehouse.ingest.schema import AMOUNTS, ensure_schema
from returnml.warehouse.partition import (
    PartitionResult,
    combine_hashes,
    content_hashes,
    registered,
    replace_partition,
    transaction,
)

_ROWS_PER_BATCH = 200_000


class RowsLost(AssertionError):
    """in = good + quarantined does not hold: a defect; the transaction is rolled back."""


@dataclass(frozen=True)
class CoreReport:
    """What validation did.

    Attributes:
        by_rule: counts every quarantined row once, under the first rule that it breaks.
        orphans: how many of the good rows are returns of a line that nobody knew yet.
        links: how many orphans, of these and earlier days, met their line.
    """

    stream: str
    first: date
    last: date
    rows_in: int
    good: int
    quarantined: int
    by_rule: dict[str, int]
    core: PartitionResult
    quarantine: PartitionResult
    orphans: int = 0
    links: int = 0


def build_core(
    con: duckdb.DuckDBPyConnection,
    stream: DeliveredStream,
    first: date,
    last: date,
    currency: str | None = None,
    rates: Rates | None = None,
    attributes: Attributes = (),
) -> CoreReport:
    """Replace the known days ``first`` to ``last`` of ``core.<stream>`` and ``quarantine.<stream>`` from raw.

    Returns need the orders, and inspections the returns, of the same and earlier days in core.

    Args:
        currency: of the shop's amounts (``shop.currency``); default: the one that they have so far.
        rates: by which landed amounts in other currencies are converted into it; default: they are refused.
        attributes: the shop's own columns of the order table.

    Raises:
        MixedCurrencies: where several are met and nothing says which is the shop's; nothing is written then.
        RowsLost: where a row would end in neither table or in both; nothing is written then.
        LedgerConflict: where events contradict what was landed; nothing is written then.
    """
    ensure_schema(con, attributes)
    with transaction(con):  # on failure its rollback also removes the temporary tables
        rows_in = _number_candidates(con, stream, first, last)
        mark_refused(con)
        convert_candidates(con, stream, rates, currency)
        _judge_rows(con, stream, rows_in)
        if stream is ORDERS:
            _judge_attributes(con, attributes)
        judge_currency(con, stream, first, last, currency)
        _judge_duplicate_lines(con, stream)
        _judge_references(con, stream)
        refer(con, stream)
        if stream is RETURNS:
            judge_returns(con, first, last)
        else:
            _judge_duplicate_ids(con, stream, first)
        report = _write(con, stream, first, last, rows_in, rates, attributes)
        check_conflicts(con, stream, first, last)
        for table in ("candidate", "broken", "reference", LINK):
            con.execute(f"DROP TABLE IF EXISTS temp.{table}")
    return report


def _number_candidates(con: duckdb.DuckDBPyConnection, stream: DeliveredStream, first: date, last: date) -> int:
    """``candidate``: the range's raw rows with their position; ``broken``: (pos, rank of the rule)."""
    con.execute(
        f"""
        CREATE TEMP TABLE candidate AS
        SELECT row_number() OVER (
            ORDER BY known_day, ledger_seq NULLS LAST, known_at NULLS LAST, {stream.time_column} NULLS LAST,
                {stream.id_column} NULLS FIRST, file, row_number) AS pos, *
        FROM raw.{stream.name} WHERE known_day BETWEEN ? AND ? ORDER BY pos
        """,
        [first, last],
    )
    con.execute("CREATE TEMP TABLE broken (pos BIGINT, rank INTEGER)")
    con.execute("CREATE TEMP TABLE reference (pos BIGINT, line_id VARCHAR, is_orphan BOOLEAN)")
    return _scalar(con, "SELECT count(*) FROM candidate")


def _judge_rows(con: duckdb.DuckDBPyConnection, stream: DeliveredStream, rows_in: int) -> None:
    from returnml.contracts.validated import needed_columns, row_failures  # pandera is slow to import

    ranks = rule_ranks(stream)
    columns = quoted(needed_columns(stream))
    for start in range(0, rows_in, _ROWS_PER_BATCH):
        frame = con.sql(
            f"SELECT pos, {columns} FROM candidate WHERE pos > ? AND pos <= ? AND ledger_seq IS NULL ORDER BY pos",
            params=[start, start + _ROWS_PER_BATCH],
        ).pl()
        failed = row_failures(stream, frame.drop("pos"))
        failures = pl.DataFrame(
            {"pos": frame["pos"].gather(failed["index"]), "rank": failed["rule"].replace_strict(ranks, return_dtype=pl.Int32)}
        )
        if failures.height:
            with registered(con, "failures", failures):
                con.execute("INSERT INTO broken SELECT DISTINCT pos, rank FROM failures")
    for column in (c for c in stream.columns if not c.is_nullable):  # not there because it could not be read: one rule, not two
        con.execute(
            f"""
            DELETE FROM broken WHERE rank = ? AND pos IN (
                SELECT pos FROM candidate WHERE json_extract_string(uncast, '$.{column.name}') IS NOT NULL)
            """,
            [ranks[missing(column.name)]],
        )


def _judge_attributes(con: duckdb.DuckDBPyConnection, attributes: Attributes) -> None:
    """Of landing rows; an event's values were judged when it was sent."""
    failed = unreadable(attributes, "extra").values()
    if failed:
        con.execute(
            f"INSERT INTO broken SELECT pos, ? FROM candidate WHERE ledger_seq IS NULL AND ({' OR '.join(failed)})",
            [rule_ranks(ORDERS)[UNREADABLE]],
        )


def _judge_duplicate_lines(con: duckdb.DuckDBPyConnection, stream: DeliveredStream) -> None:
    """Where ids were made from places: rows equal to an earlier row of their file.

    Across files the person who delivers was asked. Only rows whose hash occurs twice are compared in full.
    """
    compared = quoted(c.name for c in stream.columns if c.name != stream.id_column)
    con.execute(
        f"""
        INSERT INTO broken SELECT pos, ? FROM (
            SELECT pos, row_number() OVER (PARTITION BY known_day, file, {compared}, extra::VARCHAR ORDER BY pos) AS n
            FROM candidate SEMI JOIN (
                SELECT known_day, file, row_hash FROM candidate ANTI JOIN broken USING (pos)
                WHERE has_own_ids IS NOT TRUE GROUP BY ALL HAVING count(*) > 1
            ) USING (known_day, file, row_hash)
            WHERE pos NOT IN (SELECT pos FROM broken)
        ) WHERE n > 1
        """,
        [rule_ranks(stream)["duplicate_line"]],
    )


def _judge_references(con: duckdb.DuckDBPyConnection, stream: DeliveredStream) -> None:
    """Fill ``reference`` (what the row refers to) and mark rows whose reference is unknown or later than they are."""
    if stream is ORDERS:
        return
    ranks = rule_ranks(stream)
    if stream is RETURNS:
        con.execute(
            """
            INSERT INTO reference
            SELECT c.pos, o.line_id, o.line_id IS NULL
            FROM (SELECT pos, line_id, known_day FROM candidate ANTI JOIN broken USING (pos) WHERE ledger_seq IS NULL) c
            LEFT JOIN core.orders o ON o.line_id = c.line_id AND o.known_day <= c.known_day
            """
        )
        con.execute(
            """
            INSERT INTO broken SELECT c.pos, $rank FROM candidate c JOIN reference r USING (pos)
            WHERE r.is_orphan AND nullif(trim(c.line_id), '') IS NULL
              AND (nullif(trim(c.customer_id), '') IS NULL OR nullif(trim(c.article_id), '') IS NULL)
            """,
            {"rank": ranks["unknown_order_line"]},
        )
        con.execute(
            """
            INSERT INTO broken SELECT c.pos, $rank FROM candidate c JOIN reference r USING (pos)
            JOIN core.orders o ON o.line_id = r.line_id AND o.known_day <= c.known_day WHERE c.returned_at < o.ordered_at
            """,
            {"rank": ranks["return_before_order"]},
        )
        return
    con.execute(
        """
        INSERT INTO reference
        SELECT DISTINCT c.pos, r.return_id, r.return_id IS NULL
        FROM (SELECT pos, return_id, known_day FROM candidate ANTI JOIN broken USING (pos) WHERE ledger_seq IS NULL) c
        LEFT JOIN core.returns r ON r.return_id = c.return_id AND r.known_day <= c.known_day
        """
    )
    con.execute("INSERT INTO broken SELECT pos, $rank FROM reference WHERE is_orphan", {"rank": ranks["unknown_return"]})
    con.execute(
        """
        INSERT INTO broken SELECT DISTINCT c.pos, $rank FROM candidate c JOIN reference f USING (pos)
        JOIN core.returns r ON r.return_id = f.line_id AND r.known_day <= c.known_day WHERE c.inspected_at < r.returned_at
        """,
        {"rank": ranks["inspection_before_return"]},
    )


def _judge_duplicate_ids(con: duckdb.DuckDBPyConnection, stream: DeliveredStream, first: date) -> None:
    """An id belongs to the first row that breaks no other rule, on an earlier day or this one."""
    con.execute(
        f"""
        INSERT INTO broken
        WITH judged AS (
            SELECT pos, {stream.id_column} AS id, b.pos IS NULL AS is_good, ledger_seq IS NOT NULL AS is_settled
            FROM candidate c LEFT JOIN (SELECT DISTINCT pos FROM broken) b USING (pos)
            WHERE b.pos IS NULL OR c.pos IN (SELECT pos FROM broken WHERE rank = $line)
        ), earliest AS (
            SELECT id, min(pos) FILTER (is_good) AS pos FROM judged GROUP BY id
        ), earlier AS (
            SELECT DISTINCT {stream.id_column} AS id FROM core.{stream.name}
            WHERE known_day < $first AND {stream.id_column} IN (SELECT id FROM earliest)
        )
        SELECT j.pos, $rank FROM judged j JOIN earliest e USING (id)
        WHERE NOT j.is_settled AND (j.pos > e.pos OR j.id IN (SELECT id FROM earlier))
        """,
        {"rank": rule_ranks(stream)["duplicate_id"], "line": rule_ranks(stream)["duplicate_line"], "first": first},
    )


def _write(
    con: duckdb.DuckDBPyConnection,
    stream: DeliveredStream,
    first: date,
    last: date,
    rows_in: int,
    rates: Rates | None,
    attributes: Attributes,
) -> CoreReport:
    inputs = _inputs(con, stream, first, last, rates, attributes)
    core = replace_partition(con, f"core.{stream.name}", first, last, core_select(stream, first, attributes), inputs_hash=inputs)
    [(links,)] = con.execute(f"SELECT count(*) FROM {LINK}").fetchall() if stream is RETURNS else [(0,)]
    [(orphans,)] = (
        con.execute("SELECT count(*) FROM core.returns WHERE is_orphan AND known_day BETWEEN ? AND ?", [first, last]).fetchall()
        if stream is RETURNS
        else [(0,)]
    )
    with registered(con, "rule_texts", rule_texts(stream)):
        quarantine = replace_partition(
            con, f"quarantine.{stream.name}", first, last, quarantine_select(stream, attributes), inputs_hash=inputs
        )
    good = core.rows - links
    if rows_in != good + quarantine.rows:
        raise RowsLost(
            f"{stream.name} {first}..{last}: {rows_in} raw rows, but {good} validated and {quarantine.rows} in quarantine"
        )
    by_rule = con.execute(
        f"SELECT rule, count(*) FROM quarantine.{stream.name} WHERE known_day BETWEEN ? AND ? GROUP BY rule ORDER BY 2 DESC, 1",
        [first, last],
    ).fetchall()
    return CoreReport(
        stream.name, first, last, rows_in, good, quarantine.rows, dict(by_rule), core, quarantine, int(orphans), int(links)
    )


def _inputs(
    con: duckdb.DuckDBPyConnection,
    stream: DeliveredStream,
    first: date,
    last: date,
    rates: Rates | None,
    attributes: Attributes,
) -> dict[date, str]:
    """Per day: hash of the raw partition, of the tables that it was checked against, of the rates known by then, and of the
    attributes' declarations.
    """
    declared = [repr(attributes)] if attributes else []
    tables = {ORDERS.name: (), RETURNS.name: ("core.orders",), INSPECTIONS.name: ("core.returns",)}[stream.name]
    parts = [
        (day, h)
        for table in (f"raw.{stream.name}", "raw.events", *tables)
        for day, h in content_hashes(con, table, first, last).items()
    ]
    return {
        day: combine_hashes([*(h for _, h in group), *(rates_until(rates, day) if stream.name in AMOUNTS else ()), *declared])
        for day, group in groupby(sorted(parts, key=lambda p: p[0]), lambda p: p[0])
    }


def _scalar(con: duckdb.DuckDBPyConnection, sql: str) -> int:
    rows = con.execute(sql).fetchall()
    return int(rows[0][0]) if rows else 0
