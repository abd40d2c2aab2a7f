"""``returnml policy``: look at a policy, and try a new one on the lines that were scored."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from returnml.commands.opened import opened
from returnml.commands.options import DataOption, JsonOption
from returnml.commands.refusal import Commands
from returnml.commands.root import settings_of_root
from returnml.settings import Settings, load_settings
from returnml.tasks import CHECKOUT

if TYPE_CHECKING:
    from returnml.policy.document import Policy
    from returnml.studies.policy_comparison import (
        Change,
        Comparison,
    )

app = Commands(help="What is done about a probability: look at a policy, check one, try one.", no_args_is_help=True)

FileArgument = Annotated[Path, typer.Argument(help="Policy file (TOML).", show_default=False)]
SHOWN = 8


@app.command()
def show(
    file: Annotated[Path | None, typer.Argument(help="Policy file; default: the one that decides about order lines.")] = None,
) -> None:
    """Print a policy with all its defaults, as JSON."""
    import msgspec

    from returnml.policy.document import encode

    policy = _read(file) if file else _current(load_settings())
    typer.echo(msgspec.json.format(encode(policy), indent=2).decode())


@app.command()
def check(file: FileArgument) -> None:
    """Read a policy file; exit code 2 and the field where it cannot be read."""
    policy = _read(file)
    typer.echo(f"{file}: policy {policy.hash}, {len(policy.segments)} segments, {len(policy.product_groups)} product groups")


@app.command()
def replay(
    file: FileArgument,
    days: Annotated[int, typer.Option(help="How many of the last scored days.", min=1)] = 90,
    currency: Annotated[str | None, typer.Option(help="Which currency's lines, where there are several.")] = None,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Decide about scored lines again by a new policy, and compare with the current one: rates, expected costs, segments."""
    import msgspec

    from returnml.files import replace_file
    from returnml.studies.policy_report import (
        draw_policy_plots,
        render_policy_report,
    )
    from returnml.studies.policy_trial import (
        replay_policy,
    )

    new = _read(file)
    settings = settings_of_root(data)
    current = _current(settings)
    with opened(settings.paths.warehouse, read_only=True) as con:
        compared = replay_policy(con, current, new, days, currency)
    plots = draw_policy_plots(compared)
    folder = settings.paths.reports / "policy" / f"{new.hash}-beside-{current.hash}-{compared.last}"
    report = folder / "report.html"
    replace_file(report, render_policy_report(compared, plots))
    for name, image in plots.items():
        replace_file(folder / f"{name}.png", image)
    if as_json:
        typer.echo(json.dumps({**msgspec.to_builtins(compared), "report": str(report)}, indent=2))
        return
    _print(compared)
    typer.echo(f"report  {report}")


def _read(file: Path) -> Policy:
    from returnml.policy.document import read_policy

    return read_policy(file)


def _current(settings: Settings) -> Policy:
    """The one that decides about order lines."""
    from returnml.tasks.policies import policy_of
    from returnml.tasks.registry import refuse_unknown, task_named

    refuse_unknown(settings)
    return policy_of(task_named(CHECKOUT), settings)


def _print(compared: Comparison) -> None:
    from returnml.studies.policy_report import percent

    total = compared.total
    typer.echo(
        f"{total.lines:,} lines scored from {compared.first} to {compared.last}, decided again in {compared.seconds:.1f} s: "
        f"policy {compared.new_policy} beside {compared.current_policy}; {total.changed:,} lines change"
    )
    if compared.decided_otherwise:
        typer.echo(f"({compared.decided_otherwise:,} of them were scored under another policy than the current one)")
    if compared.in_training:
        typer.echo(f"({compared.in_training:,} lines are left out: they were in the training of the release that scored them)")
    for idle in compared.idle:
        typer.echo(f"note: {idle}")
    typer.echo(f"\n{'action':<10}{'current':>10}{'new':>10}{'came back':>12}{'(new)':>8}")
    for r in compared.actions:
        said = f"{percent(r.returned_before):>12}{percent(r.returned_after):>8}"
        typer.echo(f"{r.action:<10}{r.share_before:>10.2%}{r.share_after:>10.2%}{said}")
    typer.echo(f"\nexpected costs in {compared.currency}, by the new policy's costs and effects")
    _print_change(total)
    for dimension, changes in compared.dimensions.items():
        typer.echo(f"  by {dimension.replace('_', ' ')}, the largest differences")
        for change in changes[:SHOWN]:
            _print_change(change)
    typer.echo("\nwhat changes")
    for t in compared.transitions:
        if t.before != t.after:
            money = (t.cost_after_cents - t.cost_before_cents) / 100
            typer.echo(f"  {t.before:<9}to {t.after:<9}{t.lines:>10,} lines  {money:>+14,.2f}  came back {percent(t.returned)}")


def _print_change(change: Change) -> None:
    before, after, difference = (c / 100 for c in (change.cost_before_cents, change.cost_after_cents, change.difference_cents))
    lines = f"{change.lines:>10,} lines"
    typer.echo(f"    {change.name[:28]:<28}{lines}  {before:>14,.2f} to {after:>14,.2f}  {difference:>+14,.2f}")
