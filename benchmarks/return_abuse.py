"""``return_abuse`` on a simulated shop, from landing files to scores, and against the planted abusers.

Runs the line's own steps: landing files to core tables, ``features.returns``, snapshot, variants, gates, release and, where
it decides, the scores of the last days. Prints what the gates said, the figures on the hold-out beside the baselines, and
how the same scores order returns of planted abusers, which the line never reads, against all others. *Known*: with at least
one inspected return before.

    python -m benchmarks.return_abuse [--days 240] [--lines-per-day 1000] [--seed 1] [--variants NAME ...] [--data ROOT]

With ``--data`` a root that an earlier call has filled is read again.
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
from returnml.contracts.columns import STREAMS
from returnml.modeling.data.snapshot import Snapshot
from returnml.modeling.export.onnx_scoring import OnnxScorer
from returnml.modeling.fit.variants import chosen_variants
from returnml.modeling.judging.metrics import ScoredSample
from returnml.modeling.making.candidate import (
    Candidate,
    build_release,
)
from returnml.modeling.training.leaderboard import (
    as_markdown,
    choose,
    compare_variants,
)
from returnml.modeling.training.trained import train_variant
from returnml.modeling.training.training_data import training_data
from returnml.privacy.customers import AS_DELIVERED
from returnml.release.transitions import settle
from returnml.settings import Settings, load_settings
from returnml.sources.simulator.simulation import simulate
from returnml.sources.simulator.simulation_plan import Plan
from returnml.tasks.declared.return_abuse import TASK
from returnml.tasks.policies import policy_of
from returnml.warehouse.features.return_vectors import build_returns
from returnml.warehouse.ingest.cutoff import cut_off
from returnml.warehouse.ingest.outcomes import build_outcomes
from returnml.warehouse.ingest.raw_streams import ingest_raw
from returnml.warehouse.ingest.validate import build_core
from returnml.warehouse.partition import open_warehouse
from returnml.warehouse.scores.daily_scores import build_scores
from returnml.warehouse.training.training_rows import build_snapshot

START = date(2025, 1, 1)
SCORED_DAYS = 30
SHOWN = ("auc", "average_precision", "log_loss", "calibration_error")
CLOCK = VirtualClock(0)


def prepare(plan: Plan, settings: Settings) -> duckdb.DuckDBPyConnection:
    """The warehouse with the vectors of all returns, simulated and built unless it is there already."""
    is_built = settings.paths.warehouse.exists()
    con = open_warehouse(settings.paths.warehouse)
    if is_built:
        return con
    simulate(plan, settings.paths, CLOCK, AS_DELIVERED)
    last = plan.end - timedelta(days=1)
    for stream in STREAMS.values():
        ingest_raw(con, stream, plan.start, last, settings.paths.landing, settings)
        build_core(con, stream, plan.start, last)
    build_outcomes(con, plan.start, last, settings.label)
    began = time.perf_counter()
    report = build_returns(con, TASK.feature_set, plan.start, last)
    print(f"{report.rows:,} returns, {len(TASK.feature_set.outputs)} features each, in {time.perf_counter() - began:.1f} s")
    return con


def against_abusers(con: duckdb.DuckDBPyConnection, settings: Settings, snapshot: Snapshot, candidate: Candidate) -> None:
    """The hold-out's scores against who is a planted abuser."""
    table = snapshot.table()
    held = np.flatnonzero(table["anchor_at"].to_physical().to_numpy() >= candidate.evaluation.holdout_start_us)
    x = snapshot.matrix()[held]
    names = list(TASK.feature_set.outputs)
    truth = pl.read_parquet(sorted(settings.paths.truth.glob("*.parquet")), glob=False).select("line_id", "abuse")
    lines = con.sql("SELECT return_id AS row_id, line_id FROM core.returns").pl().join(truth, on="line_id")
    kind = table[held].join(lines, on="row_id", how="left", maintain_order="left")["abuse"].to_numpy()
    p = OnnxScorer(candidate.release.model).probability(x)
    y = table["label"].to_numpy()[held]
    before = x[:, names.index("inspected_customer_inspections_count_lifetime")]
    rate = x[:, names.index("inspected_customer_abuse_rate_lifetime")]
    for planted in ("wardrobing", "empty_box", "serial"):
        for who, rows in (("all", before >= 0), ("known", before >= 1), ("5 and more before", before >= 5)):
            chosen = rows & ((kind == planted) | (kind == "none"))
            is_planted = (kind[chosen] == planted).astype(np.int8)
            if not 0 < is_planted.sum() < len(is_planted):
                continue
            model, baseline = (ScoredSample(is_planted, s[chosen]).figures()["auc"] for s in (p, rate))
            found = y[chosen][is_planted == 1].mean()
            print(
                f"planted {planted:10} {who:18} {is_planted.sum():6,} of {len(is_planted):8,}   found {found:.1%}   "
                f"AUC {model:.4f}   by their own rate alone {baseline:.4f}"
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--days", type=int, default=240)
    parser.add_argument("--lines-per-day", type=int, default=1_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--variants", nargs="+", default=["plain", "monotone", "regularised"])
    parser.add_argument("--data", type=Path, default=None)
    args = parser.parse_args()
    settings = load_settings(environ={}, data=str(args.data or Path(tempfile.mkdtemp())))
    con = prepare(Plan(START, args.days, args.lines_per_day, args.seed), settings)
    until = cut_off(con)
    snapshot = build_snapshot(con, TASK, until, settings.paths.training, settings.label)
    print(f"{snapshot.rows:,} labelled returns, {snapshot.base_rate:.2%} of them abuse")
    began = time.perf_counter()
    training = settings.of_task(TASK.name).training
    data = training_data(snapshot, TASK, training)
    variants = chosen_variants(args.variants)
    trained = [train_variant(data, variant.recipe(training, data.names), training) for variant in variants]
    print(as_markdown(compare_variants(data, trained, training.seed)))
    candidate = build_release(choose(trained), data, TASK, settings, settings.paths.releases)
    print(f"trained and judged in {time.perf_counter() - began:.1f} s: {candidate.release.version}")
    for gate in candidate.verdict.gates:
        print(f"{'holds' if gate.passed else 'REJECTED':9}{gate.name}: {gate.reason}")
    found = candidate.evaluation
    print(f"hold-out: {found.rows:,} returns, {found.positives:,} abuse, {found.maturity}")
    for name in SHOWN:
        low, high = found.intervals[name]
        others = "   ".join(f"{rival} {figures[name]:.4f}" for rival, figures in found.baselines.items())
        print(f"{name:18} {found.figures[name]:.4f} ({low:.4f} to {high:.4f})   {others}")
    against_abusers(con, settings, snapshot, candidate)
    settled = settle(settings.paths.deployment_state(TASK.name), candidate.release, False, "benchmark", CLOCK)
    print(f"{settled.verdict}; decides: {settled.state.champion or 'none'}")
    if settled.state.champion:
        last = until.date() - timedelta(days=1)
        first = last - timedelta(days=SCORED_DAYS - 1)
        release = settings.paths.releases / settled.state.champion
        report = build_scores(con, TASK, release, first, last, policy_of(TASK, settings))
        reviewed = con.execute(
            "SELECT count(*) FILTER (action = 'review'), avg(probability) FILTER (action = 'review') FROM scores.returns"
        ).fetchall()[0]
        of = f"{report.rows:,} returns of {SCORED_DAYS} days"
        print(f"{TASK.score_table}: {of}, {reviewed[0]:,} to review, at {reviewed[1]:.2%} on average")


if __name__ == "__main__":
    main()
