"""``returnml status``: what was landed, what the warehouse holds, what serves."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import typer

from returnml.commands.findings import say_findings
from returnml.commands.opened import opened
from returnml.commands.options import DataOption, JsonOption
from returnml.commands.root import settings_of_root
from returnml.settings import DataPaths, Settings

if TYPE_CHECKING:
    from returnml.findings import Finding


def status(
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show landed days, tables, quarantine, refused files and what is deployed; exit code 1 where that cannot be trusted."""
    settings = settings_of_root(data)
    found, findings = _collect(settings)
    typer.echo(json.dumps(found, indent=2)) if as_json else _print(found, settings.paths)
    say_findings(findings, as_json)


def _collect(settings: Settings) -> tuple[dict[str, Any], list[Finding]]:
    import msgspec

    from returnml.contracts.columns import STREAMS
    from returnml.release.proof import proof_of
    from returnml.sources.landing import days
    from returnml.store.generation_manifest import (
        read_pointer,
    )
    from returnml.tasks.registry import tasks
    from returnml.warehouse.contents import warehouse_status

    paths = settings.paths
    found: dict[str, Any] = {"data": str(paths.root), "landing": {}, "tables": [], "quarantine": [], "refused_files": []}
    for stream in STREAMS:
        landed = days(paths.landing, stream)
        span = {"first": landed[0].isoformat(), "last": landed[-1].isoformat()} if landed else {}
        found["landing"][stream] = {"days": len(landed), **span}
    if paths.warehouse.exists():
        with opened(paths.warehouse, read_only=True) as con:
            found |= warehouse_status(con).as_data()
    proofs = {task: proof_of(settings, task) for task in tasks()}
    found["deployment"] = {task: proof.state.roles for task, proof in proofs.items()}
    findings = [finding for proof in proofs.values() for finding in proof.findings]
    found["generations"] = list(read_pointer(paths.store).generations) if paths.store.exists() else []
    return found | {"findings": msgspec.to_builtins(findings)}, findings


def _print(found: dict[str, Any], paths: DataPaths) -> None:
    typer.echo(f"data root  {paths.root}")
    typer.echo("landed")
    for stream, landed in found["landing"].items():
        typer.echo(f"  {stream:<12}{landed['days']:>6} days  {landed.get('first', '')} {landed.get('last', '')}".rstrip())
    typer.echo("warehouse" if found["tables"] else "warehouse  empty (returnml run)")
    for table in found["tables"]:
        span = f"{table['first_day']} {table['last_day']}"
        typer.echo(
            f"  {table['table']:<32}{table['rows']:>12,} rows  {table['days']:>5} days  {span}  {table['content_hash'][:12]}"
        )
    for entry in found["quarantine"]:
        typer.echo(f"  quarantined {entry['stream']}: {entry['rows']:,} rows, {entry['rule']}")
    for file in found["refused_files"]:
        column = f", column {file['column']}" if file["column"] else ""
        typer.echo(f"  refused {file['file']}{column}: {file['rule']}: {file['message']}")
    for task, roles in found["deployment"].items():
        for role, version in roles.items():
            typer.echo(f"{task:<16}{role:<11}{version or '-'}")
    typer.echo(f"online     {found['generations'][0] if found['generations'] else '-'}")
