"""Assembles the service."""

from __future__ import annotations

import gc
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, nullcontext
from typing import Any

from litestar import Litestar
from litestar.openapi.config import OpenAPIConfig
from litestar.openapi.plugins import YamlRenderPlugin

from returnml.clock import (
    Clock,
    clock_of,
)
from returnml.features.sets.attributed import order_line
from returnml.settings import Settings, load_settings
from returnml.store.backend_choice import open_backend
from returnml.store.inlet import EventInlet
from returnml.store.live import LiveStore
from returnml.streaming.score_stream import ScoreStream
from returnml.tasks.registry import refuse_unknown
from serving.http.openapi import add_events, say_attributes
from serving.http.openapi_page import (
    page,
    page_files,
)
from serving.http.problems import HANDLERS
from serving.http.request_ids import say_request_id
from serving.http.routes.customer_routes import customer_route
from serving.http.routes.event_routes import events_route
from serving.http.routes.health_routes import (
    live,
    ready_route,
)
from serving.http.routes.metrics_route import metrics_route
from serving.http.strict_json import StrictRequest
from serving.http.task_routes import TASK_ROUTES, TaskRoute
from serving.intake.writer_thread import EventIntake
from serving.log.inference_log import InferenceLog
from serving.scoring.reloading import kept_fresh
from serving.scoring.roster import Seat
from serving.scrubber_thread import LOOK_SECONDS, Scrubbing
from serving.state import ServingState

VERSION = "1"
RELOAD_SECONDS = 1.0


def create_app(
    settings: Settings | None = None,
    clock: Clock | None = None,
    reload_seconds: float = RELOAD_SECONDS,
    scrub_look_seconds: float = LOOK_SECONDS,
    routes: Sequence[TaskRoute[Any]] = TASK_ROUTES,
) -> Litestar:
    """The service.

    Args:
        settings: default: read from ``returnml.toml`` and ``RETURNML_*`` variables.
        clock: default: the one that the setting ``replay_clock`` chooses.
        reload_seconds: how often to look for a new release or generation.
        scrub_look_seconds: how often to look whether the store is to be scrubbed.
        routes: the tasks that are asked online.

    Raises:
        SettingsError: if the settings speak of a task that there is not.
        StoreError: if their folder is no data root.
    """
    settings = settings or load_settings()
    refuse_unknown(settings)
    clock = clock or clock_of(settings.replay_clock)
    log = InferenceLog(settings)
    topic = settings.kafka.scores_topic
    stream = None if topic is None else ScoreStream(settings.kafka, topic)
    served = order_line(settings.shop_attributes)
    store = LiveStore(open_backend(settings), served, settings.serving.stale_features == "allow")
    asked = [(route, Seat(route.online, settings)) for route in routes]
    service = ServingState(settings, store, clock, [seat for _, seat in asked], log, stream)
    limits = settings.serving.limits
    intake = EventIntake(EventInlet(settings, served, clock), limits.waiting_events)
    scrubbing = Scrubbing(settings.store, open_backend(settings), served, clock, scrub_look_seconds)

    @asynccontextmanager
    async def lifespan(_: Litestar) -> AsyncIterator[None]:
        with log.running(), stream.running() if stream else nullcontext():
            async with kept_fresh(service.refresh, reload_seconds), intake.running(), scrubbing.running():
                yield

    app = Litestar(
        [
            *(route.handler(service, seat) for route, seat in asked),
            customer_route(service),
            events_route(intake, limits),
            live,
            ready_route(service, intake),
            metrics_route(service, intake, log, stream),
            page_files(),
        ],
        exception_handlers=HANDLERS,
        lifespan=[lifespan],
        openapi_config=OpenAPIConfig("returnml", VERSION, path="/schema", render_plugins=[page(), YamlRenderPlugin()]),
        request_class=StrictRequest,
        request_max_body_size=limits.body_bytes,
        before_send=[say_request_id],
        # Litestar would set up a log of its own in place of the one that was chosen.
        logging_config=None,
    )
    add_events(app.openapi_schema)
    say_attributes(app.openapi_schema, settings.shop_attributes)
    return app


def create_worker() -> Litestar:
    """The factory that uvicorn's workers call: the service in a process that does nothing else.

    What importing made lives as long as the process. Left out of garbage collection, it costs no pause: walking through it
    took a third of the time of a batch of events.
    """
    app = create_app()
    gc.collect()
    gc.freeze()
    return app
