"""``returnml publish-scores``: a day's scores to a Kafka topic."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import date
from typing import Annotated

import typer

from returnml.commands.opened import opened
from returnml.commands.options import DataOption, JsonOption
from returnml.commands.refusal import day as parsed_day
from returnml.commands.root import settings_of_root
from returnml.errors import Refusal
from returnml.settings import DataPaths


def publish_scores(
    day: Annotated[str, typer.Option("--day", help="Day of the scores (UTC).", show_default=False)],
    answers: Annotated[
        bool, typer.Option("--answers", help="Send again what the service answered on that day, instead of scores.daily.")
    ] = False,
    topic: Annotated[
        str | None, typer.Option(help="Topic (setting `kafka.daily_scores_topic`, with --answers `kafka.scores_topic`).")
    ] = None,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Send a day's scores to a Kafka topic. Sent again, every message has the same key and value."""
    from returnml.streaming.score_stream import publish

    settings = settings_of_root(data)
    on = parsed_day(day, "--day")
    to = topic or (settings.kafka.scores_topic if answers else settings.kafka.daily_scores_topic)
    if not to:
        raise Refusal("kafka.scores_topic is not set")
    messages = _answers(settings.paths, on) if answers else _daily(settings.paths, on)
    count = publish(settings.kafka, to, messages)
    typer.echo(json.dumps({"day": day, "topic": to, "messages": count}) if as_json else f"{count:,} messages of {day} in {to}")


def _daily(paths: DataPaths, on: date) -> Iterator[tuple[str, bytes]]:
    import duckdb

    from returnml.warehouse.scores.score_messages import daily_scores

    # The copy for readers: whoever writes the warehouse is not waited for.
    with opened(paths.published, read_only=True) as con:
        try:
            yield from daily_scores(con, on)
        except duckdb.CatalogException:
            raise Refusal(f"{paths.published} has no scores yet: run the line first (`returnml run`)") from None


def _answers(paths: DataPaths, on: date) -> Iterator[tuple[str, bytes]]:
    from returnml.ledger.answer_records import read_day
    from returnml.streaming.score_stream import (
        from_log,
        message,
    )

    for answer in read_day(paths.inference_log, on):
        yield message(from_log(answer))
