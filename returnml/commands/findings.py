"""Findings on stderr, and the exit code that says whether one is damage."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from returnml.findings import Finding


def say_findings(findings: Sequence[Finding], as_json: bool) -> None:
    """Print them (with ``--json`` they are in the answer already); exit code 1 where something must be mended."""
    for finding in findings if not as_json else ():
        kind = "WRONG" if finding.is_damage else "note "
        place = f"{finding.where}: " if finding.where else ""
        typer.echo(f"{kind}  {place}{finding.what}", err=True)
        typer.echo(f"       {finding.meaning}", err=True)
        typer.echo(f"       mend: {finding.mend}", err=True)
    if any(finding.is_damage for finding in findings):
        raise typer.Exit(1)
