"""What a replay does at night: the ledger's last days into the warehouse and from there into a new generation.

Two ways, the same tables: ``run_night`` calls the functions of the batch line that a generation rests on (a Dagster run a
night would take most of a replay's time), ``backfill`` starts the real ``daily_job``.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from contextlib import closing
from datetime import date
from pathlib import Path

from returnml.features.sets.order_line import ORDER_LINE
from returnml.instants import instant_us
from returnml.settings import Settings
from returnml.store.backend_choice import open_backend
from returnml.tasks.live_sets import FEATURE_SETS
from returnml.warehouse.answers.inference_tables import (
    MOMENTS,
    build_inference_log,
    build_moments,
)
from returnml.warehouse.answers.recomputed_vectors import (
    ConsistencyReport,
    build_consistency,
)
from returnml.warehouse.features.order_line_vectors import build_order_lines
from returnml.warehouse.features.tile_tables import build_tiles
from returnml.warehouse.ingest.cutoff import cut_off
from returnml.warehouse.ingest.raw_events import ingest_events
from returnml.warehouse.partition import open_warehouse
from returnml.warehouse.publishing.publication import publish_warehouse
from returnml_tests.drills.service import ROOT
from returnml_tests.warehouse.line import build_line


def run_night(settings: Settings, first: date, last: date) -> str:
    """Landing files and ledger of the days ``first`` to ``last`` to core, outcomes, tiles and a published generation.

    Returns:
        The generation's name.
    """
    with closing(open_warehouse(settings.paths.warehouse)) as con:
        ingest_events(con, settings.paths.ledger, first, last)
        build_line(con, settings.paths.landing, first, last, settings)
        for group in ORDER_LINE.groups:
            build_tiles(con, group, first, last)
        return publish_warehouse(con, FEATURE_SETS, instant_us(cut_off(con)), open_backend(settings)).name


def prove(settings: Settings, first: date, last: date) -> ConsistencyReport:
    """What the log says of these days, computed again and compared: what the assets do from the inference log on."""
    with closing(open_warehouse(settings.paths.warehouse)) as con:
        build_inference_log(con, settings.paths.inference_log, first, last)
        build_moments(con, first, last)
        build_order_lines(con, ORDER_LINE, first, last, MOMENTS)
        return build_consistency(con, ORDER_LINE, first, last)


def returnml(data: Path, environ: Mapping[str, str], *words: str) -> str:
    """Run a command on a data root.

    Returns:
        What it printed.

    Raises:
        RuntimeError: with what it printed, where it failed.
    """
    command = [sys.executable, "-m", "returnml.cli", *words, "--data", str(data)]
    done = subprocess.run(command, cwd=ROOT, env=dict(environ), capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(
            f"returnml {' '.join(words)} ended with {done.returncode}:\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
        )
    return done.stdout


def backfill(data: Path, environ: Mapping[str, str], first: date, last: date) -> list[str]:
    """The real daily job; returns the checks that failed."""
    said = returnml(data, environ, "backfill", "--from", first.isoformat(), "--to", last.isoformat(), "--json")
    return json.loads(said[said.index("{") :])["failed_checks"]
