"""``returnml features``: the catalogue of the model's inputs."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from returnml.commands.options import JsonOption


def features(
    contains: Annotated[str | None, typer.Argument(help="Only features whose name contains this.")] = None,
    feature_set: Annotated[str | None, typer.Option("--set", help="Only this feature set, e.g. customer.")] = None,
    as_json: JsonOption = False,
) -> None:
    """List the inputs of every feature set: name, key, source, operation, column, window, dtype, description."""
    from returnml.features.catalogue import catalogue
    from returnml.tasks.live_sets import FEATURE_SETS
    from returnml.tasks.registry import tasks

    declared_sets = dict.fromkeys((*FEATURE_SETS, *(task.feature_set for task in tasks().values())))
    names = [declared.name for declared in declared_sets]
    if feature_set is not None and feature_set not in names:
        raise typer.BadParameter(f"{feature_set!r}: expected one of {', '.join(names)}", param_hint="--set")
    found = {
        declared: [feature for feature in catalogue(declared) if contains is None or contains in feature.name]
        for declared in declared_sets
        if feature_set in (None, declared.name)
    }
    if as_json:
        rows = [{"feature_set": declared.name, **f.as_data()} for declared, listed in found.items() for f in listed]
        typer.echo(json.dumps(rows, indent=2))
        return
    for declared, listed in found.items():
        width = max((len(feature.name) for feature in listed), default=0)
        for feature in listed:
            typer.echo(f"{feature.name:<{width}}  {feature.source:<16} {feature.operation:<12} {feature.description}")
        typer.echo(f"{len(listed)} features of {declared.name} version {declared.version}, hash {declared.hash[:12]}")
