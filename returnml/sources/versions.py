"""Compares what a landing day stood for at two of its versions, row by row."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl

from returnml.contracts.columns import STREAMS, DeliveredStream
from returnml.sources.day_rows import day_rows
from returnml.sources.landing import LandingError, LandingFile, history, standing


@dataclass(frozen=True)
class ChangedRow:
    """A row that both versions have; ``values`` maps each differing column to (old, new)."""

    id: str
    values: dict[str, tuple[Any, Any]]


@dataclass(frozen=True)
class Difference:
    """What became of the day between two versions; rows are told apart by the stream's id.

    Where an id occurs more than once, its occurrences are compared in file order. Rows without an id share the id "".
    """

    old: LandingFile
    new: LandingFile
    added: list[str]
    removed: list[str]
    changed: list[ChangedRow]
    columns_added: list[str]
    columns_removed: list[str]


def diff_versions(landing: Path, stream_name: str, day: date, old: int | None = None, new: int | None = None) -> Difference:
    """Compare the day at version ``old`` with the day at ``new``; by default now with what it was one version before.

    Raises:
        LandingError: where the day or a version does not exist, or there is only one.
    """
    versions = {file.version: file for file in history(landing, stream_name, day)}
    where = f"{landing / stream_name / day.isoformat()}"
    if not versions:
        raise LandingError(f"{where}: nothing was delivered [landing_day]")
    new = max(versions) if new is None else new
    if old is None:
        old = max((version for version in versions if version < new), default=0)
        if not old:
            raise LandingError(f"{where}: version {new} has no version before it [landing_version]")
    for version in (old, new):
        if version not in versions:
            known = ", ".join(str(n) for n in versions)
            raise LandingError(f"{where}: there is no version {version}, only {known} [landing_version]")
    stream = STREAMS[stream_name]
    before, after = (_rows([file for n, file in versions.items() if n <= version], stream) for version in (old, new))
    return _compare(versions[old], versions[new], before, after)


def _compare(old: LandingFile, new: LandingFile, before: pl.DataFrame, after: pl.DataFrame) -> Difference:
    shared = [name for name in before.columns if name in after.columns and not name.startswith("__")]
    keys = ["__id", "__occurrence"]
    joined = before.select(*keys, *shared).join(after.select(*keys, *shared), on=keys, suffix=" new", maintain_order="left")
    differs = pl.any_horizontal(pl.col(name).ne_missing(pl.col(f"{name} new")) for name in shared)
    changed = [
        ChangedRow(row["__id"], {n: (row[n], row[f"{n} new"]) for n in shared if row[n] != row[f"{n} new"]})
        for row in joined.filter(differs).iter_rows(named=True)
    ]
    return Difference(
        old=old,
        new=new,
        added=after.join(before, on=keys, how="anti", maintain_order="left")["__id"].to_list(),
        removed=before.join(after, on=keys, how="anti", maintain_order="left")["__id"].to_list(),
        changed=changed,
        columns_added=[name for name in after.columns if name not in before.columns],
        columns_removed=[name for name in before.columns if name not in after.columns],
    )


def _rows(versions: list[LandingFile], stream: DeliveredStream) -> pl.DataFrame:
    frame = day_rows(standing(versions), stream).with_columns(pl.col(stream.id_column).fill_null("").alias("__id"))
    return frame.with_columns(pl.int_range(pl.len()).over("__id").alias("__occurrence"))
