"""``returnml rates``: exchange rates into the shop's currency."""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from returnml.commands.options import DataOption, JsonOption
from returnml.commands.refusal import Commands
from returnml.commands.root import settings_of_root
from returnml.errors import Refusal

app = Commands(help="Exchange rates: amounts in other currencies are converted by them.", no_args_is_help=True)


class Quotation(StrEnum):
    """What a rate of the file says."""

    SHOP = "shop-per-foreign"
    FOREIGN = "foreign-per-shop"


@app.command("import")
def import_rates(
    file: Annotated[Path, typer.Argument(help="CSV: day, currency, rate; or Date and a column for each currency.")],
    quotation: Annotated[
        Quotation,
        typer.Option("--quoted", help="What a rate is: units of the shop's currency for one of the other, or the other way."),
    ],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be recorded, and record nothing.")] = False,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Record daily rates; all of the file or none. A rate that is recorded already, and another one for its day, change no
    amount that was converted before."""
    from returnml.clock import clock_of
    from returnml.exchange.rate_file import read_rates, record_rates, recording
    from returnml.instants import day_of
    from returnml.sources.exchange_rates import admit, read_quotes

    settings = settings_of_root(data)
    into = settings.shop.currency
    if into is None:
        raise Refusal("shop.currency is not declared: say first which currency the rates are into")
    path, age = settings.paths.exchange_rates, settings.shop.rate_max_age_days
    now_us = clock_of(settings.replay_clock).now_us()
    quotes = read_quotes(file, into, day_of(now_us))
    with recording(path):
        recorded = read_rates(path, into)
        admitted = admit(quotes, recorded, into, quotation is Quotation.FOREIGN, file.name, now_us, age)
        if admitted.rates and not dry_run:
            record_rates(path, admitted.rates)
    new = admitted.rates
    answer: dict[str, Any] = {
        "recorded": 0 if dry_run else len(new),
        "new": len(new),
        "repeated": admitted.repeated,
        "late": admitted.late,
        "currencies": sorted({rate.currency for rate in new}),
        "first": min((rate.day.isoformat() for rate in new), default=None),
        "last": max((rate.day.isoformat() for rate in new), default=None),
    }
    if as_json:
        typer.echo(json.dumps(answer))
        return
    verb = "would be recorded" if dry_run else "recorded"
    said = f" of {', '.join(answer['currencies'])}, {answer['first']} to {answer['last']}" if new else ""
    typer.echo(f"{len(new):,} rates {verb}{said}; {admitted.repeated:,} were there already")
    if admitted.late:
        typer.echo(f"{admitted.late:,} are of days that had a rate to go by: they hold from now on, and change nothing before")


@app.command("list")
def list_rates(data: DataOption = None, as_json: JsonOption = False) -> None:
    """What is recorded of each currency, and the rate that holds now."""
    from returnml.clock import clock_of
    from returnml.exchange.rate_file import read_rates
    from returnml.exchange.rates import Rates

    settings = settings_of_root(data)
    into = settings.shop.currency
    recorded = read_rates(settings.paths.exchange_rates, into)
    now_us = clock_of(settings.replay_clock).now_us()
    rates = Rates(recorded, settings.shop.rate_max_age_days)
    rows = []
    for currency in sorted(rates.currencies):
        days = [rate.day for rate in recorded if rate.currency == currency]
        held = rates.at(currency, now_us)
        rows.append(
            {
                "currency": currency,
                "rates": len(days),
                "first": min(days).isoformat(),
                "last": max(days).isoformat(),
                "holds_now": None if held is None else {"day": held.day.isoformat(), "rate": held.rate.as_written},
            }
        )
    if as_json:
        typer.echo(json.dumps(rows))
        return
    for row in rows:
        now: Any = row["holds_now"]
        said = f"1 {row['currency']} = {now['rate']} {into} ({now['day']})" if now else "none holds now: too old"
        typer.echo(f"{row['currency']}  {row['rates']:>7,} rates  {row['first']} to {row['last']}  {said}")
    if not rows:
        typer.echo(f"no rates into {into or 'any currency'} are recorded")
