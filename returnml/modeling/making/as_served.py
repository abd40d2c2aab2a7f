"""A candidate asked as the service asks it, before it may decide: one row, an empty store, reasons."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from returnml.errors import Refusal
from returnml.features.feature_set import FeatureSet
from returnml.features.union import union
from returnml.reasons.kernel import Explainer
from returnml.reasons.ordering import Reasoner
from returnml.store.backend import Values
from returnml.store.generation_layout import StoreLayout
from returnml.store.generation_manifest import (
    GenerationManifest,
    ServedFeatureSet,
    group_manifest,
    stream_manifest,
)
from returnml.store.reading.online import OnlineFeatures
from returnml.tasks.declaration import RequestColumns, Task
from returnml.tasks.live_sets import FEATURE_SETS
from returnml.tasks.serving_needs import serving_problems

_AT_US = 1_735_689_600_000_000


def problems_as_served(task: Task, explainer: bytes) -> list[str]:
    """Why the service could not answer from a candidate; empty: it could.

    What the task's declaration shows is looked at first (``serving_problems``); where it shows nothing, the service's own
    parts are built and asked: request plan and read plan over a generation without a key, vector, reasons.

    Args:
        explainer: content of the candidate's ``explainer.bin``.
    """
    problems, declared, request = serving_problems(task), task.feature_set, task.spine.request
    if problems:
        return problems
    try:
        reasoner = Reasoner(Explainer(explainer), declared) if declared.families else None
        if request is not None:
            vectors = OnlineFeatures(declared, _empty(declared)).vectors(_one_row(request), _AT_US)
            if reasoner is not None:
                reasoner.reasons(vectors.matrix)
    except (Refusal, KeyError, ValueError) as error:
        return [f"feature set {declared.name}: {type(error).__name__}: {error}"]
    return []


@dataclass
class _Empty:
    """A generation of nothing."""

    manifest: GenerationManifest

    @property
    def name(self) -> str:
        return self.manifest.name

    @property
    def cut_off_us(self) -> int:
        return self.manifest.cut_off_us

    def read(self, keys: Sequence[bytes]) -> Values:
        return [None] * len(keys)


def _empty(declared: FeatureSet) -> _Empty:
    """Of the groups that the live feature sets need together with this one."""
    others = [live for live in FEATURE_SETS if live.name != declared.name]
    groups = union([*others, declared])
    return _Empty(
        GenerationManifest(
            cut_off_us=_AT_US,
            ledger_seq=0,
            feature_sets=[ServedFeatureSet(declared.name, declared.version, declared.hash)],
            layout_hash=StoreLayout(groups).hash,
            streams={stream.name: stream_manifest(stream) for group in groups for stream in group.streams},
            groups=[group_manifest(group, 0, 0) for group in groups],
            content_sha256="",
            database_bytes=0,
            database_sha256="",
            owner="",
        )
    )


def _one_row(request: RequestColumns) -> dict[str, list[Any]]:
    """A row with every column of a request."""
    return {**{name: [name] for name in request.texts}, **{name: [1] for name in request.integers}}
