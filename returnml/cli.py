"""The command line: ``returnml``. It only assembles the commands; what they do is in ``returnml.commands``."""

from __future__ import annotations

import sys

import typer

from returnml.commands.answers import explain, replay
from returnml.commands.backfill import backfill
from returnml.commands.consume import consume, dead_letters_command
from returnml.commands.data import app as data_app
from returnml.commands.demo import demo
from returnml.commands.dev import dev
from returnml.commands.doctor import doctor
from returnml.commands.evaluate import app as evaluate_app
from returnml.commands.export import export
from returnml.commands.features import features
from returnml.commands.forget import forget
from returnml.commands.logs import app as logs_app
from returnml.commands.policy import app as policy_app
from returnml.commands.publish_scores import publish_scores
from returnml.commands.rates import app as rates_app
from returnml.commands.refusal import Commands
from returnml.commands.release import app as release_app
from returnml.commands.run import run
from returnml.commands.score import score
from returnml.commands.serve import serve
from returnml.commands.sources import import_app, simulate
from returnml.commands.status import status
from returnml.commands.store import app as store_app
from returnml.commands.trail import app as trail_app
from returnml.commands.tune import tune
from returnml.commands.upgrade import upgrade

app = Commands(
    name="returnml",
    help="Which order lines will come back, what that will cost and what to do about it.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.command()(simulate)
app.add_typer(import_app, name="import")
app.add_typer(data_app, name="data")
app.add_typer(rates_app, name="rates")
app.command()(run)
app.command()(backfill)
app.command()(status)
app.command()(doctor)
app.command()(upgrade)
app.command()(features)
app.command()(export)
app.add_typer(evaluate_app, name="evaluate")
app.add_typer(store_app, name="store")
app.add_typer(release_app, name="release")
app.add_typer(trail_app, name="trail")
app.add_typer(logs_app, name="logs")
app.add_typer(policy_app, name="policy")
app.command()(tune)
app.command()(consume)
app.command("dead-letters")(dead_letters_command)
app.command()(score)
app.command()(publish_scores)
app.command()(explain)
app.command()(replay)
app.command()(forget)
app.command()(serve)
app.command()(dev)
app.command()(demo)


def main() -> None:
    """The console script. A command whose extra is not installed says which one it needs, with exit code 2."""
    from returnml.commands.extras import extra_command, missing_extra

    try:
        app()
    except ModuleNotFoundError as error:
        if (extra := missing_extra(error)) is None:
            raise
        typer.echo(
            f"refused: this command needs {error.name}, which the extra {extra!r} brings: {extra_command(extra)}", err=True
        )
        sys.exit(2)


if __name__ == "__main__":
    main()
