"""``returnml serve``: the scoring service on uvicorn."""

from __future__ import annotations

import os
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from returnml.commands.options import DataOption
from returnml.commands.root import settings_of_root
from returnml.commands.service_log import log_config
from returnml.instants import instant_us
from returnml.settings import Settings, SettingsError

FACTORY = "serving.app:create_worker"
WORKER_ANSWERS_WITHIN_SECONDS = 30
"""Else it is taken to hang and is replaced; on a busy machine a worker may take some seconds to start."""


def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on (setting `serving.host`).")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on (setting `serving.port`).")] = None,
    workers: Annotated[int | None, typer.Option(help="Worker processes (setting `serving.workers`).")] = None,
    data: DataOption = None,
    at: Annotated[
        str | None,
        typer.Option(help="Replay: the time it is for the service; an instant (UTC) or `cutoff`, that of the store."),
    ] = None,
) -> None:
    """Serve POST /v1/score, GET /health/live, GET /health/ready and the OpenAPI pages at /schema."""
    import uvicorn

    from returnml.tasks.registry import refuse_unknown

    settings = settings_of_root(data)
    refuse_unknown(settings)
    # Workers are processes of their own: they read the settings again, from the environment.
    os.environ["RETURNML_DATA"] = str(settings.paths.root)
    if at is not None:
        os.environ["RETURNML_REPLAY_CLOCK"] = str(_stopped_clock(settings, at))
    serving = settings.serving
    uvicorn.run(
        FACTORY,
        factory=True,
        host=serving.host if host is None else host,
        port=serving.port if port is None else port,
        workers=serving.workers if workers is None else workers,
        timeout_worker_healthcheck=WORKER_ANSWERS_WITHIN_SECONDS,
        loop="uvloop",
        http="httptools",
        access_log=False,
        log_config=log_config(serving),
        log_level=serving.log_level,
    )


def _stopped_clock(settings: Settings, at: str) -> Path:
    from returnml.clock import FileClockDriver

    FileClockDriver(settings.paths.replay_clock, _instant_us(settings, at))
    return settings.paths.replay_clock


def _instant_us(settings: Settings, at: str) -> int:
    from returnml.store.generation_manifest import (
        StoreError,
        generation_folder,
        listed_generation,
        read_manifest,
    )

    if at == "cutoff":
        try:
            store = settings.paths.store
            return read_manifest(generation_folder(store, listed_generation(store))).cut_off_us
        except StoreError as error:
            raise SettingsError(f"--at cutoff: {error}") from error
    try:
        return instant_us(datetime.fromisoformat(at))
    except ValueError as error:
        raise SettingsError(f"--at {at!r}: expected e.g. 2011-09-01T00:00 or cutoff") from error
