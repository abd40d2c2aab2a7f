"""``returnml features``: the catalogue of the model's inputs."""

from __future__ import annotations

import json
from typing import Annotated

import typer


def features(
    contains: Annotated[str | None, typer.Argument(help="Only features whose name contains this.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")] = False,
) -> None:
    """List the model's inputs: name, key, source, operation, column, window, dtype, description."""
    from returnml.features.catalogue import catalogue
    from returnml.features.order_line import ORDER_LINE

    found = [feature for feature in catalogue(ORDER_LINE) if contains is None or contains in feature.name]
    if as_json:
        typer.echo(json.dumps([feature.as_data() for feature in found], indent=2))
        return
    width = max((len(feature.name) for feature in found), default=0)
    for feature in found:
        typer.echo(f"{feature.name:<{width}}  {feature.source:<16} {feature.operation:<12} {feature.description}")
    typer.echo(f"{len(found)} features of {ORDER_LINE.name} version {ORDER_LINE.version}, hash {ORDER_LINE.hash[:12]}")
