"""``returnml demo``: from nothing to a scored order, with a readable summary."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Annotated, Literal

import typer

from returnml.commands.line import known_range, run_job
from returnml.commands.run import print_findings
from returnml.commands.signals import ended_by_signals
from returnml.errors import Refusal
from returnml.settings import Settings, load_settings
from returnml.tasks import CHECKOUT

FIRST_DAY = date(2025, 1, 1)
VARIANTS = ["plain", "monotone", "logistic"]
"""A demo must be quick: of the declared variants, enough to see that they are compared."""
YOUNG_SHOP = {
    "customer_risk": {
        "training": {"calibration_days": 10, "holdout_days": 16, "rounds": 100},
        "gates": {"max_calibration_error": 0.1},
    }
}
"""The customers of a shop that is months old change while the labels mature: it is split finer and asked for less."""


def demo(
    days: Annotated[int, typer.Option(help="Days to simulate.")] = 200,
    lines_per_day: Annotated[int, typer.Option(help="Mean order lines per day.")] = 1_000,
    seed: Annotated[int, typer.Option(help="Of the simulation.")] = 1,
    source: Annotated[str, typer.Option(help="simulate or online-retail.")] = "simulate",
    path: Annotated[Path | None, typer.Option(help="Folder of the Online Retail files.")] = None,
    port: Annotated[int | None, typer.Option(help="Port of the service; default: a free one.")] = None,
    data: Annotated[str | None, typer.Option("--data", help="Data root; default: below the usual one, by source.")] = None,
) -> None:
    """Fill a data root of its own, run the whole line through Dagster, serve, score one order and sum it all up."""
    if source not in ("simulate", "online-retail"):
        raise Refusal(f"--source {source!r}: simulate or online-retail")
    # Its own root: a demo must never mix its made-up shop with somebody's data.
    root = data or str(load_settings().paths.root / f"demo-{source}")
    # A quarter of the Online Retail rows, on some days nearly all, name no customer: known, and no broken delivery.
    quality = {"max_quarantined_share": 0.95} if source == "online-retail" else None
    settings = load_settings(data=root, quality=quality, variants={"names": VARIANTS}, tasks=YOUNG_SHOP)
    with ended_by_signals():
        _demonstrate(settings, source, path, days, lines_per_day, seed, port)


def _demonstrate(
    settings: Settings, source: str, path: Path | None, days: int, lines_per_day: int, seed: int, port: int | None
) -> None:
    from returnml.clock import SystemClock
    from returnml.commands.demo_service import score_one
    from returnml.commands.demo_summary import print_summary
    from returnml.release.proof import proven_state

    clock = SystemClock()
    started_us = clock.now_us()
    _fill(settings, source, path, days, lines_per_day, seed)
    first, last = known_range(settings)
    done = run_job(settings, "whole_line", first, last)
    if not done.success:
        print_findings(done)
        raise typer.Exit(1)
    if proven_state(settings, CHECKOUT).champion is None:
        typer.echo("no release decides: too little history, or the candidate was rejected or waits for approval", err=True)
        print_findings(done)
        raise typer.Exit(1)
    answer = score_one(settings, port, _customers(source, path, days, lines_per_day, seed))
    print_summary(settings, done, answer, (clock.now_us() - started_us) / 1e6)


def _customers(source: str, path: Path | None, days: int, lines: int, seed: int) -> list[str]:
    """What the shop calls its customers: whoever asks, asks by that."""
    from returnml.sources import online_retail
    from returnml.sources.simulator.simulation import shop_customers
    from returnml.sources.simulator.simulation_plan import Plan

    if path is not None and source == "online-retail":
        return online_retail.shop_customers(path)
    return shop_customers(Plan(FIRST_DAY, days, lines, seed))


def _fill(
    settings: Settings, source: Literal["simulate", "online-retail"] | str, path: Path | None, days: int, lines: int, seed: int
) -> None:
    from returnml.commands.sources import import_online_retail_command, simulate

    if source == "simulate":
        typer.echo(f"simulating {days} days of about {lines:,} order lines")
        simulate(days, lines, seed, "none", FIRST_DAY.isoformat(), str(settings.paths.root), False)
        return
    if path is None:
        raise Refusal("--source online-retail needs --path, the folder of the daily files")
    import_online_retail_command(path, str(settings.paths.root), False)
