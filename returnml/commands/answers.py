"""``returnml replay`` and ``returnml explain``: one answered request, computed again and taken apart."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from returnml.commands.opened import opened
from returnml.commands.options import DataOption, JsonOption
from returnml.commands.refusal import day
from returnml.commands.root import settings_of_root
from returnml.errors import Refusal
from returnml.instants import instant
from returnml.settings import DataPaths, Settings

if TYPE_CHECKING:
    import numpy as np

    from returnml.ledger.answer_records import Answer
    from returnml.warehouse.answers.answer_recomputation import ReplayedLine
    from returnml.warehouse.answers.explain import Contribution

RequestArgument = Annotated[str, typer.Argument(help="`request_id` of the answer.", show_default=False)]
DayOption = Annotated[str | None, typer.Option("--day", help="Day of the answer (UTC); default: seek it, newest first.")]


def replay(request_id: RequestArgument, on: DayOption = None, data: DataOption = None, as_json: JsonOption = False) -> None:
    """Compute an answer again from the log and its release; exit code 1 where a bit differs."""
    settings = settings_of_root(data)
    answer = _answer(settings.paths, request_id, on)
    lines = _replayed(settings, answer)
    if as_json:
        typer.echo(
            json.dumps({**_about(answer), "lines": [asdict(n) | {"is_identical": n.is_identical} for n in lines]}, indent=2)
        )
    else:
        _print_about(answer)
        for n in lines:
            typer.echo(
                f"  {n.line_id}: probability {n.probability!r} replayed {n.replayed_probability!r}, expected cost "
                f"{n.expected_cost_cents} replayed {n.replayed_cost_cents}, "
                f"{n.action} replayed {n.replayed_action}: {'identical' if n.is_identical else 'DIFFERS'}"
            )
            for name in n.differing:
                typer.echo(f"    feature {name} differs")
    if not all(n.is_identical for n in lines):
        raise typer.Exit(1)


def explain(
    request_id: RequestArgument,
    on: DayOption = None,
    events: Annotated[int, typer.Option(help="How many of the latest events of each key to name.")] = 3,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show what an answer was made from: reasons, inputs, features, and the events behind every window."""
    from returnml.features.sets.attributed import order_line
    from returnml.warehouse.answers.answer_recomputation import (
        raw_values,
        served_vectors,
    )
    from returnml.warehouse.answers.explain import (
        contributions,
        unseen_events,
    )

    settings = settings_of_root(data)
    paths, declared = settings.paths, order_line(settings.shop_attributes)
    answer = _answer(paths, request_id, on)
    replayed = _replayed(settings, answer)
    raw = raw_values(answer, declared)
    served = served_vectors(answer, declared)
    vectors = served.tolist()
    reasons = _reasons(settings, answer, served)
    with opened(paths.warehouse, read_only=True) as con:
        behind = [contributions(con, declared, answer, raw, i, events) for i in range(answer.lines)]
        unseen = unseen_events(con, answer)
    found = [
        {
            "line_id": line.line_id,
            "probability": line.probability,
            "expected_cost_cents": line.expected_cost_cents,
            "action": line.action,
            "is_replayed_identically": line.is_identical,
            "reasons": reasons[i],
            "inputs": {name: values[i] for name, values in answer.inputs.items()},
            # NaN is no JSON
            "features": {n: None if v != v else v for n, v in zip(declared.outputs, vectors[i], strict=True)},
            "contributions": [asdict(c) | {"differing": c.differing} for c in behind[i]],
        }
        for i, line in enumerate(replayed)
    ]
    if as_json:
        typer.echo(json.dumps({**_about(answer), "events_not_ingested": unseen, "lines": found}, indent=2, default=str))
        return
    _print_about(answer)
    if unseen:
        typer.echo(
            f"the warehouse lacks {unseen} of the {answer.mark} events that were seen: BUT may say no more than that; "
            f"explain again after returnml backfill --from {answer.day} --to {answer.day}"
        )
    for line, made in zip(found, behind, strict=True):
        _print_line(line, made)


