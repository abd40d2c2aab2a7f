"""A replay: a data root, a virtual clock, the real service with two workers, the shop's traffic and the nights between."""

from __future__ import annotations

import os
import random
import tempfile
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass, field
from datetime import date, timedelta
from itertools import groupby
from multiprocessing import get_context
from pathlib import Path

from returnml.clock import FileClockDriver
from returnml.features.windows import DAY_US, MINUTE_US
from returnml.instants import (
    day_of,
    day_us,
)
from returnml.settings import Settings, load_settings
from returnml_tests.drills.online_retail_traffic import Sending, Traffic
from returnml_tests.drills.replay_client import Answers, Shop
from returnml_tests.drills.replay_nights import backfill, prove, returnml, run_night
from returnml_tests.drills.service import Service
from returnml_tests.serving.shop import deploy
from returnml_tests.waiting import PATIENT_ENVIRON, be_patient

ONE_DAY = timedelta(days=1)
SUNDAY = 6
BY_DAGSTER = 0.06
"""Share of nights that are the real job."""


@dataclass(frozen=True)
class Plan:
    """What is replayed.

    Attributes:
        source: the folder of the daily files.
        history_from: the first imported day.
        kills: how many workers are killed.
        missed: share of nights that are missed.
        is_whole: the history trains the release that serves, some nights are the real job, and it proves the end; else
            the release is a made-up one, and all is done by functions, which takes seconds.
        environ: further ``RETURNML_*`` settings.
    """

    source: Path
    history_from: date
    first: date
    last: date
    seed: int
    kills: int
    missed: float = 0.1
    is_whole: bool = True
    environ: Mapping[str, str] = field(default_factory=dict)

    @property
    def days(self) -> list[date]:
        return [self.first + ONE_DAY * n for n in range((self.last - self.first).days + 1)]


@dataclass
class Replayed:
    """What happened, before it is checked."""

    traffic: Traffic
    answers: Answers
    nights: dict[str, int] = field(default_factory=lambda: {"functions": 0, "dagster": 0, "missed": 0})
    kills: int = 0
    seconds: dict[str, float] = field(default_factory=dict)
    failed_checks: list[str] = field(default_factory=list)


class Replay:
    """A data root of its own, the clock, the service and the shop."""

    def __init__(self, data: Path, plan: Plan) -> None:
        self.plan = plan
        self.data = data.resolve()
        self._chance = random.Random(plan.seed)
        self._clock_file = self.data / "replay" / "clock"
        self.clock = FileClockDriver(self._clock_file, day_us(plan.first) - DAY_US)
        chosen = {
            "RETURNML_DATA": str(self.data),
            "RETURNML_REPLAY_CLOCK": str(self._clock_file),
            "RETURNML_GO_LIVE": f"{plan.first}T00:00:00+00:00",
            "RETURNML_QUALITY__MAX_QUARANTINED_SHARE": "0.95",
            "RETURNML_SERVING__LOG_POLICY": "require",
            "RETURNML_SERVING__LIMITS__LINES": "1000",
            **PATIENT_ENVIRON,
            "RETURNML_TRAINING__ROUNDS": "60",
            **plan.environ,
        }
        self.environ = {k: v for k, v in os.environ.items() if not k.startswith(("RETURNML_", "DAGSTER_"))}
        self.environ |= {"PYTHONPATH": str(Path(__file__).resolve().parents[2]), "OMP_NUM_THREADS": "1", **chosen}
        self.settings: Settings = load_settings(environ=self.environ)
        self.service = Service(self.data, workers=2, environ=chosen)
        self._night: Future[str] | None = None
        self._nights_until = plan.first - ONE_DAY

    def prepare(self) -> None:
        """Land the files before the first day, as delivered before go-live, and publish; afterwards a release serves."""
        with tempfile.TemporaryDirectory() as folder:
            for file in sorted(self.plan.source.glob("*.csv")):
                if self.plan.history_from <= date.fromisoformat(file.stem[:10]) < self.plan.first:
                    Path(folder, file.name).symlink_to(file.resolve())
            returnml(self.data, self.environ, "import", "online-retail", folder)
        self.clock.advance_to(day_us(self.plan.first))
        if self.plan.is_whole:
            returnml(self.data, self.environ, "run", "--to", (self.plan.first - ONE_DAY).isoformat())
        else:
            run_night(self.settings, self.plan.history_from, self.plan.first - ONE_DAY)
            deploy(self.data)

    def prove(self, done: Replayed) -> None:
        """From the nights that were not worked off to ``monitoring.consistency``."""
        first, last = self.plan.first, self.plan.last
        if self.plan.is_whole:
            done.failed_checks += backfill(self.data, self.environ, first, last)
        else:
            run_night(self.settings, self._nights_until + ONE_DAY, last)
            prove(self.settings, first, last)

    def go(self, sent: Traffic) -> Replayed:
        """Run all days; the history is published and a release serves."""
        done = Replayed(sent, Answers())
        by_day = {day: list(own) for day, own in groupby(sent.sendings, key=lambda s: day_of(s.at_us))}
        kill_on = set(self._chance.sample(self.plan.days, self.plan.kills))
        self.service.start("/health/ready")
        try:
            with (
                ProcessPoolExecutor(1, get_context("spawn"), be_patient) as nights,
                Shop(self.service.port, self.clock, self.plan.seed) as shop,
            ):
                done.answers = shop.answers
                for day in self.plan.days:
                    shop.pass_time(day_us(day))
                    self._begin_night(day, nights, done)
                    self._day(shop, by_day.get(day, []), day in kill_on, done)
                    self._await_night()
                    if day.weekday() == SUNDAY:
                        print(f"{day}: {len(done.answers.scores):,} orders scored", flush=True)
                shop.pass_time(day_us(self.plan.last + ONE_DAY))
            self.service.stop()
        finally:
            self.service.kill()
        return done

    def _begin_night(self, day: date, nights: ProcessPoolExecutor, done: Replayed) -> None:
        """What was known before ``day``, since the last night that was not missed."""
        first, last = self._nights_until + ONE_DAY, day - ONE_DAY
        drawn = self._chance.random()
        if last < first:
            return
        if drawn < self.plan.missed:
            done.nights["missed"] += 1
            return
        self._nights_until = last
        if self.plan.is_whole and drawn < self.plan.missed + BY_DAGSTER:
            done.nights["dagster"] += 1
            done.failed_checks += [f"{day}: {check}" for check in backfill(self.data, self.environ, first, last)]
            return
        done.nights["functions"] += 1
        self._night = nights.submit(run_night, self.settings, first, last)

    def _await_night(self) -> None:
        if self._night is not None:
            self._night.result()
            self._night = None

    def _day(self, shop: Shop, sendings: Sequence[Sending], has_kill: bool, done: Replayed) -> None:
        minutes = [list(own) for _, own in groupby(sendings, key=lambda s: s.at_us // MINUTE_US)]
        kill_at = self._chance.randrange(len(minutes)) if has_kill and minutes else None
        for number, own in enumerate(minutes):
            killer = None
            if number == kill_at:
                killer = threading.Timer(self._chance.random() * 0.02, self._kill, [done])
                killer.start()
            shop.send(own)
            if killer is not None:
                killer.join()

    def _kill(self, done: Replayed) -> None:
        self.service.kill_worker(self._chance.choice(self.service.workers()))
        done.kills += 1
