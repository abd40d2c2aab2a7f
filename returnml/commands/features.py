"""``returnml features``: the catalogue of the model's inputs, and the SQL that computes them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from returnml.commands.options import JsonOption

if TYPE_CHECKING:
    from returnml.features.feature_set import FeatureSet


def features(
    contains: Annotated[
        str | None, typer.Argument(metavar="NAME", help="Only features whose name contains this; with --sql: of this name.")
    ] = None,
    feature_set: Annotated[str | None, typer.Option("--set", help="Only this feature set, e.g. customer.")] = None,
    sql: Annotated[bool, typer.Option("--sql", help="Print the plan: the SQL that the batch engine runs, step by step.")] = False,
    as_json: JsonOption = False,
) -> None:
    """List the inputs of every feature set: name, key, source, operation, column, window, dtype, description."""
    from returnml.features.catalogue import catalogue
    from returnml.settings import load_settings
    from returnml.tasks.live_sets import live_feature_sets
    from returnml.tasks.registry import tasks

    own = load_settings().shop_attributes
    declared_sets = dict.fromkeys((*live_feature_sets(own), *(task.feature_set for task in tasks(own).values())))
    names = [declared.name for declared in declared_sets]
    if feature_set is not None and feature_set not in names:
        raise typer.BadParameter(f"{feature_set!r}: expected one of {', '.join(names)}", param_hint="--set")
    wanted = [declared for declared in declared_sets if feature_set in (None, declared.name)]
    if sql:
        if as_json:
            raise typer.BadParameter("a plan is printed as SQL", param_hint="--json")
        _print_plans(wanted, contains)
        return
    found = {
        declared: [feature for feature in catalogue(declared) if contains is None or contains in feature.name]
        for declared in wanted
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


def _print_plans(declared_sets: Sequence[FeatureSet], name: str | None) -> None:
    """The plans of whole feature sets, or of the feature of a name in those that have it; of nominal measurements."""
    from returnml.features.sql.duckdb import DUCKDB
    from returnml.features.sql.measured import nominal
    from returnml.features.sql.plan import Inputs, plan

    is_found = False
    for declared in declared_sets:
        derived = {d.name: d for d in declared.derived}
        if name is not None and name not in derived and name not in declared.raw_names:
            continue
        is_found = True
        inputs = Inputs("moments", declared.groups, declared.request, declared.basket)
        planned = plan(inputs, nominal(inputs.groups), DUCKDB)
        typer.echo(f"-- {name or 'every feature'} of {declared.name} version {declared.version}, for {DUCKDB.name}")
        typer.echo("-- widths are of nominal measurements: declared bits, every moment sees all that was known before it")
        if name in derived:
            typer.echo(f"-- {name} = {derived[name].description}, from {', '.join(derived[name].inputs)}; computed in Python")
        if name is not None:
            planned = planned.only(derived[name].inputs if name in derived else [name])
        typer.echo(f"\n{planned.text()}")
    if not is_found:
        known = ", ".join(declared.name for declared in declared_sets)
        raise typer.BadParameter(f"{name!r}: no feature of that name in {known}; `returnml features` lists them")