def _answer(paths: DataPaths, request_id: str, on: str | None) -> Answer:
    from returnml.ledger.answer_records import find

    answer = find(paths.inference_log, request_id, day(on, "--day") if on else None)
    if answer is None:
        raise Refusal(f"request {request_id!r} is not in the inference log below {paths.inference_log}")
    return answer


def _replayed(settings: Settings, answer: Answer) -> list[ReplayedLine]:
    from returnml.features.sets.attributed import order_line
    from returnml.release.folder import load_release, release_folder
    from returnml.warehouse.answers.answer_recomputation import (
        replay,
    )

    release = load_release(release_folder(settings.paths.releases, answer.release))
    return replay(answer, order_line(settings.shop_attributes), release.model)


def _reasons(settings: Settings, answer: Answer, vectors: np.ndarray) -> list[list[dict[str, Any]] | None]:
    """Of each line; None where the release holds no explainer."""
    import msgspec

    from returnml.features.sets.attributed import order_line
    from returnml.reasons.kernel import EXPLAINER_FILE, Explainer
    from returnml.reasons.ordering import Reasoner
    from returnml.release.folder import load_release, release_folder

    release = load_release(release_folder(settings.paths.releases, answer.release))
    if EXPLAINER_FILE not in release.manifest.files:
        return [None] * answer.lines
    reasoner = Reasoner(Explainer(release.read(EXPLAINER_FILE)), order_line(settings.shop_attributes))
    return [[msgspec.structs.asdict(r) for r in reasons] for reasons in reasoner.reasons(vectors)]


def _about(answer: Answer) -> dict[str, Any]:
    names = ("request_id", "order_id", "release", "role", "generation", "mark", "feature_set_hash", "worker", "latency_us")
    instants = ("requested_at", "visible_until", "derived_until")
    return {n: getattr(answer, n) for n in names} | {n: instant(getattr(answer, f"{n}_us")).isoformat() for n in instants}


def _print_about(answer: Answer) -> None:
    for name, value in _about(answer).items():
        typer.echo(f"{name:<17}{value}")


def _print_line(line: dict[str, Any], made: list[Contribution]) -> None:
    same = "replayed bit-identically" if line["is_replayed_identically"] else "REPLAYED DIFFERENTLY: see returnml replay"
    cost = line["expected_cost_cents"]
    typer.echo(
        f"\nline {line['line_id']}: probability {line['probability']:.4f}, expected cost {cost}, {line['action']} ({same})"
    )
    if line["reasons"] is None:
        typer.echo("  reasons   none: the release holds no explainer")
    for reason in line["reasons"] or ():
        value = "missing" if reason["value"] is None else f"{reason['value']:.6g}"
        typer.echo(f"  because   {reason['text']} ({reason['contribution']:+.2f}; {reason['feature']} {value})")
    typer.echo("  inputs    " + ", ".join(f"{n}={v}" for n, v in line["inputs"].items() if v is not None))
    typer.echo("  features")
    for name, value in line["features"].items():
        typer.echo(f"    {name:<52}{'missing' if value is None else f'{value:.6g}':>14}")
    typer.echo("  windows and the events behind them")
    for c in made:
        typer.echo(f"    {c.group} {'/'.join(c.key.values())}: {c.stream} known before {c.until}")
        for w in c.windows:
            since = f"from {w.since}" if w.since else "from the start"
            wrong = "" if w.logged == w.from_events else f"  BUT {w.from_events} from the warehouse's events"
            typer.echo(f"      {w.name:<50}{'missing' if w.logged is None else w.logged!s:>14}  {w.events} events {since}{wrong}")
        for event in c.latest:
            typer.echo("        " + ", ".join(f"{n} {v}" for n, v in event.items() if v is not None))
