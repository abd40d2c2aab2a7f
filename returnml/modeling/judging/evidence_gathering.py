"""A candidate before its gates: the rows it is judged on, and the champion that it is compared with."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import polars as pl

from returnml.modeling.data.snapshot import ROW_COLUMNS
from returnml.modeling.judging.gates.evidence import HoldOut
from returnml.policy.document import SEGMENT_COLUMNS
from returnml.release.folder import Release, load_release, release_folder
from returnml.release.manifest import Manifest


def part_of(table: pl.DataFrame, x: np.ndarray, rows: np.ndarray) -> HoldOut:
    """
    Args:
        table: of the snapshot; ``x`` its features.
        rows: their row numbers.
    """
    part = table[rows]
    protected = [name for name in table.columns if name not in ROW_COLUMNS]
    return HoldOut(
        x=x[rows],
        y=part["label"].to_numpy(),
        customer=part["customer_id"].to_numpy(),
        anchor_us=part["anchor_at"].to_physical().to_numpy(),
        value_cents=part["value_cents"].to_numpy(),
        facts={name: part[name].to_list() for name in ("order_id", *SEGMENT_COLUMNS, *protected)},
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
