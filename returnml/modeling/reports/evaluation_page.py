"""The evaluation as one self-contained HTML page."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from html import escape

from returnml.instants import day_of
from returnml.modeling.judging.evaluation import Evaluation
from returnml.modeling.judging.gates.verdict import Verdict
from returnml.tasks.declaration import Words

_STYLE = """
body{font:15px/1.5 system-ui,sans-serif;color:#222;max-width:980px;margin:2rem auto;padding:0 1rem}
h1{font-size:1.5rem}h2{font-size:1.15rem;margin-top:2rem}
table{border-collapse:collapse}td,th{padding:.25rem .8rem;border-bottom:1px solid #ddd;text-align:left;vertical-align:top}
.n{text-align:right;white-space:nowrap;font-variant-numeric:tabular-nums}
img{max-width:100%}code{background:#f4f4f4;padding:0 .2rem}
"""

CALIBRATION_NOTE = (
    "A replicate's calibration error is larger than the sample's by the noise of drawing, so that the interval may lie above it."
)

_NUMBER = r"[-+]?\d[\d,]*(\.\d+)?(e[-+]?\d+)?%?"
_FIGURE = re.compile(rf"(-|{_NUMBER}( (to|\+) {_NUMBER})?)?")

_FIGURES = {
    "auc": "AUC",
    "average_precision": "Average precision",
    "log_loss": "Log loss",
    "brier": "Brier score",
    "calibration_error": "Expected calibration error",
    "lift_top_1pct": "Lift in the riskiest 1%",
    "lift_top_5pct": "Lift in the riskiest 5%",
    "lift_top_10pct": "Lift in the riskiest 10%",
    "mean_probability": "Mean probability",
    "base_rate": "Share of labels that are 1",
}


def render_report(
    title: str, facts: dict[str, str], evaluation: Evaluation, verdict: Verdict, plots: dict[str, bytes], words: Words
) -> bytes:
    """Render the page.

    Args:
        title: heading.
        facts: what the model was made from, shown as a table.
        evaluation: figures with intervals and baselines.
        verdict: on the gates.
        plots: PNG by name, embedded.
        words: how the task's rows are spoken of.

    Returns:
        UTF-8 HTML without any reference to another file; the same arguments give the same bytes.
    """
    start = day_of(evaluation.holdout_start_us)
    parity = evaluation.parity
    summary = (
        f"{evaluation.rows:,} hold-out {words.rows} of {evaluation.customers:,} customers, {words.anchored} from {start} on; "
        f"{evaluation.positives:,} of them {words.positive}. Labels: {evaluation.maturity}. "
        f"95% intervals from {evaluation.replicates} customer-bootstrap replicates. {CALIBRATION_NOTE}"
    )
    proof = (
        f"ONNX against LightGBM: {parity.rows_over_tolerance} of {parity.rows:,} rows differ by more than {parity.tolerance:g} "
        f"(largest difference {parity.max_abs_difference:.2g}); {parity.single_rows_different} of {parity.single_rows} rows "
        "differ between one-row and batch calls."
    )
    return page(
        title,
        f"<p>{summary}</p>{quality_table(evaluation)}<p>{proof}</p>"
        f"<h2>Gates: {'all hold' if verdict.passed else 'rejected'}</h2>{gates_table(verdict)}"
        f"<h2>Made from</h2>{table(['', ''], [[name, value] for name, value in facts.items()])}{html_images(plots)}",
    )


def page(title: str, body: str) -> bytes:
    """A self-contained page: its heading, then HTML."""
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{escape(title)}</title><style>{_STYLE}</style>'
        f"<h1>{escape(title)}</h1>{body}</html>\n"
    ).encode()


def quality_table(evaluation: Evaluation) -> str:
    """The figures as an HTML table."""
    return table(["", "model", "95% interval", *evaluation.baselines], quality_rows(evaluation))


def quality_rows(evaluation: Evaluation) -> list[list[str]]:
    """Each figure: name, value, 95% interval, and the baselines' in their order."""
    rows = []
    for name, label in _FIGURES.items():
        low, high = evaluation.intervals[name]
        others = [f"{figures[name]:.4f}" for figures in evaluation.baselines.values()]
        rows.append([label, f"{evaluation.figures[name]:.4f}", f"{low:.4f} to {high:.4f}", *others])
    return rows


def gates_table(verdict: Verdict) -> str:
    """The gates as an HTML table."""
    rows = [[gate.name, "holds" if gate.passed else "REJECTED", gate.reason] for gate in verdict.gates]
    return table(["gate", "", "why"], rows)


def html_images(plots: Mapping[str, bytes]) -> str:
    """PNG by name, embedded below a heading each."""
    return "".join(f"<h2>{escape(name.capitalize())}</h2>{html_image(name, png)}" for name, png in plots.items())


def html_image(name: str, png: bytes) -> str:
    """A PNG, embedded."""
    return f'<img alt="{escape(name)}" src="data:image/png;base64,{base64.b64encode(png).decode()}">'


def table(head: list[str], rows: list[list[str]]) -> str:
    """Cells are escaped; without any heading there is no row of them. Columns of figures are flush right."""
    kinds = [' class="n"' if all(_FIGURE.fullmatch(cell) for cell in column) else "" for column in zip(*rows, strict=True)]
    kinds = kinds or [""] * len(head)
    return f"<table>{_row('th', head, kinds) if any(head) else ''}{''.join(_row('td', row, kinds) for row in rows)}</table>"


def markdown_table(head: list[str], rows: list[list[str]]) -> str:
    """The same as Markdown; a cell's bars, which would end it, become slashes."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', '/') for cell in line)} |" for line in lines)


def _row(tag: str, cells: list[str], kinds: list[str]) -> str:
    return f"<tr>{''.join(f'<{tag}{kind}>{escape(cell)}</{tag}>' for cell, kind in zip(cells, kinds, strict=True))}</tr>"
