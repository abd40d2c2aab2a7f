"""What an import costs beside DuckDB's own reading of the same CSV file and writing it as Parquet.

    python -m benchmarks.import_files [--rows 1000000] [--days 100]

Each is a process of its own: processor time of all its threads, and the most memory that it held. The import reads, checks,
maps, gives pseudonyms to customers, works out ids and days, and writes a Parquet file and a sidecar a day, flushed to the
disk; DuckDB does none of that.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import resource
import tempfile
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from multiprocessing.connection import Connection
from pathlib import Path

import duckdb
import numpy as np
import polars as pl

from returnml.clock import SystemClock
from returnml.commands.root import made_root
from returnml.privacy.customers import open_customers
from returnml.settings import load_settings
from returnml.sources.exports.table_reading import read_table
from returnml.sources.mapped.mapped_tables import Given, import_mapped, prepare
from returnml.sources.mapped.shipped import mapping_path


def write_export(path: Path, rows: int, days: int) -> None:
    """An order-items table, as a shop exports it."""
    rng = np.random.default_rng(1)
    start = datetime(2025, 1, 1)
    seconds = np.sort(rng.integers(0, days * 86_400, rows))
    at = pl.select(pl.lit(start) + pl.duration(seconds=pl.lit(pl.Series(seconds)))).to_series()
    back = pl.select(at + timedelta(days=9)).to_series()
    returned = pl.Series(rng.random(rows) < 0.3)
    pl.DataFrame(
        {
            "id": np.arange(1, rows + 1),
            "order_id": np.arange(rows) // 2,
            "user_id": rng.integers(1, rows // 14 + 2, rows),
            "product_id": rng.integers(1, 20_000, rows),
            "status": "Complete",
            "created_at": at,
            "returned_at": pl.select(pl.when(returned).then(back)).to_series(),
            "sale_price": rng.integers(500, 20_000, rows) / 100,
        }
    ).write_csv(path, datetime_format="%Y-%m-%d %H:%M:%S")


def by_duckdb(csv: Path, folder: Path) -> dict[str, float]:
    with duckdb.connect() as con:
        con.execute(f"COPY (SELECT * FROM read_csv('{csv}')) TO '{folder / 'orders.parquet'}' (FORMAT parquet)")
    return {}


def by_import(csv: Path, folder: Path) -> dict[str, float]:
    settings = load_settings(data=str(folder / "data"))
    given = Given(mapping_path("order-items"), {"orders": csv})
    landing = settings.paths.landing
    made_root(settings, "import files", SystemClock())
    import_mapped(given, landing, settings.label, SystemClock(), open_customers(settings))
    return {}


def parts(csv: Path, folder: Path) -> dict[str, float]:
    """Processor seconds of what an import is made of, one after the other."""
    settings = load_settings(data=str(folder / "parts"))
    given, clock = Given(mapping_path("order-items"), {"orders": csv}), SystemClock()
    begun = time.process_time()
    read_table(csv)
    read = time.process_time() - begun
    prepared = prepare(given, settings.paths.landing, settings.label, clock)
    mapped = time.process_time() - begun - 2 * read
    made_root(settings, "import files", clock)
    customers = open_customers(settings)
    before = time.process_time()
    customers.register(prepared.orders["customer_id"].unique().drop_nulls().to_list())
    named = time.process_time() - before
    before = time.process_time()
    import_mapped(given, settings.paths.landing, settings.label, clock, customers)
    rest = time.process_time() - before - read - mapped
    return {"read": read, "map": mapped, "pseudonyms": named, "compare, hash and write days": rest}


def measured(work: Callable[[Path, Path], dict[str, float]], csv: Path, folder: Path) -> dict[str, float]:
    """A process of its own: seconds of processor, MB at most, and what the work says."""
    ours, theirs = multiprocessing.get_context("spawn").Pipe()
    process = multiprocessing.get_context("spawn").Process(target=_child, args=(theirs, work, csv, folder))
    process.start()
    said: dict[str, float] = ours.recv()
    process.join()
    return said


def _child(back: Connection, work: Callable[[Path, Path], dict[str, float]], csv: Path, folder: Path) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF)
    said = work(csv, folder)
    used = resource.getrusage(resource.RUSAGE_SELF)
    cpu = used.ru_utime + used.ru_stime - before.ru_utime - before.ru_stime
    back.send(said | {"cpu_s": cpu, "peak_mb": used.ru_maxrss / 1024, "imports_mb": before.ru_maxrss / 1024})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--days", type=int, default=100)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        csv = folder / "orders.csv"
        write_export(csv, options.rows, options.days)
        print(f"{options.rows:,} rows, {csv.stat().st_size / 1e6:.0f} MB, {options.days} days")
        duck, own, divided = (measured(work, csv, folder) for work in (by_duckdb, by_import, parts))
    for label, found in (("DuckDB read_csv, COPY TO parquet", duck), ("returnml import files", own)):
        memory = f"{found['peak_mb']:6.0f} MB at most ({found['imports_mb']:.0f} of it imports)"
        print(f"{label:34} {found['cpu_s']:6.2f} s of processor, {memory}")
    print(f"ratio: processor {own['cpu_s'] / duck['cpu_s']:.1f}, memory {own['peak_mb'] / duck['peak_mb']:.1f}")
    print("where it goes: " + json.dumps({k: round(v, 2) for k, v in divided.items() if not k.endswith(("_s", "_mb"))}))


if __name__ == "__main__":
    main()
