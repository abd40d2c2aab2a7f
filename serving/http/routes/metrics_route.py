"""``GET /metrics``: the worker's counters in Prometheus' text format."""

from __future__ import annotations

from collections.abc import Sequence

from litestar import MediaType, get
from litestar.handlers import HTTPRouteHandler

from returnml.streaming.score_stream import ScoreStream
from serving.intake.writer_thread import EventIntake
from serving.log.inference_log import InferenceLog
from serving.state import ServingState

Family = tuple[str, str, str, str]
"""Name, kind, what it is, and the status' field."""

_SERVICE: tuple[Family, ...] = (
    ("returnml_stale_answers_total", "counter", "Answers from stale features.", "stale_answers"),
    (
        "returnml_store_findings",
        "gauge",
        "What is wrong with generation and ledger.",
        "store_findings",
    ),
    ("returnml_store_scrubbed_timestamp_seconds", "gauge", "When the last pass over them ended.", "store_scrubbed_at"),
)
_EVENTS: tuple[Family, ...] = (
    ("returnml_events_accepted_total", "counter", "Events that are in the ledger and applied.", "accepted"),
    ("returnml_events_duplicate_total", "counter", "Events that were accepted before.", "duplicates"),
    ("returnml_events_refused_total", "counter", "Events that a rule refused.", "refused"),
    ("returnml_events_conflict_total", "counter", "Events under the id of one of other content.", "conflicts"),
    ("returnml_events_unavailable_total", "counter", "Events that were answered 503.", "unavailable"),
    ("returnml_events_waiting", "gauge", "Events that wait to be written.", "waiting"),
)
_LOG: tuple[Family, ...] = (
    ("returnml_inference_log_answers_total", "counter", "Answers that are in the inference log.", "written"),
    ("returnml_inference_log_shed_total", "counter", "Answers that were given and not logged.", "shed"),
    ("returnml_inference_log_waiting_lines", "gauge", "Order lines that wait to be logged.", "waiting_lines"),
)
_STREAM: tuple[Family, ...] = (
    ("returnml_score_stream_delivered_total", "counter", "Answers that the score topic has.", "delivered"),
    ("returnml_score_stream_dropped_total", "counter", "Answers that were given and not delivered.", "dropped"),
    ("returnml_score_stream_waiting", "gauge", "Answers that wait for the brokers.", "waiting"),
)


def metrics_route(service: ServingState, intake: EventIntake, log: InferenceLog, stream: ScoreStream | None) -> HTTPRouteHandler:
    """The route over a worker's counters. With several workers each scrape reaches one of them: hence the label."""

    @get("/metrics", media_type=MediaType.TEXT, include_in_schema=False)
    async def metrics() -> str:
        """Counters since the worker's start."""
        status = log.status()
        lines = _exposed(_SERVICE, service, status.worker) + _refused(service, status.worker)
        lines += _exposed(_EVENTS, intake.status(), status.worker)
        lines += _exposed(_LOG, status, status.worker)
        if stream is not None:
            lines += _exposed(_STREAM, stream.status(), status.worker)
        return "\n".join(lines) + "\n"

    return metrics


def _refused(service: ServingState, worker: str) -> list[str]:
    name = "returnml_refused"
    lines = [f"# HELP {name} 1 where a part that is there now could not be proven or loaded.", f"# TYPE {name} gauge"]
    for part, is_refused in service.refused.items():
        of_task = f',task="{part.task}",role="{part.role}"' if part.task else ""
        lines.append(f'{name}{{worker="{worker}",part="{part.name}"{of_task}}} {is_refused}')
    return lines


def _exposed(families: Sequence[Family], status: object, worker: str) -> list[str]:
    lines = []
    for name, kind, about, field in families:
        lines += [f"# HELP {name} {about}", f"# TYPE {name} {kind}"]
        lines.append(f'{name}{{worker="{worker}"}} {getattr(status, field)}')
    return lines
