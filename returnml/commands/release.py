"""``returnml release``: what was made, what became of it, and a person's word on it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from returnml.commands.findings import say_findings
from returnml.commands.options import DataOption, JsonOption
from returnml.commands.refusal import Commands, refused_files
from returnml.commands.root import require_root, settings_of_root
from returnml.errors import Refusal
from returnml.settings import PROFILES, Settings, load_settings

if TYPE_CHECKING:
    from returnml.release.deployment import DeploymentState
    from returnml.release.folder import Release

app = Commands(help="Releases: what was made, what became of it, and a person's word on it.", no_args_is_help=True)

Version = Annotated[str, typer.Argument(help="Of a release: the name of its folder.", show_default=False)]
By = Annotated[str, typer.Option("--by", help="Who says so; kept in the audit trail.")]
Why = Annotated[str, typer.Option("--why", help="Why; kept in the audit trail.")]
TaskOption = Annotated[str | None, typer.Option("--task", help="One task only; default: all.")]


@app.command("list")
def list_releases(task: TaskOption = None, data: DataOption = None, as_json: JsonOption = False) -> None:
    """List every candidate, newest data first: its role, or the gates that it failed; exit code 1 where something is damaged."""
    from returnml.release.folder import ReleaseError, load_release
    from returnml.release.proof import proof_of

    settings = settings_of_root(data)
    paths = settings.paths
    with refused_files():
        wanted = _tasks(task)
        proofs = [proof_of(settings, name) for name in wanted]
        held_by = [proof.state.roles for proof in proofs]
        roles = {held: role for by_role in held_by for role, held in by_role.items() if held}
        folders = [p for p in paths.releases.glob("*") if p.is_dir() and not p.name.startswith(".")]
        releases, damaged = [], {}
        for folder in folders:
            try:
                releases.append(load_release(folder))
            except ReleaseError as error:
                damaged[folder.name] = str(error)
        found = sorted((r for r in releases if r.manifest.task in wanted), key=lambda r: (-r.manifest.cut_off_us, r.version))
    rows: list[dict[str, Any]] = [
        {
            "version": r.version,
            "task": r.manifest.task,
            "role": roles.get(r.version),
            "rejected": r.manifest.rejected,
            "compared_with": r.manifest.compared_with,
            "auc": r.manifest.metrics.get("auc"),
            "log_loss": r.manifest.metrics.get("log_loss"),
            "maturity_days": r.manifest.metrics.get("maturity_days"),
            "mature_share": r.manifest.metrics.get("mature_share"),
        }
        for r in found
    ]
    if as_json:
        typer.echo(json.dumps(rows, indent=2))
    for row in rows if not as_json else ():
        status = row["role"] or ("rejected: " + ", ".join(row["rejected"]) if row["rejected"] else "-")
        figures = "" if row["auc"] is None else f"AUC {row['auc']:.4f}  log loss {row['log_loss']:.4f}  "
        if row["maturity_days"] is not None:
            figures += f"at {row['maturity_days']:g} days, {row['mature_share']:.0%} mature  "
        typer.echo(f"{row['version']}  {figures}{status}")
    for version, problem in sorted(damaged.items()):
        typer.echo(f"damaged  {version} ({roles.get(version) or 'no role'}): {problem}", err=True)
    say_findings([finding for proof in proofs for finding in proof.findings], as_json=False)
    if damaged:
        raise typer.Exit(1)


@app.command("show")
def show(version: Version, data: DataOption = None, as_json: JsonOption = False) -> None:
    """Show a release: what made it, its gates, and what was said about it; exit code 1 where that cannot be trusted."""
    import msgspec

    from returnml.modeling.fit.variants import recipe_of
    from returnml.modeling.judging.gates.verdict import (
        GATES_FILE,
        read_verdict,
    )
    from returnml.release.proof import proof_of

    settings = settings_of_root(data)
    with refused_files():
        release = _load(settings, version)
        proof = proof_of(settings, release.manifest.task)
        verdict = read_verdict(release) if GATES_FILE in release.manifest.files else None
        records = [r for r in proof.records if version in {*r.before.values(), *r.after.values()}]
    if as_json:
        found = {
            "manifest": release.manifest,
            "gates": verdict,
            "audit": records,
            "findings": msgspec.to_builtins(proof.findings),
        }
        typer.echo(msgspec.json.format(msgspec.json.encode(found), indent=2).decode())
        say_findings(proof.findings, as_json)
        return
    manifest = release.manifest
    typer.echo(f"{version}\n  snapshot    {manifest.training_snapshot[:32]}\n  policy      {manifest.policy_hash or '-'}")
    recipe = recipe_of(manifest.parameters) if "variant" in manifest.parameters else None
    typer.echo(f"  variant     {f'{recipe.variant}, parameters {recipe.origin}' if recipe else '-'}")
    typer.echo(f"  features    {manifest.feature_set} {manifest.feature_set_version} {manifest.feature_set_hash[:12]}")
    typer.echo(f"  compared    {manifest.compared_with or 'with no champion'}")
    for name, value in manifest.metrics.items():
        typer.echo(f"  {name:<28}{value:.6g}")
    for gate in verdict.gates if verdict else []:
        typer.echo(f"  {'holds   ' if gate.passed else 'REJECTED'}  {gate.name}: {gate.reason}")
    for r in records:
        typer.echo(f"  revision {r.revision}  {r.action} by {r.by}: {r.why}")
    say_findings(proof.findings, as_json)


@app.command("diff")
def diff(first: Version, second: Version, data: DataOption = None, as_json: JsonOption = False) -> None:
    """Compare two releases: every field of their manifests that differs."""
    settings = settings_of_root(data)
    with refused_files():
        before, after = (_flat(_load(settings, version)) for version in (first, second))
    changed = {
        name: [before.get(name), after.get(name)] for name in sorted({*before, *after}) if before.get(name) != after.get(name)
    }
    if as_json:
        typer.echo(json.dumps(changed, indent=2))
        return
    for name, (old, new) in changed.items():
        typer.echo(f"{name:<44}{_short(old)}  ->  {_short(new)}")


@app.command("approve")
def approve_command(version: Version, by: By, why: Why, data: DataOption = None) -> None:
    """Let the release that waits decide."""
    from returnml.release.transitions import approve

    _say(approve, settings_of_root(data), version, by, why, f"approved: {version} decides")


@app.command("reject")
def reject_command(version: Version, by: By, why: Why, data: DataOption = None) -> None:
    """Refuse the release that waits; it is kept."""
    from returnml.release.transitions import reject

    _say(reject, settings_of_root(data), version, by, why, f"rejected: {version} is kept and does not decide")


@app.command("set-aside")
def set_aside_command(version: Version, by: By, why: Why, data: DataOption = None) -> None:
    """Take a damaged release out of force and out of the folder of releases; it is kept below releases/.set-aside."""
    from returnml.clock import clock_of
    from returnml.release.setting_aside import set_aside

    settings = settings_of_root(data)
    with refused_files():
        changed = set_aside(settings, version, _tasks(None), by=by, why=why, clock=clock_of(settings.replay_clock))
    typer.echo(f"{version}: set aside")
    for task, state in changed.items():
        typer.echo(f"{task}: {state.champion or 'no release'} decides (revision {state.revision})")


@app.command("promote")
def promote_command(
    version: Version,
    to: Annotated[str, typer.Option("--to", help="Profile: staging or prod.")],
    by: By,
    why: Why,
    data: DataOption = None,
) -> None:
    """Copy a release that decided here to another profile's data root, where its settings say what becomes of it."""
    from returnml.clock import clock_of
    from returnml.release.promotion import promote

    if to not in PROFILES[1:]:
        raise Refusal(f"--to {to!r}: {' or '.join(PROFILES[1:])}")
    source = settings_of_root(data)
    # A variable names this profile's root; the other one's is in the file.
    environ = {name: value for name, value in os.environ.items() if name != "RETURNML_DATA"}
    target = load_settings(environ=environ | {"RETURNML_PROFILE": to}, declared=("data",))
    require_root(target)
    with refused_files():
        task = _load(source, version).manifest.task
        settled = promote(version, source, target, by=by, why=why, clock=clock_of(target.replay_clock))
    typer.echo(f"{version} is in {target.paths.releases}: {settled.verdict} ({settled.why})")
    _project(target, task, settled.state)


