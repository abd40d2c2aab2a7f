"""``returnml data``: what was delivered, and how two versions of a landing day differ."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Annotated, Any

import typer

from returnml.commands.options import DataOption, JsonOption
from returnml.commands.refusal import Commands
from returnml.commands.refusal import day as parsed_day
from returnml.commands.root import settings_of_root
from returnml.instants import instant

app = Commands(help="What was delivered: versions of landing days.", no_args_is_help=True)


@app.command("log")
def data_log(
    stream: Annotated[str | None, typer.Argument(help="orders, returns or inspections; default: all.")] = None,
    day: Annotated[str | None, typer.Option("--day", help="Only this day, YYYY-MM-DD.")] = None,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """List what was delivered: every version of every landing day."""
    from returnml.contracts.columns import STREAMS
    from returnml.sources.landing import history

    wanted = None if day is None else parsed_day(day, "--day")
    landing = settings_of_root(data).paths.landing
    files = [file for name in ([stream] if stream else STREAMS) for file in history(landing, name, wanted)]
    rows: list[dict[str, Any]] = [
        {
            "stream": file.stream,
            "day": file.day.isoformat(),
            "version": file.version,
            "rows": file.rows,
            "sha256": file.sha256,
            "delivered_at": f"{instant(file.delivered_at_us):%Y-%m-%d %H:%M:%S}",
            "source": file.source,
        }
        for file in files
    ]
    if as_json:
        typer.echo(json.dumps(rows))
        return
    for row in rows:
        typer.echo(
            f"{row['stream']:<12}{row['day']}  v{row['version']:<4}{row['rows']:>9,} rows  "
            f"{row['sha256'][:12]}  {row['delivered_at']}  {row['source']}"
        )
    typer.echo(f"{len(rows)} versions" if rows else f"nothing delivered below {landing}")


@app.command("diff")
def data_diff(
    day: Annotated[str, typer.Argument(help="YYYY-MM-DD.")],
    stream: Annotated[str, typer.Argument(help="orders, returns or inspections.")],
    old: Annotated[int | None, typer.Argument(help="Version; default: the one before the newer one.")] = None,
    new: Annotated[int | None, typer.Argument(help="Version; default: the current one.")] = None,
    limit: Annotated[int, typer.Option(help="Rows to print of each kind; --json prints all.")] = 20,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Compare two versions of a landing day: rows added, removed and changed, by id."""
    from returnml.sources.versions import diff_versions

    wanted = parsed_day(day, "DAY")
    difference = diff_versions(settings_of_root(data).paths.landing, stream, wanted, old, new)
    if as_json:
        answer = {
            "stream": stream,
            "day": day,
            "old_version": difference.old.version,
            "new_version": difference.new.version,
            "added": difference.added,
            "removed": difference.removed,
            "changed": [asdict(row) for row in difference.changed],
            "columns_added": difference.columns_added,
            "columns_removed": difference.columns_removed,
        }
        typer.echo(json.dumps(answer, default=str))
        return
    typer.echo(
        f"{stream} {day} v{difference.old.version} -> v{difference.new.version}: {len(difference.added)} rows added, "
        f"{len(difference.removed)} removed, {len(difference.changed)} changed"
    )
    for sign, columns in (("+", difference.columns_added), ("-", difference.columns_removed)):
        for column in columns:
            typer.echo(f"{sign} column {column}")
    for sign, ids in (("+", difference.added), ("-", difference.removed)):
        for row_id in ids[:limit]:
            typer.echo(f"{sign} {row_id}")
    for row in difference.changed[:limit]:
        typer.echo(f"~ {row.id}  " + ", ".join(f"{name}: {was} -> {is_now}" for name, (was, is_now) in row.values.items()))
    longest = max(len(difference.added), len(difference.removed), len(difference.changed))
    if longest > limit:
        typer.echo(f"(the first {limit} of each kind; --limit or --json for all)")
