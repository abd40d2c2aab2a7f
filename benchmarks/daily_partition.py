"""CPU time of one day's partition (tiles of every group and ``features.order_lines``) after long and short history.

Target: after 300 days at most 1.25 times the CPU of after 30. Several neighbouring days are built and the medians
compared, so that one checkpoint day does not decide.

    python -m benchmarks.daily_partition [--lines-per-day 3000] [--short 30] [--long 300] [--days 7]
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from datetime import date, timedelta
from pathlib import Path

import duckdb

from returnml.features.sets.order_line import ORDER_LINE
from returnml.features.sql.duckdb import DUCKDB
from returnml.features.sql.fit_expressions import (
    order_columns,
    return_columns,
)
from returnml.warehouse.features.order_line_vectors import build_order_lines
from returnml.warehouse.features.tile_tables import build_tiles

START = date(2024, 1, 1)
TILED = tuple(group for group in ORDER_LINE.groups if group.is_tiled)

_ORDERS = """
create table core.orders as
with line as (select i, i // {per_day} as n, hash(i) as h, hash(i + 7) as g from range({per_day} * {days}) as t(i))
select (date '{start}' + n::INTEGER)::DATE as known_day, (n << 32) + i % {per_day} as seq,
  (date '{start}' + n::INTEGER)::TIMESTAMP + to_microseconds((i % {per_day}) * (86400000000 // {per_day})) as known_at,
  'L' || i as line_id, 'O' || (i // 3) as order_id, known_at as ordered_at,
  'C' || floor({customers} * power((hash(i // 3) % 1000003) / 1000003.0, 2))::BIGINT as customer_id,
  'A' || floor({articles} * power((h % 1000003) / 1000003.0, 2))::BIGINT as article_id,
  ['S', 'M', 'L', 'XL'][1 + (g % 4)::BIGINT] as size, 'black' as color,
  'G' || (floor({articles} * power((h % 1000003) / 1000003.0, 2))::BIGINT % 40) as product_group,
  'B' || (floor({articles} * power((h % 1000003) / 1000003.0, 2))::BIGINT % 90) as brand,
  ['card', 'invoice', 'wallet'][1 + (hash(i // 3 + 1) % 3)::BIGINT] as payment_method, 'web' as device,
  ['DE', 'AT', 'CH', 'NL'][1 + (hash(i // 3 + 2) % 4)::BIGINT] as country, null::VARCHAR as voucher_code,
  1 + (g % 3)::BIGINT as quantity, 900 + (h % 9000)::BIGINT as unit_price_cents,
  (1 + g % 3)::BIGINT * (900 + h % 9000)::BIGINT as line_value_cents, 9900::BIGINT as list_price_cents
from line"""

_RETURNS = """
create table core.returns as
select (known_at + lag)::DATE as known_day, row_number() over (order by known_at + lag) as seq, known_at + lag as known_at,
  customer_id, article_id, size, product_group, brand, payment_method, country, 1::BIGINT as quantity,
  unit_price_cents as refund_cents
from (select *, to_days(3 + (hash(line_id) % 25)::INTEGER) as lag from core.orders where hash(line_id || 'r') % 5 < 2)
where known_at + lag < date '{end}' order by known_at + lag"""

_OUTCOMES = """
create table core.outcomes as
select (known_day + 34)::DATE as known_day, seq, (known_day + 34)::TIMESTAMP as known_at, customer_id, article_id, size,
  product_group, brand, payment_method, country, (hash(line_id || 'r') % 5 < 2)::BIGINT as returned,
  1::BIGINT as returned_quantity, unit_price_cents as refund_cents
from core.orders where known_day + 34 < date '{end}'"""


def make_warehouse(path: Path, days: int, lines_per_day: int) -> duckdb.DuckDBPyConnection:
    """A warehouse file with a synthetic history of so many days (hash-based, the same every time)."""
    con = duckdb.connect(str(path), config={"threads": 2, "memory_limit": "3GB"})
    con.execute("SET TimeZone='UTC'")
    con.execute("create schema core")
    end = START + timedelta(days=days)
    values = {
        "per_day": lines_per_day,
        "days": days,
        "start": START,
        "end": end,
        "customers": lines_per_day * 10,
        "articles": lines_per_day,
    }
    for statement in (_ORDERS, _RETURNS, _OUTCOMES):
        con.execute(statement.format(**values))
    for table, said in (
        ("core.orders", order_columns(DUCKDB, "size")),
        ("core.returns", return_columns(DUCKDB, "null::VARCHAR")),
    ):
        con.execute(
            f"create or replace table {table} as select *, {', '.join(f'{e} as {c}' for c, e in said.items())} from {table}"
        )
    return con


def one_day_cpu(con: duckdb.DuckDBPyConnection, day: date) -> float:
    """CPU seconds (all threads) of one day's tiles and vectors."""
    start = time.process_time()
    for group in TILED:
        build_tiles(con, group, day, day)
    build_order_lines(con, ORDER_LINE, day, day)
    return time.process_time() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lines-per-day", type=int, default=3_000)
    parser.add_argument("--short", type=int, default=30)
    parser.add_argument("--long", type=int, default=300)
    parser.add_argument("--days", type=int, default=7)
    args = parser.parse_args()
    medians = {}
    with tempfile.TemporaryDirectory() as folder:
        for history in (args.short, args.long):
            con = make_warehouse(Path(folder) / f"{history}.duckdb", history + args.days + 1, args.lines_per_day)
            began = time.perf_counter()
            for group in TILED:
                build_tiles(con, group, START, START + timedelta(days=history - 1))
            con.execute("checkpoint")
            print(f"{history} days: history's tiles in {time.perf_counter() - began:.1f} s", file=sys.stderr)
            one_day_cpu(con, START + timedelta(days=history))
            spent = [one_day_cpu(con, START + timedelta(days=history + 1 + n)) for n in range(args.days)]
            medians[history] = statistics.median(spent)
            print(f"after {history:4} days: median {medians[history]:.3f} s CPU of {[round(s, 3) for s in spent]}")
            con.close()
    print(f"ratio {medians[args.long] / medians[args.short]:.2f} (target: at most 1.25)")


if __name__ == "__main__":
    main()
