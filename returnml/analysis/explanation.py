"""One logged answer taken apart: computed again, with its reasons, its inputs and the events behind every window."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import date
from typing import Any

import duckdb
import msgspec
import numpy as np

from returnml.analysis.analysis_errors import NoAnswer
from returnml.features.sets.order_line import ORDER_LINE
from returnml.instants import instant
from returnml.ledger.answer_records import Answer, find
from returnml.reasons.kernel import EXPLAINER_FILE, Explainer
from returnml.reasons.ordering import Reasoner
from returnml.release.folder import load_release, release_folder
from returnml.settings import DataPaths
from returnml.warehouse.answers.answer_recomputation import ReplayedLine, raw_values, replay, served_vectors
from returnml.warehouse.answers.explain import Contribution, contributions, unseen_events


@dataclass(frozen=True)
class Explanation:
    """What an answer was made from.

    Attributes:
        about: request, release, moment.
        events_not_ingested: events that the answer saw and the tables do not have; then their windows may differ.
        lines: by line what was said, ``is_replayed_identically``, reasons, inputs, features (None: missing) and contributions.
        behind: by line the contributions as they were computed.
    """

    answer: Answer
    about: dict[str, Any]
    events_not_ingested: int
    lines: list[dict[str, Any]]
    behind: list[list[Contribution]]

    def as_data(self) -> dict[str, Any]:
        """Plain data; instants as they are."""
        return {**self.about, "events_not_ingested": self.events_not_ingested, "lines": self.lines}


def answer_of(paths: DataPaths, request_id: str, day: date | None = None) -> Answer:
    """The logged answer of a request.

    Args:
        day: of the answer (UTC); default: it is sought, newest first.

    Raises:
        NoAnswer: where the log has none.
        LogError: where the log is damaged.
    """
    found = find(paths.inference_log, request_id, day)
    if found is None:
        raise NoAnswer(f"request {request_id!r} is not in the inference log below {paths.inference_log}")
    return found


def replayed(paths: DataPaths, answer: Answer) -> list[ReplayedLine]:
    """The answer computed again from the log and its release.

    Raises:
        ReplayError, ReleaseError: where it cannot be.
    """
    return replay(answer, ORDER_LINE, load_release(release_folder(paths.releases, answer.release)).model)


def explained(con: duckdb.DuckDBPyConnection, paths: DataPaths, answer: Answer, events: int = 3) -> Explanation:
    """Take an answer apart.

    Args:
        con: the warehouse or its copy.
        events: how many of the latest events of each key to name.

    Raises:
        ReplayError, ReleaseError: where it cannot be computed again.
    """
    lines = replayed(paths, answer)
    raw, served = raw_values(answer, ORDER_LINE), served_vectors(answer, ORDER_LINE)
    reasons, vectors = _reasons(paths, answer, served), served.tolist()
    behind = [contributions(con, ORDER_LINE, answer, raw, i, events) for i in range(answer.lines)]
    found = [
        {
            "line_id": line.line_id,
            "probability": line.probability,
            "expected_cost_cents": line.expected_cost_cents,
            "action": line.action,
            "is_replayed_identically": line.is_identical,
            "reasons": reasons[i],
            "inputs": {name: values[i] for name, values in answer.inputs.items()},
            # NaN is no JSON
            "features": {n: None if v != v else v for n, v in zip(ORDER_LINE.outputs, vectors[i], strict=True)},
            "contributions": [asdict(c) | {"differing": c.differing} for c in behind[i]],
        }
        for i, line in enumerate(lines)
    ]
    return Explanation(answer, about(answer), unseen_events(con, answer), found, behind)


def about(answer: Answer) -> dict[str, Any]:
    """Request, release and moment of an answer."""
    names = ("request_id", "order_id", "release", "role", "generation", "mark", "feature_set_hash", "worker", "latency_us")
    instants = ("requested_at", "visible_until", "derived_until")
    return {n: getattr(answer, n) for n in names} | {n: instant(getattr(answer, f"{n}_us")).isoformat() for n in instants}


def _reasons(paths: DataPaths, answer: Answer, vectors: np.ndarray) -> Sequence[list[dict[str, Any]] | None]:
    """Of each line; None where the release holds no explainer."""
    release = load_release(release_folder(paths.releases, answer.release))
    if EXPLAINER_FILE not in release.manifest.files:
        return [None] * answer.lines
    reasoner = Reasoner(Explainer(release.read(EXPLAINER_FILE)), ORDER_LINE)
    return [[msgspec.structs.asdict(r) for r in reasons] for reasons in reasoner.reasons(vectors)]
