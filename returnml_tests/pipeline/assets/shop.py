"""A small shop in a data root of its own, and its line run through Dagster."""

from datetime import date
from pathlib import Path

from returnml.clock import VirtualClock
from returnml.commands.line import LineRun, run_job
from returnml.privacy.customers import AS_DELIVERED
from returnml.settings import Settings, load_settings
from returnml.sources.simulator.simulation import simulate
from returnml.sources.simulator.simulation_plan import (
    Plan,
    Scenario,
)
from returnml.warehouse.partition import open_warehouse
from returnml_tests.roots import rooted

START, DAYS = date(2025, 1, 1), 75
LAST = date(2025, 3, 16)
SMALL = {
    "RETURNML_TRAINING__ROUNDS": "40",
    "RETURNML_TRAINING__HOLDOUT_DAYS": "10",
    "RETURNML_TRAINING__CALIBRATION_DAYS": "7",
    "RETURNML_TRAINING__MIN_DATA_IN_LEAF": "20",
    "RETURNML_VARIANTS__NAMES": '["plain", "regularised", "logistic"]',
}


def settings_of(root: Path) -> Settings:
    return load_settings(environ=SMALL, data=str(root))


def open_shop(root: Path, lines_per_day: int = 100) -> Settings:
    settings = settings_of(rooted(root))
    simulate(Plan(START, DAYS, lines_per_day, 5, Scenario("none"), 30), settings.paths, VirtualClock(0), AS_DELIVERED)
    return settings


def run_line(settings: Settings) -> LineRun:
    return run_job(settings, "whole_line", START, LAST, is_quiet=True)


def content(settings: Settings) -> dict[str, tuple]:
    """Every table's rows: count, sum and exclusive or of row hashes."""
    con = open_warehouse(settings.paths.warehouse, read_only=True)
    try:
        names = [
            row[0] for row in con.execute("SELECT schema_name || '.' || table_name FROM duckdb_tables() ORDER BY 1").fetchall()
        ]
        found = {}
        for name in names:
            columns = ", ".join(f'"{row[0]}"' for row in con.execute(f"DESCRIBE {name}").fetchall())
            sql = f"SELECT count(*), sum(hash({columns})::HUGEINT), bit_xor(hash({columns})) FROM {name}"
            found[name] = con.execute(sql).fetchall()[0]
        return found
    finally:
        con.close()
