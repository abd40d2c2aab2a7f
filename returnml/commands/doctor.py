"""``returnml doctor``: whether the whole data root is as it should be."""

from __future__ import annotations

import typer

from returnml.commands.findings import say_findings
from returnml.commands.options import DataOption, JsonOption
from returnml.settings import load_settings


def doctor(data: DataOption = None, as_json: JsonOption = False) -> None:
    """Hold all parts of the data root against each other; each finding names its mend; exit code 1 where something is wrong."""
    import msgspec

    from returnml.clock import clock_of
    from returnml.files import readable_json
    from returnml.findings import damages
    from returnml.health.examination import examine

    settings = load_settings(data=data)
    found = examine(settings, clock_of(settings.replay_clock))
    if as_json:
        typer.echo(readable_json({"data": str(settings.paths.root), **msgspec.to_builtins(found)}).decode(), nl=False)
        say_findings(found.findings, as_json)
        return
    typer.echo(f"data root   {settings.paths.root}\nchecked     {', '.join(found.checked)}")
    for name, why in found.left_out.items():
        typer.echo(f"left out    {name}: {why}")
    wrong = len(damages(found.findings))
    typer.echo(f"found       {wrong or 'nothing'} wrong, {len(found.findings) - wrong} notes")
    say_findings(found.findings, as_json)
