"""Reasons: the explainer's kernel beside LightGBM's ``pred_contrib``, on the same rows and one thread.

Run: python -m benchmarks.reasons [--trees 300] [--leaves 31] [--rows 1000]

A model of real size over the real feature set. Printed: one line alone (p50, p99) by both, reasons of one line (families
and order on top), ``--rows`` lines at once by both, the largest difference, the size of the file, and the time to load it.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from functools import partial
from typing import TypeVar

import numpy as np

from returnml.features.sets.order_line import ORDER_LINE
from returnml.modeling.export.explainer import (
    build_explainer,
    prove_explainer,
)
from returnml.modeling.fit.boosting import (
    parameters,
    train,
)
from returnml.reasons.kernel import Explainer
from returnml.reasons.ordering import Reasoner
from returnml.settings import TrainingSettings

T = TypeVar("T")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trees", type=int, default=300)
    parser.add_argument("--leaves", type=int, default=31)
    parser.add_argument("--rows", type=int, default=1_000)
    options = parser.parse_args()
    x, y = _data(20_000)
    settings = TrainingSettings(threads=1, num_leaves=options.leaves)
    model = train(x, y, ORDER_LINE.outputs, parameters(settings), options.trees)
    content = build_explainer(model)
    explainer, load_ms = _timed(lambda: Explainer(content))
    reasoner, [booster] = Reasoner(explainer, ORDER_LINE), model.boosters()
    rows = x[: options.rows]

    def lightgbm(part: np.ndarray) -> np.ndarray:
        return np.asarray(booster.predict(part, pred_contrib=True, num_threads=1))

    proof = prove_explainer(explainer, model, x)
    _, batch_ms = _timed(lambda: reasoner.reasons(rows))
    _, lightgbm_ms = _timed(lambda: lightgbm(rows))
    found = {
        "trees": options.trees,
        "leaves": options.leaves,
        "kernel_one_ms": _alone(explainer.contributions, rows),
        "reasons_one_ms": _alone(reasoner.reasons, rows),
        "lightgbm_one_ms": _alone(lightgbm, rows),
        f"reasons_{len(rows)}_ms": round(batch_ms),
        f"lightgbm_{len(rows)}_ms": round(lightgbm_ms),
        "max_from_lightgbm": proof.max_from_lightgbm,
        "max_from_score": proof.max_from_score,
        "file_bytes": len(content),
        "load_ms": round(load_ms, 1),
    }
    print(json.dumps(found, indent=2))


def _data(rows: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1)
    x = rng.normal(size=(rows, len(ORDER_LINE.outputs))).astype(np.float32)
    x[:, ::3] = np.round(x[:, ::3] * 3)
    x[rng.random(x.shape) < 0.05] = np.nan
    margin = np.nan_to_num(x[:, :40]) @ rng.normal(0, 0.3, 40) + np.nan_to_num(x[:, 50] * x[:, 60])
    return x, (rng.random(rows) < 1 / (1 + np.exp(-margin))).astype(np.int8)


def _timed(run: Callable[[], T]) -> tuple[T, float]:
    started = time.perf_counter()
    result = run()
    return result, (time.perf_counter() - started) * 1_000


def _alone(run: Callable[[np.ndarray], object], rows: np.ndarray) -> dict[str, float]:
    times = [_timed(partial(run, rows[i : i + 1]))[1] for i in range(min(len(rows), 300))]
    return {"p50": round(float(np.median(times)), 3), "p99": round(float(np.quantile(times, 0.99)), 3)}


if __name__ == "__main__":
    main()
