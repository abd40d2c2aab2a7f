"""Do the top reasons of planted simulator abusers and size-samplers name their habit?

Run: python -m returnml_tests.drills.habits --data ROOT      ROOT holds a simulated shop whose whole line has run, e.g. the demo's

Judged are the lines of the last 30 days, whose labels no training knew, against the simulator's truth. Exit code 1 unless

* sampling: of the lines whose article the order holds several times (sizes, colours), 95% have ``several_sizes`` among the
  first three reasons, and it is the first of most. (Other lines never have it: its claim is about just that.)
* abuse: of the lines of planted abusers who have three returns or more, so that there is a habit to know, 90% have
  ``customer_returns`` among the first three; and it is the first reason at least 1.5 times as often as on other customers' lines.

Abusers without such a history are printed, not judged: nothing tells them from others yet.
"""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

import numpy as np
import polars as pl

from returnml.features.sets.order_line import ORDER_LINE
from returnml.reasons.kernel import EXPLAINER_FILE, Explainer
from returnml.reasons.ordering import Reasoner
from returnml.release.deployment import read_state
from returnml.release.folder import load_release
from returnml.settings import DataPaths, load_settings
from returnml.warehouse.partition import open_warehouse

DAYS = 30
OTHERS = 4_000
KNOWN_RETURNS = 3
TOP = 3


def habits(paths: DataPaths) -> dict[str, dict[str, Any]]:
    """By kind of line: how many, and in what share of them the habit is among the first three reasons, and the first."""
    release = load_release(paths.releases / str(read_state(paths.deployment_state("return_risk")).champion))
    reasoner = Reasoner(Explainer(release.read(EXPLAINER_FILE)), ORDER_LINE)
    con = open_warehouse(paths.warehouse, read_only=True)
    columns = ", ".join(f'"{name}"' for name in ORDER_LINE.outputs)
    lines = con.sql(
        f"SELECT line_id, {columns} FROM features.order_lines WHERE day > (SELECT max(day) - {DAYS} FROM features.order_lines)"
    ).pl()
    con.close()
    truth = pl.read_parquet(sorted(paths.truth.glob("*.parquet")), glob=False).select("line_id", "abuse", "sizes_of_article")
    lines = lines.join(truth, on="line_id").sort("line_id")
    is_abuser = pl.col("abuse") != "none"
    others = lines.filter(~is_abuser)
    judged = pl.concat([lines.filter(is_abuser), others.sample(min(OTHERS, others.height), seed=1)])
    reasons = reasoner.reasons(judged.select(ORDER_LINE.outputs).to_numpy(order="c"))
    found = [[r.family for r in of] for of in reasons]
    abuser = (judged["abuse"] != "none").to_numpy()
    knows = (judged["customer_returns_count_365d"] >= KNOWN_RETURNS).to_numpy()
    samples = (judged["sizes_of_article"] > 1).to_numpy()

    def share(members: np.ndarray, habit: str) -> dict[str, Any]:
        of = [found[i] for i in np.flatnonzero(members)]
        n = max(len(of), 1)
        first = sum(families[:1] == [habit] for families in of) / n
        return {"lines": len(of), "among_first_three": sum(habit in f[:TOP] for f in of) / n, "first": first}

    return {
        "sampling": share(samples, "several_sizes"),
        "abusers with 3 returns": share(abuser & knows, "customer_returns"),
        "abusers, all": share(abuser, "customer_returns"),
        "others with 3 returns": share(~abuser & knows, "customer_returns"),
        "others, all": share(~abuser, "customer_returns"),
    }


def sampling_is_named(found: dict[str, dict[str, Any]]) -> bool:
    sampling = found["sampling"]
    return sampling["lines"] > 0 and sampling["among_first_three"] >= 0.95 and sampling["first"] > 0.5


def abuse_is_named(found: dict[str, dict[str, Any]]) -> bool:
    abuse, others = found["abusers with 3 returns"], found["others, all"]
    return abuse["lines"] > 0 and abuse["among_first_three"] >= 0.9 and abuse["first"] >= 1.5 * others["first"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", required=True)
    found = habits(load_settings(data=parser.parse_args().data).paths)
    print(json.dumps(found, indent=2))
    sys.exit(0 if sampling_is_named(found) and abuse_is_named(found) else 1)


if __name__ == "__main__":
    main()
