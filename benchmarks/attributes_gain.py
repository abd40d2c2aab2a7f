"""What a shop's own columns are worth once they are declared: the product's gain as a share of a hand-made model's.

Simulates shops with columns of their own that matter (``Plan.has_own_columns``) and declares all four: birth date and
registration of the customer, material and supplier of the article. Three models learn from the same lines before the
hold-out, with the same LightGBM parameters and rounds:

* *without*: the product's features as every shop has them;
* *product*: the product's features with the declared attributes, by ``features.sets.attributed``;
* *hand-made*: the first one's features, and beside them the raw columns as a person would give them to LightGBM: age and tenure
  in days, material and supplier as its own categories.

The share is (AUC product - AUC without) / (AUC hand-made - AUC without), a seed at a time; over the seeds its mean with a
95% interval by Student's t.

    python -m benchmarks.attributes_gain [--seeds 5] [--days 240] [--lines-per-day 250] [--lines-per-customer 8]
"""

from __future__ import annotations

import argparse
import tempfile
import time
from datetime import date, timedelta
from pathlib import Path

import lightgbm as lgb
import msgspec
import numpy as np
import polars as pl
from scipy import stats

from returnml.clock import VirtualClock
from returnml.contracts.columns import ORDERS, RETURNS
from returnml.features.sets.attributed import order_line
from returnml.features.sets.order_line import ORDER_LINE
from returnml.modeling.judging.metrics import ScoredSample
from returnml.privacy.customers import AS_DELIVERED
from returnml.settings import Settings
from returnml.sources.simulator.simulation import simulate
from returnml.sources.simulator.simulation_plan import Plan
from returnml.warehouse.features.order_line_vectors import build_order_lines
from returnml.warehouse.ingest.outcomes import build_outcomes
from returnml.warehouse.ingest.raw_streams import ingest_raw
from returnml.warehouse.ingest.validate import build_core
from returnml.warehouse.partition import open_warehouse

START = date(2025, 1, 1)
WARM_UP_DAYS, HOLDOUT_DAYS = 30, 30
DECLARED = {
    "customer": {"birth_date": {"type": "date"}, "registered": {"type": "date", "column": "registered_on"}},
    "article": {"material": {"type": "category"}, "supplier": {"type": "category"}},
}
CATEGORIES = ("article_material", "article_supplier")


def lines_of(plan: Plan, root: Path) -> tuple[pl.DataFrame, list[str]]:
    """Every mature line: day, label, all features with the attributes', the raw columns; and the features' names."""
    settings = msgspec.convert({"data": str(root), "attributes": DECLARED}, Settings)
    own, declared = settings.shop_attributes, order_line(settings.shop_attributes)
    simulate(plan, settings.paths, VirtualClock(0), AS_DELIVERED)
    last = plan.end - timedelta(days=1)
    con = open_warehouse(settings.paths.warehouse)
    for stream in (ORDERS, RETURNS):
        ingest_raw(con, stream, plan.start, last, settings.paths.landing, settings)
        build_core(con, stream, plan.start, last, attributes=own)
    build_outcomes(con, plan.start, plan.end, settings.label, own)
    build_order_lines(con, declared, plan.start, last)
    names = list(declared.outputs)
    raw = ", ".join(f"o.{name} AS raw_{name}" for name in CATEGORIES)
    frame = con.sql(
        f"SELECT f.*, y.returned AS label, {raw} FROM features.order_lines f JOIN core.outcomes y USING (line_id) "
        "JOIN core.orders o USING (line_id) ORDER BY f.day, f.line_id"
    ).pl()
    con.close()
    return frame, names


def auc(train: pl.DataFrame, held: pl.DataFrame, columns: list[str], settings: Settings) -> float:
    """Of one model on the hold-out; string columns are LightGBM's own categories."""
    t = settings.training
    texts = [name for name in columns if train[name].dtype == pl.String]
    codes = {name: {v: i for i, v in enumerate(sorted(train[name].drop_nulls().unique().to_list()))} for name in texts}

    def matrix(frame: pl.DataFrame) -> np.ndarray:
        coded = [
            frame[n].replace_strict(codes[n], default=None, return_dtype=pl.Float32) if n in codes else frame[n] for n in columns
        ]
        return np.column_stack([c.cast(pl.Float32).to_numpy() for c in coded])

    data = lgb.Dataset(matrix(train), train["label"].to_numpy(), categorical_feature=[columns.index(n) for n in texts])
    parameters = {
        "objective": "binary", "seed": t.seed, "learning_rate": t.learning_rate, "num_leaves": t.num_leaves,
        "min_data_in_leaf": t.min_data_in_leaf, "feature_fraction": t.feature_fraction, "lambda_l2": t.lambda_l2,
        "bagging_fraction": t.bagging_fraction, "bagging_freq": 1, "num_threads": t.threads, "verbose": -1,
        "deterministic": True, "force_row_wise": True,
    }  # fmt: skip
    model = lgb.train(parameters, data, t.rounds)
    return ScoredSample(held["label"].to_numpy(), np.asarray(model.predict(matrix(held)), np.float64)).figures()["auc"]


def shares(plan: Plan) -> tuple[float, float, float]:
    """AUC without, of the product, and hand-made."""
    with tempfile.TemporaryDirectory() as folder:
        lines, names = lines_of(plan, Path(folder) / "data")
    first_held = lines["day"].to_list()[-1] - timedelta(days=HOLDOUT_DAYS)
    known = first_held - timedelta(days=33)  # labels known when the hold-out begins
    train = lines.filter((pl.col("day") >= plan.start + timedelta(days=WARM_UP_DAYS)) & (pl.col("day") < known))
    held = lines.filter(pl.col("day") >= first_held)
    base = list(ORDER_LINE.outputs)
    hand_made = [*base, "customer_birth_date_days", "customer_registered_days", *(f"raw_{name}" for name in CATEGORIES)]
    settings = Settings()
    return auc(train, held, base, settings), auc(train, held, names, settings), auc(train, held, hand_made, settings)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--days", type=int, default=240)
    parser.add_argument("--lines-per-day", type=int, default=250)
    parser.add_argument("--lines-per-customer", type=int, default=8)
    args = parser.parse_args()
    found = []
    print("seed   without   product   hand-made   gain of hand-made   share")
    for seed in range(1, args.seeds + 1):
        began = time.perf_counter()
        plan = Plan(START, args.days, args.lines_per_day, seed, lines_per_customer=args.lines_per_customer, has_own_columns=True)
        without, product, hand_made = shares(plan)
        found.append((product - without) / (hand_made - without))
        print(
            f"{seed:4}{without:10.4f}{product:10.4f}{hand_made:12.4f}{hand_made - without:20.4f}{found[-1]:8.1%}"
            f"   {time.perf_counter() - began:.0f} s",
            flush=True,
        )
    mean, error = float(np.mean(found)), float(stats.sem(found))
    low, high = stats.t.interval(0.95, len(found) - 1, mean, error)
    print(f"mean share of the gain over {len(found)} seeds: {mean:.1%} (95% interval {low:.1%} to {high:.1%})")


if __name__ == "__main__":
    main()
