"""How good next month's deployed scores are: the release that the line makes, the way before, and a model made by hand.

For each shop a release is made at a cut-off, and asked about the lines of the 28 days after it, whose labels nobody knew
then. *before*: the judged model itself is deployed, as it was until refits came. *hand-made*: LightGBM on the same features
and all mature lines, with the parameters of the baseline, not calibrated. Differences are from the hand-made model, with 95%
intervals by paired customer bootstrap.

    python -m benchmarks.models [--shared ../shared] [--data ROOT] [--shops NAME,NAME] [--months test|development]

With ``--data`` warehouses and months that an earlier call has made are read again. The exit code is 1 where a shop's interval
of log loss is wholly above 0, or its calibration error beyond the larger of 0.02 and the hand-made model's.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

import numpy as np

from benchmarks.models.measure import Month, measure
from benchmarks.models.shops import SHOPS
from returnml.modeling.judging.metrics import ScoredSample, paired_difference

MODELS = ("before", "after", "hand_made")
SHOWN = ("log_loss", "brier", "calibration_error", "auc")
MOST_CALIBRATION_ERROR = 0.02
REPLICATES = 1_000


def rows_of(name: str, month: Month) -> tuple[list[str], bool]:
    """The shop's lines of the table, and whether it is as good as it should be."""
    y, customer = np.array(month.y, np.int8), np.array(month.customer)
    samples = {model: ScoredSample(y, np.array(month.said[model])) for model in MODELS}
    figures = {model: sample.figures() for model, sample in samples.items()}
    lines = []
    is_good = True
    for model in MODELS:
        cells = [f"{figures[model][figure]:.4f}" if figure != "log_loss" else f"{figures[model][figure]:.5f}" for figure in SHOWN]
        beside = ""
        if model != "hand_made":
            value, low, high = paired_difference(samples[model], samples["hand_made"], customer, replicates=REPLICATES, seed=1)[
                "log_loss"
            ]
            beside = f"{value:+.5f} ({low:+.5f} to {high:+.5f})"
            if model == "after":
                allowed = max(MOST_CALIBRATION_ERROR, figures["hand_made"]["calibration_error"])
                is_good = low <= 0 and figures[model]["calibration_error"] <= allowed
        first = f"{name}: {len(y):,} lines, {y.mean():.2%} came back" if model == MODELS[0] else ""
        lines.append(f"| {first} | {model.replace('_', '-')} | {' | '.join(cells)} | {beside} |")
    return lines, is_good


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, default=Path("../shared"))
    parser.add_argument("--data", type=Path, default=None)
    parser.add_argument("--shops", default=",".join(shop.name for shop in SHOPS))
    parser.add_argument("--months", choices=("test", "development"), default="test")
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    root = args.data or Path(tempfile.mkdtemp())
    print("| shop | model | log loss | Brier | calibration error | AUC | log loss against hand-made, 95% |")
    print("|---|---|---|---|---|---|---|", flush=True)
    notes, missed = [], []
    for shop in (shop for shop in SHOPS if shop.name in args.shops.split(",")):
        month = measure(shop, getattr(shop, args.months), root, args.shared, args.threads)
        lines, is_good = rows_of(shop.name, month)
        print("\n".join(lines), flush=True)
        seconds = ", ".join(f"{name.replace('_', '-')} {spent:.0f} s" for name, spent in month.seconds.items())
        rejected = f"rejected by {', '.join(month.rejected)}" if month.rejected else "every gate holds"
        notes.append(f"* {shop.name}: variant {month.variant}, calibration {month.calibration}, {rejected}; made in: {seconds}. "
                     f"{month.reasons['refit_is_close']}.")  # fmt: skip
        if not is_good:
            missed.append(shop.name)
    print("\n" + "\n".join(notes))
    print(f"\nworse than the hand-made model: {', '.join(missed) or 'none'}")
    sys.exit(1 if missed else 0)


if __name__ == "__main__":
    main()
