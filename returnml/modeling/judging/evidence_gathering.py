"""A candidate before its gates: gathers the evidence, the champion's scores of the same lines among it."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import polars as pl

from returnml.modeling.export.onnx_scoring import OnnxScorer
from returnml.modeling.judging.evaluation import (
    EVALUATION_FILE,
    read_evaluation,
)
from returnml.modeling.judging.gates.evidence import (
    HoldOut,
    Rival,
)
from returnml.policy.document import SEGMENT_COLUMNS
from returnml.release.folder import Release, load_release, release_folder
from returnml.release.manifest import Manifest


def holdout_of(table: pl.DataFrame, x: np.ndarray, rows: np.ndarray) -> HoldOut:
    """
    Args:
        table: of the snapshot; ``x`` its features.
        rows: row numbers of the hold-out.
    """
    part = table[rows]
    return HoldOut(
        x=x[rows],
        y=part["label"].to_numpy(),
        customer=part["customer_id"].to_numpy(),
        anchor_us=part["anchor_at"].to_physical().to_numpy(),
        value_cents=part["value_cents"].to_numpy(),
        facts={name: part[name].to_list() for name in ("order_id", *SEGMENT_COLUMNS)},
    )


def champion_to_beat(releases: Path, champion: str | None, repeats: Manifest) -> Release | None:
    """The release that a candidate is compared with.

    A candidate that is the champion made again is held against what the champion was held against: so that the same
    data, settings and champion give the same release, however often.

    Args:
        champion: version of the one that decides.
        repeats: the candidate's manifest, before its verdict; its ``files`` name the model.

    Raises:
        ReleaseError: if a folder is not what its manifest says.
    """
    if champion is None:
        return None
    deciding = load_release(release_folder(releases, champion))
    same = msgspec.structs.replace(deciding.manifest, compared_with=None, rejected=[], files={})
    if same == msgspec.structs.replace(repeats, files={}) and repeats.files.items() <= deciding.manifest.files.items():
        before = deciding.manifest.compared_with
        return None if before is None else load_release(release_folder(releases, before))
    return deciding


def rival_of(champion: Release | None, feature_set_hash: str, x: np.ndarray) -> tuple[Rival | None, str]:
    """The champion's scores of hold-out lines; or why they cannot be had.

    Args:
        feature_set_hash: of what ``x`` was computed from; float32, shape (n, inputs).
    """
    if champion is None:
        return None, ""
    manifest = champion.manifest
    if manifest.feature_set_hash != feature_set_hash:
        return None, (
            f"the champion {champion.version} is of feature set {manifest.feature_set_hash[:12]}, which this code no longer "
            "computes: it cannot score these lines"
        )
    unseen_from_us = 0
    if EVALUATION_FILE in manifest.files:
        unseen_from_us = read_evaluation(champion).holdout_start_us
    return Rival(champion.version, OnnxScorer(champion.model).probability(x), unseen_from_us), ""
