"""Findings on stderr, and the exit code that says whether one is damage."""

from __future__ import annotations

from typing import Any

import typer


def say_findings(findings: list[dict[str, Any]], as_json: bool) -> None:
    """Print them (with ``--json`` they are in the answer already); exit code 1 where something must be mended."""
    for finding in findings if not as_json else ():
        kind = "WRONG" if finding["is_damage"] else "note "
        typer.echo(f"{kind}  {finding['where']}: {finding['what']}", err=True)
        typer.echo(f"       {finding['meaning']}", err=True)
        typer.echo(f"       mend: {finding['mend']}", err=True)
    if any(finding["is_damage"] for finding in findings):
        raise typer.Exit(1)
