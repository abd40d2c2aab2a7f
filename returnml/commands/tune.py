"""``returnml tune``: a study of training parameters, resumed where it was left."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from returnml.commands.line import known_range, run_job
from returnml.commands.options import DataOption, JsonOption
from returnml.commands.root import settings_of_root
from returnml.commands.run import report
from returnml.errors import Refusal
from returnml.tasks import CHECKOUT


def tune(
    task: Annotated[str, typer.Option(help="Whose parameters.")] = CHECKOUT,
    trials: Annotated[int | None, typer.Option(help="Finished trials to reach (setting `tuning.trials`).", min=1)] = None,
    minutes: Annotated[float | None, typer.Option(help="Begin no trial after this long (setting `tuning.minutes`).")] = None,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Search training parameters on folds before calibration and hold-out; run it again to go on, also after a kill."""
    import msgspec

    from returnml.modeling.training.tuning import read_best
    from returnml.tasks.registry import task_named

    wanted: dict[str, Any] = {name: value for name, value in (("trials", trials), ("minutes", minutes)) if value is not None}
    settings = settings_of_root(data, tuning=wanted or None)
    name = task_named(task).name
    done = run_job(settings, f"tune_{name}", *known_range(settings), is_quiet=as_json)
    if not done.success:
        report(done, as_json)
    # What is there may be of an earlier study; it is not what was asked for now.
    best = None if done.notes else read_best(settings.paths.tuning / name)
    if best is None:
        raise Refusal(f"{name}: {'; '.join(done.notes.values())}")
    if as_json:
        typer.echo(json.dumps(msgspec.to_builtins(best), indent=2))
        return
    training = settings.of_task(name).training
    typer.echo(f"best of {best.trials} trials: number {best.trial}, mean log loss {best.value:.5f} over the folds")
    for parameter, value in best.parameters.items():
        typer.echo(f"  {parameter:20}{value:>12g}   declared {getattr(training, parameter):g}")
    if training.parameters != "tuned":
        typer.echo('training takes them with training.parameters = "tuned"')
