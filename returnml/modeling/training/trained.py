"""A trained variant: what came of one recipe on one snapshot, as a file that leaderboard and release are made from."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np

from returnml.files import (
    UNDECODABLE,
    replace_file,
    sha256,
)
from returnml.modeling.fit.boosting import TreeModel
from returnml.modeling.fit.calibration import Calibration
from returnml.modeling.fit.variants import (
    Recipe,
    VariantError,
)
from returnml.modeling.judging.metrics import log_losses
from returnml.modeling.training.fitting import fit
from returnml.modeling.training.linear_baseline import fit_linear
from returnml.modeling.training.training_data import TrainingData
from returnml.release.plain import NotPlain, read_plain
from returnml.settings import TrainingSettings


class Trained(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A variant before its export.

    Attributes:
        snapshot: hash of what it was trained on.
        texts: LightGBM model texts (see ``TreeModel``); a baseline has none and can only be looked at.
        problem: why the calibration does not rise; empty: it does.
        selection_loss: log loss on the calibration part, calibrated: what the variant to release is chosen by.
        holdout: probabilities of the hold-out's lines, float64 little-endian, in the snapshot's order.
    """

    recipe: Recipe
    snapshot: str
    texts: tuple[str, ...]
    calibration: Calibration
    problem: str
    selection_loss: float
    holdout: bytes

    @property
    def is_baseline(self) -> bool:
        return not self.texts

    @property
    def probability(self) -> np.ndarray:
        """Of the hold-out's lines, float64, shape (n,)."""
        return np.frombuffer(self.holdout, "<f8")

    def model_for(self, data: TrainingData) -> TreeModel:
        """The trees.

        Raises:
            VariantError: for a baseline, or another snapshot than it was trained on.
        """
        if self.is_baseline:
            raise VariantError(f"variant {self.recipe.variant} is a baseline: it is never released")
        if self.snapshot != data.snapshot.hash:
            raise VariantError(
                f"variant {self.recipe.variant} is of snapshot {self.snapshot[:12]}, not {data.snapshot.hash[:12]}"
            )
        return TreeModel(self.texts, tuple(data.names))


def train_variant(data: TrainingData, recipe: Recipe, training: TrainingSettings) -> Trained:
    """Train, calibrate, and score calibration part and hold-out; the same arguments give the same content.

    Args:
        training: how young lines are used, and with how many threads; all else is the recipe's.
    """
    part, held = data.x[data.split.calibration], data.x[data.split.holdout]
    if recipe.rounds:
        model, calibration, problem = fit(data, recipe, training)
        texts, margins = model.texts, (model.margin(part), model.margin(held))
    else:
        texts = ()
        margins, calibration, problem = fit_linear(data, recipe, training.seed)
    chosen_by, shown = (calibration.probability(margin) for margin in margins)
    return Trained(
        recipe=recipe,
        snapshot=data.snapshot.hash,
        texts=texts,
        calibration=calibration,
        problem=problem,
        selection_loss=float(log_losses(data.y[data.split.calibration], chosen_by).mean()),
        holdout=shown.astype("<f8").tobytes(),
    )


def write_trained(folder: Path, trained: Trained) -> str:
    """Write it under a name that says variant and content; returns the name."""
    content = msgspec.msgpack.encode(trained)
    name = f"{trained.recipe.variant}-{sha256(content)[:32]}.msgpack"
    if not (folder / name).exists():
        replace_file(folder / name, content)
    return name


def read_trained(folder: Path, name: str) -> Trained:
    """
    Raises:
        VariantError: naming the file, if it cannot be read or is not what was written.
    """
    file = folder / name
    try:
        content = read_plain(folder, name)
        if sha256(content)[:32] not in name:
            raise VariantError(f"{file}: its bytes are not those that it was named after")
        return msgspec.msgpack.decode(content, type=Trained)
    except OSError as error:
        raise VariantError(f"{file}: {error.strerror}") from error
    except (*UNDECODABLE, NotPlain) as error:
        raise VariantError(f"{file}: {error}") from error
