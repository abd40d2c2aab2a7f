"""``returnml replay`` and ``returnml explain``: one answered request, computed again and taken apart."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from returnml.commands.opened import opened
from returnml.commands.options import DataOption, JsonOption
from returnml.commands.refusal import day
from returnml.commands.root import settings_of_root
from returnml.settings import DataPaths

if TYPE_CHECKING:
    from returnml.ledger.answer_records import Answer
    from returnml.warehouse.answers.answer_recomputation import ReplayedLine
    from returnml.warehouse.answers.explain import Contribution

RequestArgument = Annotated[str, typer.Argument(help="`request_id` of the answer.", show_default=False)]
DayOption = Annotated[str | None, typer.Option("--day", help="Day of the answer (UTC); default: seek it, newest first.")]


def replay(request_id: RequestArgument, on: DayOption = None, data: DataOption = None, as_json: JsonOption = False) -> None:
    """Compute an answer again from the log and its release; exit code 1 where a bit differs."""
    paths = settings_of_root(data).paths
    answer = _answer(paths, request_id, on)
    lines = _replayed(paths, answer)
    if as_json:
        typer.echo(
            json.dumps({**_about(answer), "lines": [asdict(n) | {"is_identical": n.is_identical} for n in lines]}, indent=2)
        )
    else:
        _print_about(answer)
        for n in lines:
            typer.echo(
                f"  {n.line_id}: probability {n.probability!r} replayed {n.replayed_probability!r}, expected cost "
                f"{n.expected_cost_cents} replayed {n.replayed_cost_cents}, "
                f"{n.action} replayed {n.replayed_action}: {'identical' if n.is_identical else 'DIFFERS'}"
            )
            for name in n.differing:
                typer.echo(f"    feature {name} differs")
    if not all(n.is_identical for n in lines):
        raise typer.Exit(1)


def explain(
    request_id: RequestArgument,
    on: DayOption = None,
    events: Annotated[int, typer.Option(help="How many of the latest events of each key to name.")] = 3,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show what an answer was made from: reasons, inputs, features, and the events behind every window."""
    from returnml.analysis.explanation import explained

    paths = settings_of_root(data).paths
    answer = _answer(paths, request_id, on)
    with opened(paths.warehouse, read_only=True) as con:
        found = explained(con, paths, answer, events)
    if as_json:
        typer.echo(json.dumps(found.as_data(), indent=2, default=str))
        return
    _print_about(answer)
    if found.events_not_ingested:
        typer.echo(
            f"the warehouse lacks {found.events_not_ingested} of the {answer.mark} events that were seen: BUT may say no more "
            f"than that; explain again after returnml backfill --from {answer.day} --to {answer.day}"
        )
    for line, made in zip(found.lines, found.behind, strict=True):
        _print_line(line, made)


def _answer(paths: DataPaths, request_id: str, on: str | None) -> Answer:
    from returnml.analysis.explanation import answer_of

    return answer_of(paths, request_id, day(on, "--day") if on else None)


def _replayed(paths: DataPaths, answer: Answer) -> list[ReplayedLine]:
    from returnml.analysis.explanation import replayed

    return replayed(paths, answer)


def _about(answer: Answer) -> dict[str, Any]:
    from returnml.analysis.explanation import about

    return about(answer)


def _print_about(answer: Answer) -> None:
    for name, value in _about(answer).items():
        typer.echo(f"{name:<17}{value}")


def _print_line(line: dict[str, Any], made: list[Contribution]) -> None:
    same = "replayed bit-identically" if line["is_replayed_identically"] else "REPLAYED DIFFERENTLY: see returnml replay"
    cost = line["expected_cost_cents"]
    typer.echo(
        f"\nline {line['line_id']}: probability {line['probability']:.4f}, expected cost {cost}, {line['action']} ({same})"
    )
    if line["reasons"] is None:
        typer.echo("  reasons   none: the release holds no explainer")
    for reason in line["reasons"] or ():
        value = "missing" if reason["value"] is None else f"{reason['value']:.6g}"
        typer.echo(f"  because   {reason['text']} ({reason['contribution']:+.2f}; {reason['feature']} {value})")
    typer.echo("  inputs    " + ", ".join(f"{n}={v}" for n, v in line["inputs"].items() if v is not None))
    typer.echo("  features")
    for name, value in line["features"].items():
        typer.echo(f"    {name:<52}{'missing' if value is None else f'{value:.6g}':>14}")
    typer.echo("  windows and the events behind them")
    for c in made:
        typer.echo(f"    {c.group} {'/'.join(c.key.values())}: {c.stream} known before {c.until}")
        for w in c.windows:
            since = f"from {w.since}" if w.since else "from the start"
            wrong = "" if w.logged == w.from_events else f"  BUT {w.from_events} from the warehouse's events"
            typer.echo(f"      {w.name:<50}{'missing' if w.logged is None else w.logged!s:>14}  {w.events} events {since}{wrong}")
        for event in c.latest:
            typer.echo("        " + ", ".join(f"{n} {v}" for n, v in event.items() if v is not None))
