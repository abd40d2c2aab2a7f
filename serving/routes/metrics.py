"""``GET /metrics``: the worker's counters in Prometheus' text format."""

from __future__ import annotations

from litestar import MediaType, get
from litestar.handlers import HTTPRouteHandler

from serving.inference_log import InferenceLog
from serving.state import ServingState

_FAMILIES = (
    ("returnml_inference_log_answers_total", "counter", "Answers that are in the inference log.", "written"),
    ("returnml_inference_log_shed_total", "counter", "Answers that were given and not logged.", "shed"),
    ("returnml_inference_log_waiting_lines", "gauge", "Order lines that wait to be logged.", "waiting_lines"),
)


def metrics_route(service: ServingState, log: InferenceLog) -> HTTPRouteHandler:
    """The route over a worker's service and log. With several workers each scrape reaches one of them: hence the label."""

    @get("/metrics", media_type=MediaType.TEXT, include_in_schema=False)
    async def metrics() -> str:
        """Counters since the worker's start."""
        status = log.status()
        values = {name: (kind, about, getattr(status, field)) for name, kind, about, field in _FAMILIES}
        values["returnml_stale_answers_total"] = ("counter", "Answers from stale features.", service.stale_answers)
        lines = []
        for name, (kind, about, value) in values.items():
            lines += [f"# HELP {name} {about}", f"# TYPE {name} {kind}"]
            lines.append(f'{name}{{worker="{status.worker}"}} {value}')
        return "\n".join(lines) + "\n"

    return metrics
