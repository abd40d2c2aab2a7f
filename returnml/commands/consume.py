"""``returnml consume``: events from a Kafka topic; ``returnml dead-letters``: what of it was no event."""

from __future__ import annotations

import json
import logging
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from threading import Event
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer

from returnml.commands.options import DataOption, JsonOption
from returnml.commands.root import settings_of_root

if TYPE_CHECKING:
    from returnml.streaming.consumer import Taken


def consume(
    topic: Annotated[str | None, typer.Option(help="Topic to read (setting `kafka.topic`).")] = None,
    group: Annotated[str | None, typer.Option(help="Consumer group (setting `kafka.group_id`).")] = None,
    until_end: Annotated[bool, typer.Option("--until-end", help="End when the group has taken in all that is there.")] = False,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Take events in from a Kafka topic until SIGTERM or Ctrl-C: the same events, ledger and store as POST /v1/events."""
    from returnml.clock import (
        clock_of,
    )
    from returnml.features.sets.attributed import order_line
    from returnml.store.inlet import EventInlet
    from returnml.streaming.consumer import EventConsumer
    from returnml.streaming.dead_letters import dead_letters

    settings = settings_of_root(data)
    named = {name: value for name, value in (("topic", topic), ("group_id", group)) if value is not None}
    kafka = msgspec.structs.replace(settings.kafka, **named)
    clock = clock_of(settings.replay_clock)
    inlet = EventInlet(settings, order_line(settings.shop_attributes), clock)
    try:
        with _told_to_stop() as stop, _shown(f"{kafka.topic} as {kafka.group_id}") as show:
            reader = EventConsumer(kafka, inlet, dead_letters(settings, clock, logging.getLogger(__name__).warning), show)
            is_at_end = reader.run(stop.is_set, until_end=until_end)
    finally:
        inlet.close()
    taken = asdict(reader.taken)
    if as_json:
        typer.echo(json.dumps(taken))
    else:
        typer.echo(_text(reader.taken))
        if reader.taken.dead and kafka.dead_letter_topic is None:
            typer.echo("what was no event: returnml dead-letters")
    if until_end and not is_at_end:
        typer.echo(f"stopped before the end of {kafka.topic}: {reader.taken.trouble or 'not all of it is read'}", err=True)
        raise typer.Exit(1)


def dead_letters_command(data: DataOption = None, as_json: JsonOption = False) -> None:
    """List the messages that were no events, from the log that `consume` keeps without a dead-letter topic."""
    from returnml.streaming.dead_letters import logged

    for letter in logged(settings_of_root(data).paths.dead_letters):
        value = _readable(letter.value)
        if as_json:
            typer.echo(json.dumps(msgspec.structs.asdict(letter) | {"key": _readable(letter.key), "value": value}))
        else:
            place = f"{letter.topic}/{letter.partition}@{letter.offset}"
            typer.echo(f"{place}  {letter.rule}  {letter.field}: {letter.message}  {(value or '')[:200]}")


def _readable(content: bytes | None) -> str | None:
    return None if content is None else content.decode(errors="backslashreplace")


@contextmanager
def _told_to_stop() -> Iterator[Event]:
    """An event that SIGTERM and Ctrl-C set. The consumer then finishes its batch and stops."""
    stop = Event()
    signals = (signal.SIGTERM, signal.SIGINT)
    before = [signal.signal(number, lambda *_: stop.set()) for number in signals]
    try:
        yield stop
    finally:
        for number, handler in zip(signals, before, strict=True):
            signal.signal(number, handler)


@contextmanager
def _shown(name: str) -> Iterator[Callable[[Taken], None]]:
    """One line that changes on a terminal; elsewhere only trouble, as it comes and goes."""
    from rich.console import Console

    console = Console(stderr=True)
    trouble: list[Any] = [None]
    with console.status(name) as status:

        def show(taken: Taken) -> None:
            status.update(f"{name}: {_text(taken)}")
            if taken.trouble != trouble[0]:
                console.print(f"{name}: {taken.trouble or 'goes on'}", markup=False, highlight=False, soft_wrap=True)
                trouble[0] = taken.trouble

        yield show


def _text(taken: Taken) -> str:
    return (
        f"{taken.messages:,} messages: {taken.accepted:,} accepted, {taken.duplicates:,} duplicates, "
        f"{taken.refused:,} refused, {taken.dead:,} dead letters"
        + (f" ({taken.conflicts:,} of them conflicts: an event id again, with other content)" if taken.conflicts else "")
    )
