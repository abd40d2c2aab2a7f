"""Training: seeded, deterministic LightGBM on float32, and the trees as data that export and scoring share."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from returnml.settings import TrainingSettings

if TYPE_CHECKING:
    import lightgbm as lgb

_NAN_IS_MISSING = 2 << 2
_DEFAULT_LEFT = 1 << 1


def parameters(settings: TrainingSettings) -> dict[str, Any]:
    """LightGBM parameters of a candidate. The same data, parameters and library version give the same trees."""
    return {
        "objective": "binary",
        "learning_rate": settings.learning_rate,
        "num_leaves": settings.num_leaves,
        "min_data_in_leaf": settings.min_data_in_leaf,
        "feature_fraction": settings.feature_fraction,
        "bagging_fraction": settings.bagging_fraction,
        "bagging_freq": 1,
        "lambda_l2": settings.lambda_l2,
        "seed": settings.seed,
        "num_threads": settings.threads,
        "deterministic": True,
        "force_row_wise": True,
        "verbose": -1,
    }


@dataclass(frozen=True)
class TreeModel:
    """One booster, or several whose log-odds are averaged; all thresholds are exactly representable as float32.

    Attributes:
        texts: the LightGBM model text of each booster, thresholds rounded down (see ``round_thresholds_down``).
        names: the input columns in order.
    """

    texts: tuple[str, ...]
    names: tuple[str, ...]

    def boosters(self) -> list[lgb.Booster]:
        import lightgbm as lgb

        return [lgb.Booster(model_str=text) for text in self.texts]

    def margin(self, x: np.ndarray) -> np.ndarray:
        """Log-odds before calibration.

        Args:
            x: float32, shape (n, len(names)).

        Returns:
            float64, shape (n,).
        """
        boosters = self.boosters()
        total = np.zeros(len(x))
        for booster in boosters:
            total += booster.predict(x, raw_score=True, num_threads=1)
        return total / len(boosters)

    def importance(self) -> np.ndarray:
        """Total gain by input as a share of all gain, float64, shape (len(names),)."""
        gain = np.sum([b.feature_importance("gain") for b in self.boosters()], axis=0)
        return gain / max(float(gain.sum()), np.finfo(float).tiny)


def train(
    x: np.ndarray,
    y: np.ndarray,
    names: Sequence[str],
    params: Mapping[str, Any],
    rounds: int,
    seeds: Sequence[int] | None = None,
    weight: np.ndarray | None = None,
) -> TreeModel:
    """Train one booster per seed.

    Args:
        x: float32, shape (n, features); missing is NaN. float64 is refused: its thresholds would fall between values
            that the exported model cannot tell apart.
        y: 0 or 1, shape (n,).
        names: the columns of ``x``.
        params: LightGBM parameters; ``seed`` is replaced where ``seeds`` are given.
        rounds: trees per booster.
        seeds: one booster each; default the one in ``params``.
        weight: of each row, shape (n,); default all one.

    Raises:
        TypeError: if ``x`` is not float32.
        ValueError: if only one class is present.
    """
    import lightgbm as lgb

    if x.dtype != np.float32:
        raise TypeError(f"training matrix is {x.dtype}; float32 is what serving sees")
    if len(np.unique(y)) != 2:
        raise ValueError(f"training needs returned and kept lines, got only y = {np.unique(y).tolist()}")
    texts = []
    for seed in seeds or [params["seed"]]:
        # Neutral column names: LightGBM forbids some characters, and the model text must not depend on wording.
        data = lgb.Dataset(x, y, weight=weight, params={"verbose": -1}, free_raw_data=True)
        booster = lgb.train({**params, "seed": seed}, data, rounds)
        texts.append(round_thresholds_down(booster.model_to_string()))
    return TreeModel(tuple(texts), tuple(names))


def round_thresholds_down(text: str) -> str:
    """Round every threshold of a LightGBM model text down to float32, and give every split a rule for NaN.

    For float32 inputs ``x <= t`` and ``x <= float32_below(t)`` are the same question, so that the rounded model is the
    original to the last bit, and its export, which holds float32 thresholds, agrees with it. Rounding to nearest may
    move a threshold above a training value and flip the rows that carry it.

    A column that was never missing in training has splits without a rule for NaN, which LightGBM then reads as 0;
    the rule is made explicit, as the exported graph has no other way to say it.
    """
    tree: list[str] = []
    out: list[str] = []
    for line in text.split("\n"):
        # Sizes in bytes change with the digits; the number of threads decides nothing and must not reach a hash.
        if line.startswith(("tree_sizes=", "[num_threads:")):
            continue
        if line.startswith("threshold="):
            tree = [repr(float(t)) for t in float32_below(np.array(_values(line), np.float64))]
            line = "threshold=" + " ".join(tree)
        elif line.startswith("decision_type="):
            line = "decision_type=" + " ".join(
                str(_with_nan_rule(int(d), float(t))) for d, t in zip(_values(line), tree, strict=True)
            )
        out.append(line)
    return "\n".join(out) + "\n"


def float32_below(values: np.ndarray) -> np.ndarray:
    """The largest float32 at most each value, as float64.

    >>> float(float32_below(np.array([0.1]))[0])
    0.09999999403953552
    """
    nearest = values.astype(np.float32)
    below = np.nextafter(nearest, np.float32(-np.inf))
    return np.where(nearest.astype(np.float64) > values, below, nearest).astype(np.float64)


def as_regression(text: str) -> str:
    """The same trees with the identity as link: their export gives log-odds instead of probabilities."""
    return re.sub(r"^objective=binary.*$", "objective=regression", text, count=1, flags=re.MULTILINE)


def _values(line: str) -> list[str]:
    return line.partition("=")[2].split()


def _with_nan_rule(decision: int, threshold: float) -> int:
    if decision & 1 or decision >> 2:
        return decision
    return _NAN_IS_MISSING | (_DEFAULT_LEFT if threshold >= 0.0 else 0)
