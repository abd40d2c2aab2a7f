"""``returnml evaluate``: quality against a reference, on real data."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from returnml.commands.options import DataOption, JsonOption
from returnml.commands.refusal import Commands
from returnml.settings import Settings, SettingsError, load_settings

if TYPE_CHECKING:
    import numpy as np
    import polars as pl

    from returnml.studies.online_retail_study import Study

RANKS = (0, 4, 16)
"""Of the factors that are tried; 0: only how much each customer and each article usually returns."""

app = Commands(help="Measure the model's quality on real data beside a reference.", no_args_is_help=True)

SharedOption = Annotated[Path, typer.Option(help="Folder with the daily files and the reference script.")]
ReplicatesOption = Annotated[int, typer.Option(help="Customer-bootstrap replicates.", min=20)]

BASELINE = "baselines/online_retail.py"
FILES = "data/online_retail_by_day"
_SHOWN = {
    "auc": "AUC",
    "average_precision": "average precision",
    "log_loss": "log loss",
    "brier": "Brier score",
    "calibration_error": "calibration error",
    "lift_top_1pct": "lift in the riskiest 1%",
    "lift_top_5pct": "lift in the riskiest 5%",
    "lift_top_10pct": "lift in the riskiest 10%",
}


@app.callback()
def _evaluate() -> None:
    """Measure the model's quality on real data beside a reference."""


