"""What training on young lines brings: the same snapshot and hold-out, ``training.young_lines`` excluded and weighted.

The simulated shop drifts 13 days before the hold-out begins (``sizing_change``), or not at all: in the first case only the
young lines have seen the new world.

    python -m benchmarks.young_lines [--scenario sizing_change] [--days 200] [--lines-per-day 300] [--seed 3] [--data ROOT]

With ``--data`` a root that an earlier call has filled is read again.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from datetime import date, timedelta
from pathlib import Path

import msgspec

from returnml.settings import Settings, load_settings
from returnml.sources.simulator.simulation_plan import (
    Plan,
    Scenario,
)
from returnml.tasks.declared import return_risk
from returnml.warehouse.ingest.cutoff import cut_off
from returnml.warehouse.partition import open_warehouse
from returnml.warehouse.training.training_rows import build_snapshot
from returnml_tests.roots import rooted

START = date(2025, 1, 1)
SHOWN = ("auc", "average_precision", "log_loss", "brier", "calibration_error", "mean_probability", "base_rate")


def build_features(settings: Settings, plan: Plan) -> None:
    os.environ["RETURNML_DATA"] = str(settings.paths.root)  # the code location reads its first day there
    from returnml.clock import VirtualClock
    from returnml.commands.line import run_job
    from returnml.privacy.customers import AS_DELIVERED
    from returnml.sources.simulator.simulation import simulate

    rooted(settings.paths.root)
    simulate(plan, settings.paths, VirtualClock(0), AS_DELIVERED)
    # The line's own evaluation may stop it, as a model of the old world is not calibrated in the new one.
    run_job(settings, "whole_line", plan.start, plan.end - timedelta(days=1), is_quiet=True)


def main() -> None:
    from returnml.modeling.making.candidate import train_release

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenario", type=Scenario, default=Scenario.SIZING_CHANGE)
    parser.add_argument("--days", type=int, default=200)
    parser.add_argument("--lines-per-day", type=int, default=300)
    parser.add_argument("--seed", type=int, default=3)
    parser.add_argument("--data", type=Path, default=None)
    args = parser.parse_args()
    root = args.data or Path(tempfile.mkdtemp())
    settings = load_settings(environ={}, data=str(root))
    if not settings.paths.warehouse.exists():
        build_features(settings, Plan(START, args.days, args.lines_per_day, args.seed, args.scenario))
    with open_warehouse(settings.paths.warehouse) as con:
        snapshot = build_snapshot(con, return_risk.TASK, cut_off(con), settings.paths.training, settings.label)
    for choice in ("exclude", "weighted"):
        training = msgspec.structs.replace(settings.training, young_lines=choice)
        candidate = train_release(
            snapshot, return_risk.TASK, msgspec.structs.replace(settings, training=training), settings.paths.releases
        )
        found = candidate.evaluation
        low, high = found.intervals["log_loss"]
        print(f"{choice:9}" + "".join(f"{name} {found.figures[name]:.4f}   " for name in SHOWN))
        print(f"{'':9}log loss {low:.4f} to {high:.4f}; {found.rows:,} hold-out lines, {found.maturity}")


if __name__ == "__main__":
    main()
