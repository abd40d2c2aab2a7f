"""``returnml trail``: whether what says who put what into force can be trusted, and mending it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from returnml.commands.findings import say_findings
from returnml.commands.options import DataOption, JsonOption
from returnml.commands.refusal import Commands, refused_files
from returnml.commands.root import settings_of_root
from returnml.errors import Refusal
from returnml.settings import Settings

app = Commands(help="Audit trails: proving them, and mending what does not agree.", no_args_is_help=True)

By = Annotated[str, typer.Option("--by", help="Who says so; kept in the trail.")]
Why = Annotated[str, typer.Option("--why", help="Why; kept in the trail.")]


@app.command("verify")
def verify(
    exported: Annotated[
        Path | None,
        typer.Option("--heads", help="What `returnml trail heads` wrote before: finds a trail that was written anew."),
    ] = None,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Prove every trail: chains, heads, states, manifests, signatures, erasures in the ledger; exit code 1 where one is wrong."""
    import msgspec

    from returnml.health.checks.trails import trail_findings
    from returnml.release.trail import lines
    from returnml.release.trail_heads import Heads, compare_heads

    settings = settings_of_root(data)
    with refused_files():
        findings = trail_findings(settings)
        trails = _trails(settings)
        if exported is not None:
            try:
                before = msgspec.json.decode(exported.read_bytes(), type=Heads)
            except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
                raise Refusal(f"{exported}: no exported heads can be read: {error}") from error
            findings += compare_heads(trails, before)
        broken = {f.where for f in findings if f.is_damage}
        counts = {name: len(lines(trail)) if str(trail) not in broken else None for name, trail in trails.items()}
    if as_json:
        answer = {"trails": counts, "findings": findings}
        typer.echo(msgspec.json.format(msgspec.json.encode(answer), indent=2).decode())
    for name, count in counts.items() if not as_json else ():
        typer.echo(f"{name:<16}{'not whole' if count is None else f'{count} records'}")
    say_findings(findings, as_json)


@app.command("heads")
def heads_command(
    out: Annotated[Path, typer.Argument(help="The file to write; keep it out of reach of who can write the data root.")],
    data: DataOption = None,
) -> None:
    """Export where every trail ends, for `trail verify --heads`; refused where a trail is wrong."""
    from returnml.clock import clock_of
    from returnml.files import (
        readable_json,
        replace_file,
    )
    from returnml.findings import damages
    from returnml.health.checks.trails import trail_findings
    from returnml.release.trail_heads import export_heads

    settings = settings_of_root(data)
    with refused_files():
        wrong = damages(trail_findings(settings))
        if wrong:
            raise Refusal(f"{len(wrong)} findings, the first: {wrong[0]}")
        found = export_heads(_trails(settings), clock_of(settings.replay_clock).now_us())
        replace_file(out, readable_json(found))
    for name, head in found.trails.items():
        typer.echo(f"{name:<16}{head.count:>6} records  {head.sha256}")


@app.command("anchor")
def anchor_command(data: DataOption = None) -> None:
    """Upgrade trails from before they were anchored, or from before there was a key; refused where they do not agree."""
    from returnml.release.commit import anchor
    from returnml.release.erasures import ERASURES, anchor_erasures
    from returnml.release.seal import seal_of

    settings = settings_of_root(data)
    seal = seal_of(settings.trail)
    with refused_files():
        for name, trail in _trails(settings).items():
            done = anchor_erasures(trail, seal) if name == ERASURES else anchor(settings.paths.deployment_state(name), seal)
            typer.echo(f"{name:<16}{done or 'nothing to do'}")


@app.command("mend")
def mend_command(
    what: Annotated[str, typer.Argument(help="A task, or `erasures`.")],
    by: By,
    why: Why,
    trust: Annotated[str | None, typer.Option("--trust", help="What is right: `state` or `trail`.")] = None,
    begin_anew: Annotated[bool, typer.Option("--begin-anew", help="Neither is: keep it aside and begin a trail.")] = False,
    data: DataOption = None,
) -> None:
    """Make state and trail agree again by a person's word, as `trail verify` names it; what was wrong is kept."""
    from returnml.clock import clock_of
    from returnml.health.checks.trails import erasures_of_ledger
    from returnml.release.commit import mend
    from returnml.release.erasures import ERASURES, mend_erasures
    from returnml.release.seal import seal_of
    from returnml.tasks.registry import task_named

    if begin_anew == (trust is not None) or trust not in (None, "state", "trail"):
        raise Refusal("say --trust state, --trust trail, or --begin-anew")
    settings = settings_of_root(data)
    with refused_files():
        clock, seal = clock_of(settings.replay_clock), seal_of(settings.trail)
        if what == ERASURES:
            if trust == "state":
                raise Refusal("erasures have no state: --trust trail or --begin-anew")
            told = list(erasures_of_ledger(settings, by, why))
            added = mend_erasures(settings.paths.erasures, told, is_anew=begin_anew, by=by, why=why, clock=clock, seal=seal)
            typer.echo(f"erasures: mended; {added} that only the ledger had were put into the trail")
            return
        path = settings.paths.deployment_state(task_named(what).name)
        trusted: Literal["state", "trail", "neither"] = "neither"
        if trust is not None:
            trusted = "state" if trust == "state" else "trail"
        state = mend(path, settings.paths.releases, trusted, by=by, why=why, clock=clock, seal=seal)
    typer.echo(f"{what}: mended (revision {state.revision}); {state.champion or 'no release'} decides")


def _trails(settings: Settings) -> dict[str, Path]:
    from returnml.release.trail_heads import trails_of
    from returnml.tasks.registry import tasks

    return trails_of(settings.paths, tasks())