@app.command("online-retail")
def online_retail(
    shared: SharedOption = Path("../shared"),
    reference: Annotated[
        Path | None, typer.Option(help="The reference's predictions (parquet); default: run its script.")
    ] = None,
    replicates: ReplicatesOption = 1_000,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Train on Online Retail lines before August 2011, compare with the reference on its test lines (September to 8 November)."""
    from returnml.features.sets.order_line import ORDER_LINE
    from returnml.studies.online_retail_study import (
        run_study,
    )

    settings = load_settings(data=data)
    lines, x = _lines(shared, settings)
    _progress("take the reference's predictions")
    predictions = _reference_predictions(shared, reference)
    _progress("train on rolling origins and on all lines before August, compare")
    study = run_study(lines, x, list(ORDER_LINE.outputs), predictions, replicates=replicates)
    if as_json:
        typer.echo(json.dumps(_as_data(study, settings.label.window_days), indent=2))
    else:
        typer.echo(_table(study, settings.label.window_days))


@app.command("ablation")
def ablation(
    shared: SharedOption = Path("../shared"),
    seeds: Annotated[int, typer.Option(help="Models averaged for each choice of features.", min=1, max=5)] = 2,
    replicates: ReplicatesOption = 200,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """What each group of features adds, on the rolling origins of Online Retail before August 2011. The test is not opened."""
    from returnml.features.sets.order_line import ORDER_LINE
    from returnml.studies.ablation import ablate
    from returnml.studies.online_retail_study import SEEDS

    settings = load_settings(data=data)
    lines, x = _lines(shared, settings)
    found = ablate(lines, x, ORDER_LINE, replicates=replicates, seeds=SEEDS[:seeds], progress=_progress)
    if as_json:
        typer.echo(json.dumps([asdict(one) for one in found], indent=2))
        return
    typer.echo("| features | inputs | AUC | AP | log loss | log loss against all features | 95% interval |")
    typer.echo("|---|---|---|---|---|---|---|")
    for one in found:
        value, low, high = one.differences["log_loss"]
        auc, precision, loss = (one.figures[name] for name in ("auc", "average_precision", "log_loss"))
        typer.echo(
            f"| {one.name} | {one.inputs} | {auc:.4f} | {precision:.4f} | {loss:.5f} | {value:+.5f} | {low:+.5f} to {high:+.5f} |"
        )


@app.command("factors")
def factors(
    shared: SharedOption = Path("../shared"),
    seeds: Annotated[int, typer.Option(help="Models averaged for each choice.", min=1, max=5)] = 2,
    replicates: ReplicatesOption = 200,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Whether factors of customers and articles add to the features, on the same origins. The test is not opened."""
    from returnml.features.sets.order_line import ORDER_LINE
    from returnml.studies.factors import try_factors
    from returnml.studies.online_retail_study import SEEDS

    lines, x = _lines(shared, load_settings(data=data))
    found = try_factors(lines, x, ORDER_LINE, RANKS, replicates=replicates, seeds=SEEDS[:seeds], progress=_progress)
    if as_json:
        typer.echo(json.dumps([asdict(one) for one in found], indent=2))
        return
    typer.echo("| rank | AUC | AP | log loss | AUC against features alone | log loss against features alone |")
    typer.echo("|---|---|---|---|---|---|")
    for one in found:
        auc, precision, loss = (one.figures[name] for name in ("auc", "average_precision", "log_loss"))
        apart = [f"{v:+.5f} ({low:+.5f} to {high:+.5f})" for v, low, high in (one.differences[n] for n in ("auc", "log_loss"))]
        typer.echo(f"| {one.rank} | {auc:.4f} | {precision:.4f} | {loss:.5f} | {apart[0]} | {apart[1]} |")


def _progress(step: str) -> None:
    typer.echo(f"... {step}", err=True)


def _lines(shared: Path, settings: Settings) -> tuple[pl.DataFrame, np.ndarray]:
    """Every line of the daily files with its vector, from a warehouse of the study's own.

    Raises:
        SettingsError: without the files.
    """
    import msgspec

    from returnml.clock import SystemClock
    from returnml.features.sets.order_line import ORDER_LINE
    from returnml.studies.online_retail_lines import (
        prepare,
        study_lines,
        study_paths,
    )

    if not (shared / FILES).is_dir():
        raise SettingsError(f"no daily files at {shared / FILES}: name the folder with --shared")
    own = msgspec.structs.replace(settings, data=str(study_paths(settings).root), go_live=None)
    con = prepare(shared / FILES, ORDER_LINE, own, SystemClock(), _progress)
    try:
        return study_lines(con, ORDER_LINE, settings.label.window_days)
    finally:
        con.close()


def _reference_predictions(shared: Path, file: Path | None) -> pl.DataFrame:
    import polars as pl

    if file is not None:
        if not file.exists():
            raise SettingsError(f"no reference predictions at {file}")
        return pl.read_parquet(file)
    script = shared / BASELINE
    if not script.exists():
        raise SettingsError(f"no reference script at {script}: name its predictions with --reference")
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "reference.parquet"
        done = subprocess.run([sys.executable, script, shared / FILES, out], capture_output=True, text=True, check=False)
        if done.returncode:
            raise SettingsError(f"the reference script failed: {done.stderr.strip()[-500:]}")
        return pl.read_parquet(out)


def _as_data(study: Study, window_days: int) -> dict[str, Any]:
    import msgspec

    maturity = {"window_days": window_days, "grace_days": 0, "mature_share": 1.0}
    return asdict(study) | {"parity": msgspec.to_builtins(study.parity), "maturity": maturity}


def _table(study: Study, window_days: int) -> str:
    out = [
        f"Online Retail: {study.rows:,} test lines of {study.customers:,} customers, {study.returned:,} returned "
        f"({study.returned / study.rows:.2%}); trained on {study.train_rows:,} lines with {study.inputs} features",
        f"labels: all through their return window of {window_days} days (no grace: the data end with the last window)",
        "",
        f"{'':26}{'ours':>10}{'reference':>11}{'difference':>12}   95% interval "
        f"({study.replicates} paired customer-bootstrap replicates)",
    ]
    for name, label in _SHOWN.items():
        value, low, high = study.differences[name]
        out.append(
            f"{label:26}{study.ours[name]:>10.4f}{study.reference[name]:>11.4f}{value:>+12.4f}   {low:+.4f} to {high:+.4f}"
        )
    base = study.returned / study.rows
    ours, theirs = study.ours["average_precision"] / base, study.reference["average_precision"] / base
    out += [
        f"{'AP, times the base rate':26}{ours:>10.2f}{theirs:>11.2f}{ours - theirs:>+12.2f}",
        "",
        "Rolling origins before September (what everything was chosen on):",
    ]
    for fold in study.folds:
        figures = fold.figures
        out.append(
            f"  from {fold.origin}: {fold.train_rows:,} train, {fold.test_rows:,} test lines, AUC {figures['auc']:.4f}, "
            f"AP {figures['average_precision'] / figures['base_rate']:.2f} x base"
        )
    parity = study.parity
    out.append(
        f"ONNX against LightGBM: {parity.rows_over_tolerance} of {parity.rows:,} test rows differ by more than "
        f"{parity.tolerance:g} (largest {parity.max_abs_difference:.2g})"
    )
    return "\n".join(out)
