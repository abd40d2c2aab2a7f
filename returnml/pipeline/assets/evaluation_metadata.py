"""The evaluation of a release as what Dagster's UI shows: figures, comparisons, plots."""

from __future__ import annotations

from typing import Any

import dagster as dg

from returnml.modeling.judging.evaluation import Evaluation
from returnml.modeling.judging.gates.verdict import Verdict
from returnml.modeling.making.candidate import REPORT_FILE
from returnml.pages import markdown_table
from returnml.pipeline.assets.line_asset import (
    below,
    picture,
)
from returnml.release.folder import Release
from returnml.settings import Settings


def gates_markdown(verdict: Verdict) -> str:
    """The gates as a table."""
    rows = [[gate.name, "holds" if gate.passed else "**rejected**", gate.reason] for gate in verdict.gates]
    return markdown_table(["gate", "", "why"], rows)


def evaluation_metadata(
    settings: Settings, release: Release, measured: Evaluation, verdict: Verdict, champion: Release | None
) -> dict[str, Any]:
    """Gates, figures with intervals, the champion's own figures (on its own hold-out), plots and the report's path."""
    metadata: dict[str, Any] = {
        "gates": dg.MetadataValue.md(gates_markdown(verdict)),
        "verdict": "passed" if verdict.passed else f"rejected: {verdict.reason}",
        "figures": dg.MetadataValue.md(_table(measured, champion)),
        "report": below(settings, release.path / REPORT_FILE),
        "holdout_lines": measured.rows,
        "maturity": str(measured.maturity),
        **measured.figures,
    }
    for name in sorted(release.manifest.files):
        if name.endswith(".png"):
            metadata[name.removeprefix("plots/").removesuffix(".png")] = picture(name, release.read(name))
    return metadata


def _table(measured: Evaluation, champion: Release | None) -> str:
    others = list(measured.baselines)
    head = ["figure", "candidate", "95% interval", *others, "champion, own hold-out"]
    rows = []
    for name, value in measured.figures.items():
        low, high = measured.intervals[name]
        held = champion.manifest.metrics.get(name) if champion else None
        cells = [
            name,
            f"{value:.4f}",
            f"{low:.4f} to {high:.4f}",
            *(f"{measured.baselines[other][name]:.4f}" for other in others),
            "" if held is None else f"{held:.4f}",
        ]
        rows.append(cells)
    return markdown_table(head, rows)
