"""Whether anything comes from the future, and whether a replay has left its clock."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from returnml.clock import Clock
from returnml.contracts.columns import STREAMS
from returnml.findings import Finding
from returnml.instants import instant
from returnml.ledger.record_log import LogError, last_record
from returnml.release.deployment import DeploymentError, read_state
from returnml.root import read_root
from returnml.settings import PROFILES, Settings
from returnml.sources.landing import LandingError, history
from returnml.tasks.registry import tasks

TOLERANCE_US = 300_000_000
"""Clocks of several hosts differ."""


def find(settings: Settings, clock: Clock) -> Iterator[Finding]:
    """Events, landing files, transitions and the root itself against now; the replay clock against the settings."""
    now_us = clock.now_us()
    for where, what, at_us in _stamped(settings):
        if at_us > now_us + TOLERANCE_US:
            replayed = settings.replay_clock is not None
            mend = "move the replay clock on to now or later" if replayed else "set this machine's clock right (NTP)"
            yield Finding(
                code="from_the_future",
                where=str(where),
                what=f"{what} is of {instant(at_us):%Y-%m-%d %H:%M:%S}, and it is {instant(now_us):%Y-%m-%d %H:%M:%S} (UTC)",
                meaning="This clock, or the one that wrote it, is wrong: days to come are not run, and what was known when is "
                "not what it was.",
                mend=mend,
                is_command=False,
            )
    left = settings.paths.replay_clock
    if settings.replay_clock is not None:
        is_real = settings.profile != PROFILES[0]
        yield Finding(
            code="replay_clock_set",
            where=settings.replay_clock,
            what=f"the setting replay_clock rules the time in profile {settings.profile}: {instant(now_us):%Y-%m-%d %H:%M:%S}",
            meaning="Who may write that file moves the time of every process.",
            mend="remove the setting replay_clock, unless this is a replay or a demo",
            is_command=False,
            is_damage=is_real,
        )
    elif left.exists():
        yield Finding(
            code="replay_clock_left",
            where=str(left),
            what="a replay has left its clock",
            meaning="Nothing follows it as long as no setting names it.",
            mend=f"rm {shlex.quote(str(left))}",
            is_damage=False,
        )


def _stamped(settings: Settings) -> Iterator[tuple[Path, str, int]]:
    """What has a time of its own. What cannot be read is another check's."""
    paths = settings.paths
    made_at = read_root(paths.root).made_at
    yield paths.root, "its identity", _us(made_at)
    try:
        last = last_record(paths.ledger)
    except LogError:
        last = None
    if last is not None:
        yield paths.ledger, f"event {last.seq}", last.known_at_us
    for stream in STREAMS:
        try:
            newest = max(history(paths.landing, stream), key=lambda file: file.delivered_at_us, default=None)
        except LandingError:
            newest = None
        if newest is not None:
            yield newest.path, "its delivery", newest.delivered_at_us
    for task in tasks():
        path = paths.deployment_state(task)
        try:
            own = read_state(path).last_transition
        except DeploymentError:
            own = None
        if own is not None:
            yield path, f"transition {own.revision}", own.at_us


def _us(at: datetime) -> int:
    return round((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() * 1_000_000)
