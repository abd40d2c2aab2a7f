"""The evaluation as one self-contained HTML page."""

from __future__ import annotations

from returnml.instants import day_of
from returnml.modeling.judging.evaluation import Evaluation
from returnml.modeling.judging.gates.verdict import Verdict
from returnml.pages import html_images, page, table
from returnml.tasks.declaration import Words

CALIBRATION_NOTE = (
    "A replicate's calibration error is larger than the sample's by the noise of drawing, so that the interval may lie above it."
)


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
