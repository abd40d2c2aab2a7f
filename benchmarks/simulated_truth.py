"""The model against the simulator's own true probabilities: how much of what can be known it knows, and its calibration.

Simulates a shop, runs the line's own steps on it (landing files to features, snapshot, training, gates, ONNX), and holds
what the exported graph says of the hold-out against the truth, which the line never reads. *Share of the gain*: the AUC
above 0.5 as a share of what the true probabilities themselves reach on the same outcomes. The calibration error is
against the true probabilities, in equal-mass bins.

    python -m benchmarks.simulated_truth [--days 365] [--lines-per-day 1500] [--lines-per-customer 42] [--seed 1] [--data ROOT]

With ``--data`` a root that an earlier call has filled is read again. The reliability plot is ``reports/simulated_truth.png``
below the data root.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from datetime import date, timedelta
from pathlib import Path

import duckdb
import numpy as np
import polars as pl

from returnml.clock import VirtualClock
from returnml.contracts.columns import ORDERS, RETURNS
from returnml.features.sets.order_line import ORDER_LINE
from returnml.modeling.data.snapshot import Snapshot
from returnml.modeling.export.onnx_scoring import OnnxScorer
from returnml.modeling.judging.metrics import (
    CALIBRATION_BINS,
    ScoredSample,
    customer_weights,
)
from returnml.modeling.making.candidate import (
    Candidate,
    train_release,
)
from returnml.modeling.reports.plots import (
    INK,
    MODEL,
    new_figure,
    png,
)
from returnml.privacy.customers import AS_DELIVERED
from returnml.release.manifest import MODEL_FILE
from returnml.settings import Settings, load_settings
from returnml.sources.simulator.simulation import simulate
from returnml.sources.simulator.simulation_plan import Plan
from returnml.tasks.declared import return_risk
from returnml.warehouse.features.order_line_vectors import build_order_lines
from returnml.warehouse.ingest.cutoff import cut_off
from returnml.warehouse.ingest.outcomes import build_outcomes
from returnml.warehouse.ingest.raw_streams import ingest_raw
from returnml.warehouse.ingest.validate import build_core
from returnml.warehouse.partition import open_warehouse
from returnml.warehouse.training.training_rows import build_snapshot

START = date(2025, 1, 1)
REPLICATES = 200
HISTORY = (("none", 0, 0), ("1 to 9", 1, 9), ("10 to 29", 10, 29), ("30 and more", 30, 1 << 30))
"""Lines that the customer had ordered in the year before."""


def prepare(plan: Plan, settings: Settings) -> duckdb.DuckDBPyConnection:
    """The warehouse with the shop's features, simulated and built unless it is there already."""
    is_built = settings.paths.warehouse.exists()
    con = open_warehouse(settings.paths.warehouse)
    if is_built:
        return con
    simulate(plan, settings.paths, VirtualClock(0), AS_DELIVERED)
    first, last = plan.start, plan.end - timedelta(days=1)
    for stream in (ORDERS, RETURNS):
        ingest_raw(con, stream, first, last, settings.paths.landing, settings)
        build_core(con, stream, first, last)
    build_outcomes(con, first, last, settings.label)
    build_order_lines(con, ORDER_LINE, first, last)
    return con


def share_of_gain(y: np.ndarray, said: np.ndarray, truth: np.ndarray) -> tuple[float, float, float]:
    """AUC of the model and of the truth, and the model's share of the truth's gain over 0.5."""
    model, best = (ScoredSample(y, p).figures()["auc"] for p in (said, truth))
    return model, best, (model - 0.5) / (best - 0.5)


def interval(lines: pl.DataFrame) -> tuple[float, float]:
    """Of the share of the gain: 95%, by customer bootstrap."""
    y, said, truth, customer = (lines[name].to_numpy() for name in ("label", "said", "truth", "customer_id"))
    model, best = ScoredSample(y, said), ScoredSample(y, truth)
    shares = [
        (model.figures(w)["auc"] - 0.5) / (best.figures(w)["auc"] - 0.5) for w in customer_weights(customer, REPLICATES, seed=1)
    ]
    low, high = np.quantile(shares, (0.025, 0.975))
    return float(low), float(high)


