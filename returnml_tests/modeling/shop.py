"""A small made-up warehouse whose returns depend on its features: the ground of the modelling tests.

One feature has the name of a line's column, as in the real feature set.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import duckdb
import numpy as np
import polars as pl

from returnml.features.declarations import InputKind, KeyGroup, RequestInput
from returnml.features.feature_set import FeatureSet
from returnml.features.sets.shop import ORDERS, count
from returnml.settings import Settings, TrainingSettings
from returnml.tasks.declaration import RequestColumns
from returnml.tasks.declared import return_risk
from returnml.tasks.spines import ORDER_LINES

FEATURES = ("alpha", "beta", "article_return_rate_lifetime", "gamma", "delta", "line_value_cents")
FEATURE_SET = FeatureSet(
    "toy",
    1,
    tuple(RequestInput(name, InputKind.INTEGER, f"Input {name}.", name) for name in FEATURES),
    (),
    (KeyGroup("customer", ("customer_id",), (count(ORDERS, "30d", is_feature=False),)),),
    (),
)
SPINE = replace(ORDER_LINES, request=RequestColumns(texts=("customer_id",), integers=FEATURES))
TASK = replace(return_risk.TASK, feature_set=FEATURE_SET, spine=SPINE, reason_table=None)
START = datetime(2024, 1, 1)
SETTINGS = Settings(
    training=TrainingSettings(
        rounds=40, num_leaves=7, min_data_in_leaf=20, threads=1, calibration_days=16, folds=2, holdout_days=10, learning_rate=0.1
    )
)


def order_lines(rows: int = 6_000, days: int = 60, seed: int = 5) -> pl.DataFrame:
    """Lines over ``days`` days of 300 customers; the probability of a return is a smooth function of the features."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(rows, 5)).astype(np.float32)
    x[:, 2] = 0.5 / (1 + np.exp(-x[:, 2]))
    x[:, 3] = np.round(x[:, 3] * 3)
    x[rng.random(rows) < 0.1, 4] = np.nan
    margin = -2.5 + 1.2 * x[:, 0] + 4 * (x[:, 2] - 0.25) + 0.2 * x[:, 3]
    second = np.sort(rng.integers(0, days * 86_400, rows))
    ordered = [START + timedelta(seconds=int(s)) for s in second]
    return pl.DataFrame(
        {
            "line_id": [f"l{i:06d}" for i in range(rows)],
            "order_id": [f"o{i // 2:06d}" for i in range(rows)],
            "customer_id": [f"c{c}" for c in rng.integers(0, 300, rows)],
            "article_id": [f"a{a}" for a in rng.integers(0, 50, rows)],
            "ordered_at": ordered,
            "requested_at": ordered,
            "returned": (rng.random(rows) < 1 / (1 + np.exp(-margin))).astype(np.int8),
            "line_value_cents": rng.integers(100, 20_000, rows),
            "currency": ["EUR"] * rows,
            **{name: x[:, j] for j, name in enumerate(FEATURES[:5])},
        }
    )


def warehouse(lines: pl.DataFrame) -> duckdb.DuckDBPyConnection:
    """The three tables that training and scoring read, filled from ``order_lines``."""
    con = duckdb.connect()
    con.register("given", lines.to_arrow())
    con.execute("CREATE SCHEMA core; CREATE SCHEMA features")
    con.execute(
        "CREATE TABLE core.orders AS SELECT line_id, order_id, customer_id, article_id, ordered_at, line_value_cents, currency, "
        "CASE line_value_cents % 2 WHEN 0 THEN 'even' END AS product_group, NULL::VARCHAR AS brand, 'web' AS device, "
        "CASE line_value_cents % 3 WHEN 0 THEN 'DE' ELSE 'FR' END AS country, NULL::VARCHAR AS payment_method, "
        "NULL::BOOLEAN AS is_returned FROM given"
    )
    con.execute(
        "CREATE TABLE core.outcomes AS SELECT line_id, ordered_at, ordered_at + INTERVAL 33 DAY AS mature_at, "
        "(ordered_at + INTERVAL 33 DAY)::DATE::TIMESTAMP + INTERVAL 1 DAY AS known_at, returned FROM given"
    )
    # returns take 2 to 18 days
    con.execute(
        "CREATE TABLE core.returns AS SELECT line_id, false AS is_cancellation, "
        "ordered_at + to_days(2 + (epoch(ordered_at)::BIGINT % 17)::INTEGER) AS returned_at, "
        "ordered_at + to_days(2 + (epoch(ordered_at)::BIGINT % 17)::INTEGER) AS known_at, false AS is_orphan FROM given "
        "WHERE returned = 1"
    )
    names = ", ".join(f"{name}::FLOAT AS {name}" for name in FEATURES)
    con.execute(
        f"CREATE TABLE features.order_lines AS SELECT ordered_at::DATE AS day, line_id, order_id, requested_at, "
        f"'{FEATURE_SET.hash}' AS feature_set_hash, {names} FROM given"
    )
    con.unregister("given")
    return con
