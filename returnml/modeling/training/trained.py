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
from returnml.modeling.judging.out_of_time import Choice, choose_calibration, methods_for, progressive
from returnml.modeling.training.fitting import fit_at
from returnml.modeling.training.linear_baseline import linear_margin
from returnml.modeling.training.training_data import TrainingData
from returnml.release.plain import NotPlain, read_plain
from returnml.settings import TrainingSettings


class Trained(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A recipe at the rolling origins of a snapshot, before its refit and export.

    Attributes:
        snapshot: hash of what it was trained on.
        texts: LightGBM model texts (see ``TreeModel``) of the last origin, which the hold-out judges; a baseline has none and can
            only be looked at.
        choice: of the calibration, by the folds.
        calibration: of the last origin's model, by the folds' out-of-time scores.
        selection_loss: log loss on the folds, each calibrated by those before it: what the variant to release is chosen by.
        folds, holdout: log-odds before calibration of the test rows, by the model of their origin: float64 little-endian, in the
            snapshot's order.
        young: of the young rows, by the model of each origin, likewise; empty for a baseline.
    """

    recipe: Recipe
    snapshot: str
    texts: tuple[str, ...]
    choice: Choice
    calibration: Calibration
    selection_loss: float
    folds: tuple[bytes, ...]
    holdout: bytes
    young: tuple[bytes, ...]

    @property
    def is_baseline(self) -> bool:
        return not self.texts

    @property
    def margins(self) -> list[np.ndarray]:
        """Of each origin's test rows, the hold-out last: float64."""
        return [np.frombuffer(part, "<f8") for part in (*self.folds, self.holdout)]

    @property
    def probability(self) -> np.ndarray:
        """Of the hold-out's rows, float64, shape (n,)."""
        return self.calibration.probability(self.margins[-1])

    def said(self, data: TrainingData) -> list[np.ndarray]:
        """Of each origin's test rows what would have been said then: calibrated by the origins before, float64."""
        labels = [data.y[fold.test] for fold in data.split.origins]
        margins = self.margins
        return [progressive(self.choice.method, margins, labels, k) for k in range(len(margins))]

    @property
    def said_of_young(self) -> list[np.ndarray]:
        """Of the young rows by the model of each origin, the judged one last, all calibrated as that one: float64."""
        return [self.calibration.probability(np.frombuffer(part, "<f8")) for part in self.young]

    def model_for(self, data: TrainingData) -> TreeModel:
        """The trees that the hold-out judges.

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
    """Fit a recipe at every origin and calibrate; the same arguments give the same content.

    Args:
        training: how young rows are used, and with how many threads; all else is the recipe's.
    """
    margins: list[np.ndarray] = []
    texts: tuple[str, ...] = ()
    young: list[np.ndarray] = []
    for fold in data.split.origins:
        if recipe.rounds:
            model = fit_at(data, fold, recipe, training)
            texts = model.texts
            margins.append(model.margin(data.x[fold.test]))
            young.append(model.margin(data.young.x))
        else:
            margins.append(linear_margin(data, fold, recipe, training.seed))
    *before, _ = margins
    labels = [data.y[fold.test] for fold in data.split.folds]
    choice = choose_calibration(before, labels, methods_for(data.split.calibration_days))
    chosen_by = np.concatenate([progressive(choice.method, before, labels, k) for k in range(len(before))])
    return Trained(
        recipe=recipe,
        snapshot=data.snapshot.hash,
        texts=texts,
        choice=choice,
        calibration=choice.fitted(np.concatenate(before), np.concatenate(labels)),
        selection_loss=float(log_losses(np.concatenate(labels), chosen_by).mean()),
        folds=tuple(margin.astype("<f8").tobytes() for margin in before),
        holdout=margins[-1].astype("<f8").tobytes(),
        young=tuple(margin.astype("<f8").tobytes() for margin in young),
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
