"""Batch scoring through the warehouse beside plain ONNX Runtime (and LightGBM) over the same matrix in memory.

Run: python benchmarks/batch_scoring.py [--rows 1000000] [--trees 300] [--rounds 3]

A made-up warehouse holds ``--rows`` lines with the vectors of the real feature set; a model of real size is trained and
released. Timed, on two threads: ``build_scores`` (release verified, features read from
DuckDB, scored, priced, written to ``scores.daily`` with content hashes), ONNX Runtime on the float32 matrix that is
already in memory (one call, which the limit is about; and cut into chunks as we do it), and the LightGBM booster on it.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from datetime import date, datetime, timedelta
from pathlib import Path

import duckdb
import msgspec
import numpy as np
import onnxruntime as ort
import polars as pl

from returnml.features.sets.order_line import ORDER_LINE
from returnml.modeling.export.onnx_export import export_onnx
from returnml.modeling.export.onnx_scoring import OnnxScorer
from returnml.modeling.fit.boosting import (
    parameters,
    train,
)
from returnml.modeling.fit.calibration import fit_calibration
from returnml.policy.document import SEGMENT_COLUMNS, Policy
from returnml.release.folder import Release, write_release
from returnml.release.manifest import Manifest
from returnml.settings import TrainingSettings
from returnml.tasks.declared.return_risk import TASK
from returnml.warehouse.features.order_line_vectors import (
    COLUMNS,
    TABLE,
)
from returnml.warehouse.features.vector_table import ensure_vector_table
from returnml.warehouse.partition import open_warehouse
from returnml.warehouse.scores.daily_scores import (
    THREADS,
    build_scores,
)

START = date(2024, 1, 1)
LINES_PER_DAY = 20_000
LIMIT = 1.3


def vectors(rows: int, seed: int = 0) -> np.ndarray:
    """Counts, sums and rates with missing values, float32, shape (rows, features)."""
    rng = np.random.default_rng(seed)
    x = rng.integers(0, 500, (rows, len(ORDER_LINE.outputs))).astype(np.float32)
    x[:, ::4] = rng.random((rows, x[:, ::4].shape[1]), np.float32)
    x[:, ::7][rng.random((rows, x[:, ::7].shape[1])) < 0.2] = np.nan
    return x


def released(x: np.ndarray, trees: int, root: Path) -> tuple[Release, str]:
    """A release of real size, and its trees as LightGBM text."""
    rng = np.random.default_rng(1)
    sample = x[:20_000]
    y = (np.nan_to_num(sample[:, :8]) @ rng.normal(size=8) + rng.normal(size=len(sample)) * 300 > 300).astype(np.int8)
    settings = TrainingSettings(threads=THREADS)
    model = train(sample, y, ORDER_LINE.outputs, parameters(settings), trees)
    graph = export_onnx(model, fit_calibration(model.margin(sample), y))
    manifest = Manifest(
        task=TASK.name,
        feature_set=ORDER_LINE.name,
        feature_set_version=ORDER_LINE.version,
        feature_set_hash=ORDER_LINE.hash,
        inputs=list(ORDER_LINE.outputs),
        cut_off_us=0,
        training_snapshot="",
        seed=settings.seed,
        parameters=msgspec.to_builtins(settings),
        metrics={},
        label={},
        libraries={},
    )
    return write_release(root, manifest, {"model.onnx": graph}), model.texts[0]


def fill(con: duckdb.DuckDBPyConnection, x: np.ndarray) -> date:
    """Put the vectors into ``features.order_lines`` and their lines into ``core.orders``; return the last day."""
    rows = len(x)
    ensure_vector_table(con, TABLE, COLUMNS, ORDER_LINE)
    con.execute("CREATE SCHEMA IF NOT EXISTS core")
    con.execute(
        "CREATE TABLE core.orders (line_id VARCHAR, order_id VARCHAR, customer_id VARCHAR, article_id VARCHAR, "
        f"line_value_cents BIGINT, currency VARCHAR, {', '.join(f'{name} VARCHAR' for name in SEGMENT_COLUMNS)})"
    )
    for start in range(0, rows, LINES_PER_DAY):
        stop = min(start + LINES_PER_DAY, rows)
        day = START + timedelta(days=start // LINES_PER_DAY)
        number = pl.Series(np.arange(start, stop)).cast(pl.String)
        fixed = pl.DataFrame({"line_id": "l" + number, "order_id": "o" + number}).with_columns(
            pl.lit(day).alias("day"),
            pl.lit(datetime(day.year, day.month, day.day, 12)).alias("requested_at"),
            pl.lit(ORDER_LINE.hash).alias("feature_set_hash"),
        )
        features = pl.DataFrame({name: x[start:stop, j] for j, name in enumerate(ORDER_LINE.outputs)})
        con.register("chunk", pl.concat([fixed, features], how="horizontal"))
        con.execute("INSERT INTO features.order_lines BY NAME SELECT * FROM chunk")
        con.execute(
            "INSERT INTO core.orders BY NAME SELECT line_id, order_id, 'c' AS customer_id, 'a' AS article_id, "
            "1000 + hash(line_id) % 9000 AS line_value_cents, 'EUR' AS currency FROM chunk"
        )
        con.unregister("chunk")
    return day


def timed(run: Callable[[], object]) -> float:
    """Seconds of one run."""
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--trees", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    x = vectors(arguments.rows)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        release, text = released(x, arguments.trees, root / "releases")
        con = open_warehouse(root / "warehouse.duckdb", threads=THREADS)
        last = fill(con, x)
        options = ort.SessionOptions()
        options.intra_op_num_threads = THREADS
        plain = ort.InferenceSession(release.model, options, providers=["CPUExecutionProvider"])
        import lightgbm as lgb

        booster = lgb.Booster(model_str=text)
        chunked = OnnxScorer(release.model, THREADS)
        seconds: dict[str, list[float]] = {"build_scores": [], "onnxruntime": [], "onnxruntime, in chunks": [], "lightgbm": []}
        # Taken in turns, so that a slower minute of the machine does not fall on one of them.
        for _ in range(arguments.rounds):
            seconds["build_scores"].append(timed(lambda: build_scores(con, TASK, release.path, START, last, Policy())))
            seconds["onnxruntime"].append(timed(lambda: plain.run(None, {"features": x})))
            seconds["onnxruntime, in chunks"].append(timed(lambda: chunked.probability(x)))
            seconds["lightgbm"].append(timed(lambda: booster.predict(x, raw_score=True, num_threads=THREADS)))
        con.close()
    fastest = {name: min(times) for name, times in seconds.items()}
    ratio = fastest["build_scores"] / fastest["onnxruntime"]
    to_chunks = fastest["build_scores"] / fastest["onnxruntime, in chunks"]
    if arguments.json:
        print(
            json.dumps(
                {
                    "rows": arguments.rows,
                    "seconds": fastest,
                    "ratio_to_onnxruntime": ratio,
                    "ratio_to_chunks": to_chunks,
                    "limit": LIMIT,
                }
            )
        )
        return
    print(f"{arguments.rows:,} rows x {x.shape[1]} features, {arguments.trees} trees, {THREADS} threads, best of turns")
    for name, took in fastest.items():
        print(f"  {name:24}{took:8.2f} s {arguments.rows / took:12,.0f} rows/s")
    to_lightgbm = fastest["build_scores"] / fastest["lightgbm"]
    print(
        f"  build_scores to plain ONNX Runtime: {ratio:.2f} (limit {LIMIT}); to our own chunks in memory: {to_chunks:.2f}; ",
        end="",
    )
    print(f"to LightGBM: {to_lightgbm:.2f}")


if __name__ == "__main__":
    main()
