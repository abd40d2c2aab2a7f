"""Delivers what a source hands over at once: compared with what stands, asked about where it must be, written as a whole."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import polars as pl

from returnml.clock import Clock
from returnml.errors import Refusal
from returnml.instants import day_of
from returnml.privacy.customers import CustomerIds
from returnml.sources.delivered_frame import to_delivered
from returnml.sources.delivery_plan import Draft, StreamPlan, plan_stream
from returnml.sources.landing import StreamRecord, committed
from returnml.sources.landing_writer import Progress, delivering, silent, write_delivery
from returnml.sources.made_ids import EqualRows, digest_of, settle_ids
from returnml.sources.pseudonyms import pseudonymised


class DeliveryRefused(Refusal):
    """A delivery that needs a word, or contradicts itself; nothing of it is written."""


@dataclass(frozen=True)
class Words:
    """What the person who delivers has said.

    Attributes:
        may_lose: ids that were delivered before may vanish.
        equal_rows: what rows without ids of their own mean that were delivered before.
    """

    may_lose: bool = False
    equal_rows: EqualRows | None = None


@dataclass(frozen=True)
class Delivered:
    """What a delivery did to one stream.

    Attributes:
        rows: that the source handed over.
        days_written: landing days that have a new version; ``days_unchanged``: days of the source that need none.
        new, replaced, unchanged: rows; ``lost``: ids (``landing.Changes``).
        days: the partitions (UTC) that are to be run again, and with them the later ones, which rest on them.
        is_live: landed after ``go_live``: rows are known today, and those with ids of closed days will be refused.
    """

    stream: str
    days_written: int
    days_unchanged: int
    rows: int
    new: int = 0
    replaced: int = 0
    unchanged: int = 0
    lost: int = 0
    days: tuple[str, ...] = ()
    is_live: bool = False


def deliver(
    landing: Path,
    drafts: Sequence[Draft],
    source: str,
    clock: Clock,
    customers: CustomerIds,
    *,
    go_live_us: int | None = None,
    words: Words = Words(),
    progress: Progress = silent,
) -> tuple[Delivered, ...]:
    """Deliver the drafts as one delivery; where they change nothing, none is written.

    Args:
        source: where the rows came from, for people.
        customers: what the customer ids of the rows become; no id of the shop gets into a file.
        go_live_us: from then on a closed day never changes: rows are known when they are landed, and nothing is replaced.

    Raises:
        DeliveryRefused: where ids would be lost, or rows lie outside the period that is replaced.
        EqualRowsAsked: see ``made_ids.settle_ids``.
        LandingError: where landed files cannot be read.
        ValueError: where a row has no time, or a frame does not fit its stream. In all cases nothing is written.
    """
    is_live = go_live_us is not None and clock.now_us() >= go_live_us
    with delivering(landing):
        deliveries = committed(landing)
        settled, digests = [], []
        for draft in drafts:
            draft = replace(draft, frame=to_delivered(draft.stream, draft.frame))
            _check(draft, is_live)
            frame = pseudonymised(draft.stream, draft.frame, customers)
            draft = replace(draft, frame=frame)
            digest = None if draft.has_own_ids else digest_of(draft)
            if digest is not None:
                frame = settle_ids(landing, draft, digest, deliveries, words.equal_rows)
            settled.append(replace(draft, frame=frame))
            digests.append(digest)
        plans = [plan_stream(landing, draft, deliveries, is_live) for draft in settled]
        if not words.may_lose:
            _refuse_losses(settled, plans)
        parts = [part for plan in plans for part in plan.parts]
        if parts:
            records = [
                StreamRecord(draft.stream.name, draft.frame.height, plan.changes, digest)
                for draft, plan, digest in zip(settled, plans, digests, strict=True)
            ]
            labels = dict.fromkeys(draft.replaced.label for draft in settled if draft.replaced is not None)
            replaced = "; ".join(labels) or None
            write_delivery(landing, source, parts, clock, streams=records, replaced=replaced, progress=progress)
    landed_on = day_of(clock.now_us()).isoformat() if is_live else None
    return tuple(_delivered(draft, plan, landed_on) for draft, plan in zip(settled, plans, strict=True))


def _delivered(draft: Draft, plan: StreamPlan, landed_on: str | None) -> Delivered:
    changes = plan.changes
    return Delivered(
        stream=draft.stream.name,
        days_written=len(plan.parts),
        days_unchanged=plan.days_unchanged,
        rows=draft.frame.height,
        new=changes.new,
        replaced=changes.replaced,
        unchanged=changes.unchanged,
        lost=changes.lost,
        days=tuple(sorted({landed_on or part.day.isoformat() for part in plan.parts})),
        is_live=landed_on is not None,
    )


def _check(draft: Draft, is_live: bool) -> None:
    stream, at = draft.stream, pl.col(draft.stream.time_column)
    missing = draft.frame[stream.time_column].null_count()
    if missing:
        raise ValueError(f"{stream.name}: {missing} rows without {stream.time_column} belong to no day [missing_time]")
    if draft.replaced is None:
        return
    if is_live:
        raise DeliveryRefused(
            f"{stream.name}: {draft.replaced.label} cannot be replaced after go_live: a closed day never changes [closed_day]"
        )
    spans = pl.DataFrame(
        [(day, *span) for day, span in draft.replaced.parts.items()],
        {"__day": pl.Date, "__start": pl.Datetime("us"), "__end": pl.Datetime("us")},
        orient="row",
    )
    rows = draft.frame.select(at.cast(pl.Datetime("us")).alias("at")).with_columns(__day=pl.col("at").dt.date())
    inside = pl.col("__start").is_not_null() & (pl.col("at") >= pl.col("__start")) & (pl.col("at") < pl.col("__end"))
    outside = rows.join(spans, on="__day", how="left").filter(~inside)
    if outside.height:
        raise DeliveryRefused(
            f"{stream.name}: {outside.height:,} of {rows.height:,} rows lie outside {draft.replaced.label}, the first at "
            f"{outside['at'].sort()[0]} UTC: state a period that holds all of the file [outside_period]"
        )


def _refuse_losses(drafts: Sequence[Draft], plans: Sequence[StreamPlan]) -> None:
    for draft, plan in zip(drafts, plans, strict=True):
        if plan.lost:
            label = draft.replaced.label if draft.replaced is not None else ""
            shown = ", ".join(plan.lost[:3]) + (", ..." if len(plan.lost) > 3 else "")
            raise DeliveryRefused(
                f"{draft.stream.name}: {len(plan.lost):,} ids that were delivered before are missing in this delivery of "
                f"{label}: {shown}: say --replace where they are to be lost [ids_lost]"
            )
