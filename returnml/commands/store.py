"""``returnml store``: what the online store holds, publishing, proving and mending it."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from returnml.commands.opened import opened
from returnml.commands.options import DataOption, JsonOption
from returnml.commands.refusal import Commands, refused_files
from returnml.commands.root import settings_of_root
from returnml.errors import Refusal, Unavailable
from returnml.instants import (
    instant,
    instant_us,
)
from returnml.settings import Settings

if TYPE_CHECKING:
    from returnml.store.backend import Backend

app = Commands(help="The online store: what it holds, publishing, proving and mending it.", no_args_is_help=True)


@app.command("status")
def store_status(data: DataOption = None, as_json: JsonOption = False) -> None:
    """Show the generations, what the live part holds beside the published one, and the ledger."""
    from returnml.store.generation_manifest import (
        generation_folder,
        read_manifest,
        read_pointer,
    )
    from returnml.store.proving.verification import read_ledger, read_live

    settings = settings_of_root(data)
    with refused_files():
        backend = _backend(settings)
        live = read_live(backend)
        manifest = read_manifest(generation_folder(backend.root, live.generation)) if live.generation else None
        ledger = read_ledger(backend, manifest.ledger_seq if manifest else 0)
        kept = read_pointer(backend.root).generations
    found: dict[str, Any] = {
        "published": live.generation,
        "kept": kept,
        "cut_off": _text(manifest.cut_off_us) if manifest else None,
        "feature_sets": {s.name: s.hash for s in manifest.feature_sets} if manifest else {},
        "keys": sum(g.keys for g in manifest.groups) if manifest else 0,
        "bytes": manifest.database_bytes if manifest else 0,
        "ledger_seq": manifest.ledger_seq if manifest else 0,
        "live": {
            "mark": live.mark.seq,
            "known_at": _text(live.mark.known_at_us) if live.mark.seq else None,
            "keys": len(live.state),
            "bytes": live.bytes,
        },
        "ledger": {
            "segments": ledger.segments,
            "bytes": ledger.bytes,
            "last_seq": ledger.last.seq if ledger.last else 0,
            "last_known_at": _text(ledger.last.known_at_us) if ledger.last else None,
            "after_generation": ledger.after,
        },
    }
    if as_json:
        typer.echo(json.dumps(found, indent=2))
        return
    part, log = found["live"], found["ledger"]
    typer.echo(f"published   {found['published'] or '-  (returnml store publish)'}")
    if manifest is not None:
        served = ", ".join(f"{name} {digest[:12]}" for name, digest in found["feature_sets"].items())
        typer.echo(f"  cut-off   {found['cut_off']}, events up to {found['ledger_seq']}")
        typer.echo(f"  holds     {found['keys']:,} keys, {found['bytes']:,} bytes, for {served}")
    for name in kept:
        if name != live.generation:
            typer.echo(f"  kept      {name}")
    typer.echo(
        f"live part   {part['keys']:,} keys, {part['bytes']:,} bytes, events up to {part['mark']}, {part['known_at'] or '-'}"
    )
    typer.echo(f"ledger      {log['segments']} segments, {log['bytes']:,} bytes, events up to {log['last_seq']}, ", nl=False)
    typer.echo(f"{log['last_known_at'] or '-'}; {log['after_generation']:,} after the generation")


@app.command("publish")
def store_publish(
    cut_off: Annotated[
        str | None, typer.Option("--cut-off", help="Instant (UTC); default: start of today. What was known before it is in.")
    ] = None,
    data: DataOption = None,
) -> None:
    """Publish a generation from the warehouse. Refused where the warehouse lacks events of the ledger."""
    from returnml.clock import (
        clock_of,
    )
    from returnml.features.windows import DAY_US
    from returnml.store.backend_choice import open_backend
    from returnml.tasks.live_sets import live_feature_sets
    from returnml.warehouse.publishing.publication import (
        publish_warehouse,
    )

    settings = settings_of_root(data)
    now_us = clock_of(settings.replay_clock).now_us()
    until_us = now_us // DAY_US * DAY_US if cut_off is None else _instant_us(cut_off)
    if until_us > now_us:
        raise Refusal(f"--cut-off {_text(until_us)} is after now, {_text(now_us)}: events before it may still come")
    with opened(settings.paths.warehouse) as con, refused_files():
        generation = publish_warehouse(con, live_feature_sets(settings.shop_attributes), until_us, open_backend(settings))
    typer.echo(f"published {generation.name}: cut-off {_text(until_us)}, events up to {generation.manifest.ledger_seq}")


@app.command("verify")
def store_verify(data: DataOption = None) -> None:
    """Check every byte: generation, ledger, and that the live part follows from both; exit code 1 where it does not."""
    from returnml.store.proving.verification import verify_store
    from returnml.tasks.live_sets import live_feature_sets

    settings = settings_of_root(data)
    backend = _backend(settings)
    try:
        found = verify_store(backend, live_feature_sets(settings.shop_attributes)[0])
    except Unavailable:
        raise
    except (Refusal, OSError) as error:
        typer.echo(f"wrong: {error}", err=True)
        raise typer.Exit(1) from error
    if not (found.has("generation_damaged") or found.has("loaded_generation_differs")):
        typer.echo(f"generation  {found.generation}: every byte as in its manifest")
    last = found.ledger.last.seq if found.ledger and found.ledger.last else 0
    if found.ledger is not None and not found.has("ledger_lost_its_end"):
        typer.echo(f"ledger      {found.ledger.segments} segments, every record up to {last} as it was written")
    for finding in found.findings:
        typer.echo(f"wrong       {finding.what}\n            {finding.meaning}\n  mend      {finding.mend}", err=True)
    if found.findings:
        raise typer.Exit(1)
    waiting = last - found.live.mark.seq
    typer.echo(f"live part   {len(found.live.state):,} keys, all as generation and ledger give them up to {found.live.mark.seq}")
    if waiting:
        typer.echo(f"            {waiting} events of the ledger wait for the next writer, who applies them first")


@app.command("rebuild")
def store_rebuild(data: DataOption = None) -> None:
    """Build the live part anew from the published generation and the ledger; scoring goes on meanwhile."""
    from returnml.store.proving.verification import read_live, rebuild_store
    from returnml.tasks.live_sets import live_feature_sets

    settings = settings_of_root(data)
    with refused_files():
        backend = _backend(settings)
        generation = rebuild_store(backend, live_feature_sets(settings.shop_attributes)[0])
        live = read_live(backend)
    typer.echo(f"rebuilt     {len(live.state):,} keys, events up to {live.mark.seq}, beside {generation.name}")


@app.command("restore-ledger")
def store_restore_ledger(
    backup: Annotated[Path, typer.Argument(help="Folder with the segments (*.log) of a backup of the ledger.")],
    data: DataOption = None,
) -> None:
    """Put damaged segments of the event ledger right from a backup; events that came after it are kept, no record is lost."""
    from returnml.ledger.restoring import restore

    settings = settings_of_root(data)
    with refused_files():
        done = restore(settings.paths.ledger, backup)
    for name, count in done.items():
        typer.echo(f"restored    {name}: every record is as it was written; {count} bytes were not")


def _backend(settings: Settings) -> Backend:
    from returnml.store.backend_choice import open_backend

    if not settings.paths.store.exists():
        raise Refusal(f"{settings.paths.store}: nothing was published yet; returnml run, or returnml store publish")
    return open_backend(settings)


def _instant_us(text: str) -> int:
    try:
        return instant_us(datetime.fromisoformat(text))
    except ValueError:
        raise Refusal(f"--cut-off {text!r} is no instant, e.g. 2025-03-01T00:00") from None


def _text(at_us: int) -> str:
    return instant(at_us).isoformat()