@app.command("reconcile")
def reconcile(task: TaskOption = None, data: DataOption = None) -> None:
    """Make MLflow's aliases repeat the deployment state again."""
    from returnml.release.proof import proven_state

    settings = settings_of_root(data)
    with refused_files():
        states = {name: proven_state(settings, name) for name in _tasks(task)}
    moved = [name for name, state in states.items() if _project(settings, name, state)]
    if not moved:
        typer.echo("every alias repeats the deployment state")


@app.command("rebuild")
def rebuild_command(version: Version, data: DataOption = None) -> None:
    """Make a release again from its manifest and snapshot, and compare every bit; exit code 1 where one differs."""
    from returnml.modeling.making.release_rebuilding import (
        rebuild,
    )
    from returnml.tasks.registry import task_named

    settings = settings_of_root(data)
    with refused_files():
        release = _load(settings, version)
        differing = rebuild(release, task_named(release.manifest.task, settings.shop_attributes), settings.paths)
    for name in differing:
        typer.echo(f"differs  {name}", err=True)
    if differing:
        raise typer.Exit(1)
    typer.echo(f"{version}: made again, every bit the same")


def _load(settings: Settings, version: str) -> Release:
    from returnml.release.folder import load_release, release_folder

    return load_release(release_folder(settings.paths.releases, version))


def _say(word: Callable[..., DeploymentState], settings: Settings, version: str, by: str, why: str, said: str) -> None:
    """Say ``approve`` or ``reject`` of a release, print what was said, and let MLflow's aliases follow."""
    from returnml.clock import clock_of
    from returnml.release.seal import seal_of

    with refused_files():
        clock = clock_of(settings.replay_clock)
        release = _load(settings, version)
        task = release.manifest.task
        state = word(settings.paths.deployment_state(task), release, by=by, why=why, clock=clock, seal=seal_of(settings.trail))
    typer.echo(f"{said} (revision {state.revision})")
    _project(settings, task, state)


def _tasks(named: str | None) -> list[str]:
    from returnml.tasks.registry import task_named, tasks

    return list(tasks()) if named is None else [task_named(named).name]


def _project(settings: Settings, task: str, state: DeploymentState) -> bool:
    """Say what was changed in MLflow, and whether anything was."""
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")  # else it tells of every table that it makes
    from returnml.modeling.mlflow.model_registry import project_aliases

    projected = project_aliases(state, task, settings.paths.mlflow)
    for role, number in projected.changed.items():
        typer.echo(f"MLflow      {role}: {f'version {number}' if number else 'removed'}")
    for role in projected.unregistered:
        typer.echo(f"MLflow      does not know the {role}: it was made in another data root")
    return bool(projected.changed or projected.unregistered)


def _flat(release: Release) -> dict[str, Any]:
    import msgspec

    found: dict[str, Any] = {}
    for name, value in msgspec.to_builtins(release.manifest).items():
        found |= {f"{name}.{key}": item for key, item in value.items()} if isinstance(value, dict) else {name: value}
    return found


def _short(value: object) -> str:
    text = "-" if value is None else str(value)
    return text if len(text) <= 40 else f"{text[:37]}..."
