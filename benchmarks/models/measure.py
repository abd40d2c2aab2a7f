"""A release made at a cut-off, and what it says of the month after it."""

from __future__ import annotations

import time
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from benchmarks.models.before import hand_made, way_before
from benchmarks.models.shops import MONTH_DAYS, TASK, Shop, settings_of, warehouse_of
from returnml.files import replace_file
from returnml.instants import instant_us
from returnml.modeling.export.onnx_scoring import OnnxScorer
from returnml.modeling.fit.variants import chosen_variants
from returnml.modeling.making.candidate import build_release
from returnml.modeling.training.leaderboard import choose
from returnml.modeling.training.trained import train_variant
from returnml.modeling.training.training_data import training_data
from returnml.settings import Settings
from returnml.warehouse.training.training_rows import build_snapshot

END = timedelta(days=3650)
"""After every shop's last day: all labels are known then."""


class Month(msgspec.Struct, frozen=True, kw_only=True):
    """The lines of the days after a cut-off.

    Attributes:
        y, customer: labels and customers, as lists.
        said: probabilities by who says so: ``after`` (the deployed scores), ``before`` and ``hand_made``.
        variant, calibration: of the release.
        rejected: gates that did not hold.
        reasons: of every gate.
        seconds: that each took to make.
    """

    y: list[int]
    customer: list[str]
    said: dict[str, list[float]]
    variant: str
    calibration: str
    rejected: list[str]
    reasons: dict[str, str]
    seconds: dict[str, float]


def measure(shop: Shop, cut_off: date, root: Path, shared: Path, threads: int) -> Month:
    """Make the release and ask it, or read what was said before."""
    settings = settings_of(shop, root)
    file = settings.paths.root / "months" / f"{cut_off}.msgpack"
    if file.exists():
        return msgspec.msgpack.decode(file.read_bytes(), type=Month)
    at = datetime.combine(cut_off, datetime.min.time())
    with warehouse_of(shop, root, shared) as con:
        known = build_snapshot(con, TASK, at, settings.paths.training, settings.label)
        later = build_snapshot(con, TASK, at + END, settings.paths.training, settings.label)
    table, x = later.table(), later.matrix()
    anchor = table["anchor_at"].to_physical().to_numpy()
    is_next = (anchor >= instant_us(at)) & (anchor < instant_us(at + timedelta(days=MONTH_DAYS)))
    training = msgspec.structs.replace(settings.training, threads=threads)
    settings = msgspec.structs.replace(settings, training=training)
    data = training_data(known, TASK, training)
    seconds: dict[str, float] = {}
    said: dict[str, list[float]] = {}
    for name, make in (("hand_made", lambda: hand_made(data, threads)), ("before", lambda: way_before(data, training))):
        began = time.perf_counter()
        scores = make()
        seconds[name] = time.perf_counter() - began
        said[name] = scores(x[is_next]).tolist()
    began = time.perf_counter()
    trained = [train_variant(data, variant.recipe(training, data.names), training) for variant in _variants(settings)]
    chosen = choose(trained)
    candidate = build_release(chosen, data, TASK, settings, settings.paths.releases)
    seconds["after"] = time.perf_counter() - began
    said["after"] = OnnxScorer(candidate.release.model).probability(x[is_next]).astype(np.float64).tolist()
    month = Month(
        y=table["label"].to_numpy()[is_next].tolist(),
        customer=table["customer_id"].to_numpy()[is_next].tolist(),
        said=said,
        variant=chosen.recipe.variant,
        calibration=candidate.calibration.method,
        rejected=[gate.name for gate in candidate.verdict.failed],
        reasons={gate.name: gate.reason for gate in candidate.verdict.gates},
        seconds=seconds,
    )
    replace_file(file, msgspec.msgpack.encode(month))
    return month


def _variants(settings: Settings) -> list[Any]:
    return chosen_variants(("plain", "regularised"))
