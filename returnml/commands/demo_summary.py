"""The summary at the end of a demo."""

from __future__ import annotations

import sys
from shutil import which
from typing import Any

import typer

from returnml.commands.demo_service import Answer, riskiest_customers
from returnml.commands.line import LineRun
from returnml.settings import Settings
from returnml.tasks import CHECKOUT

RISKIEST = 8
SHOWN_REASONS = 3
CALIBRATION_GROUPS = 5


def print_summary(settings: Settings, done: LineRun, answer: Answer, seconds: float) -> None:
    """Quality, calibration, the riskiest lines of the last day, the HTTP answer and what to open next."""
    from returnml.release.folder import load_release, release_folder
    from returnml.release.proof import proven_state
    from returnml.warehouse.partition import open_warehouse

    paths = settings.paths
    version = proven_state(settings, CHECKOUT).champion
    release = load_release(release_folder(paths.releases, str(version)))
    con = open_warehouse(paths.published, read_only=True)
    try:
        calibration, learnt = _calibration(con, release.version)
        day, riskiest = _riskiest(con)
        why = _reasons(con, day)
    finally:
        con.close()
    metrics = release.manifest.metrics
    label = release.manifest.label
    _title("Quality on the hold-out (lines that no training saw)")
    typer.echo(
        f"  at maturity: {metrics['mature_share']:.0%} of the lines are through {label['window_days']} days of return window and "
        f"{label['grace_days']} of grace"
    )
    lift = metrics["average_precision"] / metrics["base_rate"]
    typer.echo(
        f"  AUC {metrics['auc']:.4f}   average precision {metrics['average_precision']:.4f} ({lift:.2f} times the base rate)   "
        f"Brier {metrics['brier']:.4f}   calibration error {metrics['calibration_error']:.4f}"
    )
    _title(f"Calibration: said and happened, matured lines by predicted probability ({learnt:,} of the training left out)")
    if not calibration:
        typer.echo("  none yet: every line that has matured was in training; those ordered since are scored")
    for said, happened, lines in calibration:
        typer.echo(f"  {said:>7.1%} said   {happened:>7.1%} came back   {lines:>9,} lines")
    _title(f"Riskiest lines of {day}, by expected cost")
    for line, customer, article, value, probability, cost, currency, action in riskiest:
        typer.echo(
            f"  {probability:>6.1%}  costs {cost / 100:>9,.2f} of {value / 100:>10,.2f} {currency}   {action:<8} "
            f"line {line}  customer {customer}  article {article}"
        )
        for text in why.get(line, [])[:SHOWN_REASONS]:
            typer.echo(f"{'':>10}because: {text}")
    _answer(answer)
    _customers(settings, answer)
    _title("What next")
    for check in done.failed_checks:
        typer.echo(f"  look at     check {check}")
    root = f" --data {paths.root}"
    typer.echo(f"  report      {release.path / 'report.html'}")
    for plot in sorted((paths.reports / "forecast").glob("returns-*.png"))[-1:]:
        typer.echo(f"  forecast    {plot}")
    typer.echo(f"  tables      {paths.published} (DuckDB, read only: scores.daily, forecast.*, monitoring.drift, quarantine.*)")
    command = _command()
    typer.echo(f"  graph       {command} dev{root}     then http://127.0.0.1:3000")
    typer.echo(f"  service     {command} serve --at cutoff{root}     then http://127.0.0.1:{settings.serving.port}/schema")
    typer.echo(f"done in {seconds:.0f} s; release {release.version}")


def _calibration(con: Any, release: str) -> tuple[list[tuple[float, float, int]], int]:
    """Groups of matured lines that the release had not learnt, and how many it had."""
    scored = "scores.daily s JOIN core.outcomes o USING (line_id) WHERE s.release = ?"
    (learnt,) = con.execute(f"SELECT count(*) FROM {scored} AND s.in_training", [release]).fetchall()[0]
    groups = con.execute(
        f"""
        SELECT avg(probability::DOUBLE), avg(returned), count(*) FROM (
            SELECT s.probability, o.returned, ntile({CALIBRATION_GROUPS}) OVER (ORDER BY s.probability, s.line_id) AS part
            FROM {scored} AND s.in_training IS NOT TRUE
        ) GROUP BY part ORDER BY part""",
        [release],
    ).fetchall()
    return groups, int(learnt)


def _riskiest(con: Any) -> tuple[Any, list[tuple[Any, ...]]]:
    (day,) = con.execute("SELECT max(day) FROM scores.daily").fetchall()[0]
    rows = con.execute(
        "SELECT line_id, customer_id, article_id, line_value_cents, probability, expected_cost_cents, currency, action "
        "FROM scores.daily WHERE day = ? ORDER BY expected_cost_cents DESC, line_id LIMIT ?",
        [day, RISKIEST],
    ).fetchall()
    return day, rows


def _reasons(con: Any, day: Any) -> dict[str, list[str]]:
    """By line: its reasons in words, the strongest first."""
    rows = con.execute("SELECT line_id, text FROM scores.reasons WHERE day = ? ORDER BY line_id, rank", [day]).fetchall()
    found: dict[str, list[str]] = {}
    for line, text in rows:
        found.setdefault(line, []).append(text)
    return found


def _answer(answer: Answer) -> None:
    response = answer.response
    _title(f"POST {answer.url}/v1/score: order {response['order_id']}, {answer.milliseconds:.1f} ms over HTTP")
    for line in response["lines"]:
        cost = line["expected_cost_cents"] / 100
        said = f"{line['probability']:.1%}   expected cost {cost:,.2f} {response['currency']}   {line['action']}"
        typer.echo(f"  line {line['line_id']}   {said}")
        for reason in line["reasons"][:SHOWN_REASONS]:
            typer.echo(f"{'':>10}because: {reason['text']}")
    features = response["features"]
    typer.echo(f"  release {response['release']}, features as of {features['cut_off']} ({features['generation']})")


def _command() -> str:
    """What a shell finds: the name where the environment is active, else the way it was called by."""
    return "returnml" if which("returnml") else sys.argv[0]


def _customers(settings: Settings, answer: Answer) -> None:
    """The second task: the riskiest customers of the last cut-off, one of them asked over HTTP."""
    found = riskiest_customers(settings, RISKIEST)
    if answer.risk is None:
        _title("Riskiest customers: no release of customer_risk decides (see the checks below)")
        return
    _title("Riskiest customers at the cut-off: will anything they order in the next 30 days come back?")
    for customer, probability, cost, currency, action in found:
        typer.echo(f"  {probability:>6.1%}  expected cost {cost / 100:>8,.2f} {currency}   {action:<8} customer {customer}")
    risk = answer.risk
    typer.echo(
        f"  GET {answer.url}/v1/customers/{risk['customer_id']}/risk: {risk['probability']:.1%}, {risk['action']} "
        f"(release {risk['release']})"
    )


def _title(text: str) -> None:
    typer.echo(f"\n{text}")
