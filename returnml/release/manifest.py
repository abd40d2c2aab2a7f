"""The manifest of a release: what it is, what made it, and the hash of every file in it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec

from returnml.files import (
    readable_json,
    sha256,
)

MODEL_FILE = "model.onnx"
MANIFEST_FILE = "manifest.json"


class TrainedOn(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the released model has learnt from.

    Attributes:
        rows: how many.
        until_us: anchor of the youngest of them: of a row that is no younger the release may have learnt the outcome.
        refit: how the released model compares with the one that was judged, on rows that neither has seen; empty: it is that
            one.
    """

    rows: int
    until_us: int
    refit: dict[str, float] = {}


class Manifest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All that decides a release. Nothing here depends on when or where it was made, so that rebuilding repeats it.

    Attributes:
        task: the scored question, e.g. ``return_risk``.
        feature_set_hash: of the declarations; serving refuses a release whose hash is not its own.
        inputs: the model's input columns in order.
        cut_off_us: no fact known at or after this instant was used.
        policy_hash: of the policy it was judged with.
        gates: the settings it was judged by.
        compared_with: the champion it was judged against; None where there was none, or none that could score.
        rejected: names of the gates that did not hold; a release needs all of them.
        files: sha256 of every other file of the folder.
        trained_on: absent in releases of before it was said.
    """

    task: str
    feature_set: str
    feature_set_version: int
    feature_set_hash: str
    inputs: list[str]
    cut_off_us: int
    training_snapshot: str
    seed: int
    parameters: dict[str, Any]
    metrics: dict[str, float]
    label: dict[str, int]
    libraries: dict[str, str]
    policy_hash: str = ""
    gates: dict[str, Any] = {}
    compared_with: str | None = None
    rejected: list[str] = []
    files: dict[str, str] = {}
    format: int = 1
    trained_on: TrainedOn | msgspec.UnsetType = msgspec.UNSET

    def encode(self) -> bytes:
        """Canonical JSON: the bytes of ``manifest.json``."""
        return readable_json(self, order="sorted")

    @property
    def version(self) -> str:
        """``<task>-<cut-off day>-<hash>``: the folder's name, derived from the content."""
        day = datetime.fromtimestamp(self.cut_off_us / 1_000_000, UTC).strftime("%Y%m%d")
        return f"{self.task}-{day}-{sha256(self.encode())[:12]}"
