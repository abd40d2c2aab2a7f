"""What checks say of the newest day. A verdict has a day: a repair of an old one says nothing about today.

Dagster's latest evaluation of a check is that of the last run, whatever days it wrote. Here the newest day is found first, among
the days that the asset was written for; then the last run that wrote it; then what its checks said. What is not cut into days is
of its cut-off.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import dagster as dg

CUT_OFF = "cut_off"
"""Metadata of every asset that is as of a cut-off: an ISO instant, naive UTC."""
_LOOKED_BACK = 200
"""Materializations of an asset as of a cut-off among which the newest cut-off is looked for."""


@dataclass(frozen=True)
class Verdict:
    """What a check said of the newest day.

    Attributes:
        day: the newest day (ISO) that its asset was written for; of an asset as of a cut-off that instant, else empty.
        measured_us: when it was said, microseconds since the epoch.
    """

    passed: bool
    day: str
    measured_us: int


def newest_verdicts(
    instance: dg.DagsterInstance, keys: Collection[dg.AssetCheckKey], by_day: Collection[dg.AssetKey]
) -> dict[dg.AssetCheckKey, Verdict]:
    """Of every check that was evaluated for the newest day of its asset what it said; the others are absent.

    Args:
        by_day: the assets that are cut into days.
    """
    found: dict[dg.AssetCheckKey, Verdict] = {}
    said: dict[str, dict[dg.AssetCheckKey, tuple[bool, int]]] = {}
    for asset in {key.asset_key for key in keys}:
        newest = _newest_day(instance, asset) if asset in by_day else _newest_cut_off(instance, asset)
        if newest is None:
            continue
        day, run_id = newest
        if run_id not in said:
            said[run_id] = _evaluations(instance, run_id)
        for key in keys:
            if key.asset_key == asset and key in said[run_id]:
                passed, measured_us = said[run_id][key]
                found[key] = Verdict(passed, day, measured_us)
    return found


def newest_day(instance: dg.DagsterInstance, asset: dg.AssetKey) -> str | None:
    """The newest day (ISO) that an asset which is cut into days was ever written for."""
    return max(instance.get_materialized_partitions(asset), default=None)


def _newest_day(instance: dg.DagsterInstance, asset: dg.AssetKey) -> tuple[str, str] | None:
    day = newest_day(instance, asset)
    if day is None:
        return None
    [record] = instance.fetch_materializations(dg.AssetRecordsFilter(asset, asset_partitions=[day]), limit=1).records
    return day, record.run_id


def _newest_cut_off(instance: dg.DagsterInstance, asset: dg.AssetKey) -> tuple[str, str] | None:
    """Of equal cut-offs the last one written."""
    newest: tuple[str, str] | None = None
    for record in instance.fetch_materializations(asset, limit=_LOOKED_BACK).records:
        event = record.asset_materialization
        stated = None if event is None else event.metadata.get(CUT_OFF)
        cut_off = "" if stated is None else str(stated.value)
        if newest is None or cut_off > newest[0]:
            newest = cut_off, record.run_id
    return newest


def _evaluations(instance: dg.DagsterInstance, run_id: str) -> dict[dg.AssetCheckKey, tuple[bool, int]]:
    """What the checks said in a run; of a step that was tried again, the last time."""
    found: dict[dg.AssetCheckKey, tuple[bool, int]] = {}
    for record in instance.get_records_for_run(run_id, of_type=dg.DagsterEventType.ASSET_CHECK_EVALUATION).records:
        event = record.event_log_entry.dagster_event
        if event is not None:
            evaluation = event.asset_check_evaluation_data
            found[evaluation.asset_check_key] = (evaluation.passed, int(record.event_log_entry.timestamp * 1_000_000))
    return found