def holdout(settings: Settings, snapshot: Snapshot, candidate: Candidate) -> pl.DataFrame:
    """The hold-out lines: what happened, what the exported graph said, what was true, and how much of the customer was known."""
    lines = snapshot.table()
    is_held = lines["anchor_at"].to_physical().to_numpy() >= candidate.evaluation.holdout_start_us
    x = snapshot.matrix()[is_held]
    said = OnnxScorer(candidate.release.read(MODEL_FILE)).probability(x)
    truth = pl.read_parquet(sorted(settings.paths.truth.glob("*.parquet")), glob=False).select(
        "line_id", truth="probability_label"
    )
    return (
        lines.filter(is_held)
        .with_columns(said=said.astype(np.float64), history=x[:, ORDER_LINE.outputs.index("customer_orders_count_365d")])
        .join(truth, left_on="row_id", right_on="line_id", validate="1:1", maintain_order="left")
    )


def reliability(said: np.ndarray, truth: np.ndarray, y: np.ndarray) -> tuple[pl.DataFrame, bytes]:
    """The equal-mass bins as a table, and as a plot."""
    parts = np.array_split(np.argsort(said, kind="stable"), CALIBRATION_BINS)
    table = pl.DataFrame(
        [(len(i), said[i].mean(), truth[i].mean(), y[i].mean()) for i in parts],
        schema=["lines", "said", "true", "came_back"],
        orient="row",
    )
    figure, axis = new_figure(1, 1, (5.5, 5.0))
    axis.plot([0, 1], [0, 1], color=INK, lw=0.8, ls="--", label="perfect")
    axis.plot(table["said"], table["true"], "o-", ms=4, color=MODEL, label="true probability")
    axis.plot(table["said"], table["came_back"], "x", ms=5, color=INK, label="came back")
    axis.set(title="Said and true, hold-out", xlabel="predicted probability", ylabel="mean of the bin")
    axis.legend(frameon=False)
    return table, png(figure)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--days", type=int, default=365)
    parser.add_argument("--lines-per-day", type=int, default=1_500)
    parser.add_argument("--lines-per-customer", type=int, default=42)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--data", type=Path, default=None)
    args = parser.parse_args()
    settings = load_settings(data=str(args.data or tempfile.mkdtemp()))
    plan = Plan(START, args.days, args.lines_per_day, args.seed, lines_per_customer=args.lines_per_customer)
    began = time.perf_counter()
    con = prepare(plan, settings)
    print(
        f"{plan.lines:,} lines of {plan.days} days, {plan.lines_per_customer} per customer: {time.perf_counter() - began:.0f} s"
    )
    began = time.perf_counter()
    snapshot = build_snapshot(con, return_risk.TASK, cut_off(con), settings.paths.training, settings.label)
    con.close()
    candidate = train_release(snapshot, return_risk.TASK, settings, settings.paths.releases)
    lines = holdout(settings, snapshot, candidate)
    print(f"{candidate.release.version}, {candidate.verdict.reason}: {time.perf_counter() - began:.0f} s")
    y, said, truth = (lines[name].to_numpy() for name in ("label", "said", "truth"))
    model, best, share = share_of_gain(y, said, truth)
    low, high = interval(lines)
    print(f"{len(y):,} hold-out lines of {lines['customer_id'].n_unique():,} customers, {y.mean():.1%} came back")
    print(f"AUC  truth {best:.4f}   model {model:.4f}   share of the gain over 0.5: {share:.1%} ({low:.1%} to {high:.1%})")
    error = ScoredSample(truth, said).figures()["calibration_error"]
    print(f"calibration error against the true probabilities {error:.4f}   mean said {said.mean():.4f} true {truth.mean():.4f}")
    print(f"correlation of said and true log-odds {np.corrcoef(_log_odds(said), _log_odds(truth))[0, 1]:.3f}")
    for name, least, most in HISTORY:
        part = lines.filter(pl.col("history").is_between(least, most))
        if part["label"].n_unique() == 2:
            found = share_of_gain(*(part[column].to_numpy() for column in ("label", "said", "truth")))
            print(
                f"  customer's lines in the year before: {name:12}{part.height:8,} lines   truth {found[1]:.4f}   "
                f"model {found[0]:.4f}   share {found[2]:.1%}"
            )
    table, plot = reliability(said, truth, y)
    print("reliability: lines, said, true, came back")
    for row in table.iter_rows():
        print("{:9,}{:9.4f}{:9.4f}{:9.4f}".format(*row))
    target = settings.paths.reports / "simulated_truth.png"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(plot)
    print(f"plot: {target}")


def _log_odds(p: np.ndarray) -> np.ndarray:
    return np.log(p / (1 - p))


if __name__ == "__main__":
    main()
