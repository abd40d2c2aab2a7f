"""Ids of rows that have none of their own: made from a row's place in its file, they say nothing across files.

A file that was delivered before changes nothing. A row of another file that has the content, or the made id, of one that stands
may be that row or a further one: nobody can tell but the person who delivers, who is asked.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from pathlib import Path
from typing import Literal

import polars as pl

from returnml.errors import Refusal
from returnml.sources.day_rows import content, known_ids, standing_rows
from returnml.sources.delivery_plan import Draft
from returnml.sources.landing import days, records

EqualRows = Literal["same", "further"]


class EqualRowsAsked(Refusal):
    """Rows that may have been delivered before; nothing of the delivery is written."""


def digest_of(draft: Draft) -> str:
    """Of the rows, whatever their order: the same file has the same."""
    stream = draft.stream
    own = content(draft.frame, stream.id_column, draft.frame.columns)
    made = pl.select(pl.concat_str(draft.frame[stream.id_column].fill_null(""), own, separator=" ")).to_series()
    digest = hashlib.sha256()
    for row in made.sort():
        digest.update(row.encode() + b"\n")
    return digest.hexdigest()


def settle_ids(
    landing: Path, draft: Draft, digest: str, deliveries: Collection[int], equal_rows: EqualRows | None
) -> pl.DataFrame:
    """The draft's rows under the ids that they are to be landed with.

    Args:
        digest: see :func:`digest_of`.
        equal_rows: ``same``: a row that was delivered before is that row, and one with the made id of another replaces it;
            ``further``: both are further rows and get ids of their own. None: ask.

    Raises:
        EqualRowsAsked: where it must be known and is not; with how many rows.
        LandingError: where landed files cannot be read.
    """
    stream, frame = draft.stream, draft.frame
    if not frame.height or not days(landing, stream.name):
        return frame
    standing = _standing(landing, draft, deliveries)
    if not standing.height:
        return frame
    columns = {*frame.columns, *standing.columns} - {"__day"}
    rows, before = (
        f.with_columns(__content=content(f, stream.id_column, columns), __id=pl.col(stream.id_column))
        .select("__content", "__id")
        .with_columns(__n=pl.int_range(pl.len()).over("__content"))
        for f in (frame, standing)
    )
    matched = rows.join(before, on=["__content", "__n"], how="left", suffix="_before", maintain_order="left")
    is_equal = matched["__id_before"].is_not_null()
    is_taken = ~is_equal & matched["__id"].is_in(before["__id"].drop_nulls().implode()).fill_null(False)
    if is_equal.all() and any(s.digest == digest for r in records(landing) for s in r.streams if s.stream == stream.name):
        return frame.with_columns(matched["__id_before"].alias(stream.id_column))
    if not is_equal.any() and not is_taken.any():
        return frame
    if equal_rows is None:
        raise EqualRowsAsked(
            f"{stream.name}: the {stream.id_column} is made from a row's place in its file, and of {frame.height:,} rows "
            f"{is_equal.sum():,} were delivered before with the same values and {is_taken.sum():,} have the {stream.id_column} "
            "of a row with other values: say --equal-rows same where they are those rows again, --equal-rows further where "
            "they are further rows, or --replace FROM..TO where the file is all there is of a period [equal_rows]"
        )
    if equal_rows == "same":
        ids = pl.select(pl.coalesce(matched["__id_before"], matched["__id"])).to_series()
        is_new = ~is_equal & ids.is_in(matched["__id_before"].drop_nulls().implode()).fill_null(False)
    else:
        ids, is_new = matched["__id"], is_equal | is_taken
    free = _free_ids(ids.filter(is_new), {*known_ids(landing, stream, None, deliveries)["id"], *ids.drop_nulls()})
    return frame.with_columns(ids.scatter(is_new.arg_true(), free).alias(stream.id_column))


def _standing(landing: Path, draft: Draft, deliveries: Collection[int]) -> pl.DataFrame:
    """The rows that the draft's may repeat: of its days, and those that have its ids; none that it replaces."""
    stream, replaced = draft.stream, draft.replaced
    ids = draft.frame[stream.id_column].drop_nulls()
    wanted = {*draft.frame[stream.time_column].dt.date(), *known_ids(landing, stream, ids, deliveries)["day"]}
    frames = []
    for day in sorted(wanted):
        rows = standing_rows(landing, stream, day, deliveries)
        if replaced is not None and day in replaced.parts and rows.height:
            start, end = replaced.parts[day]
            at = pl.col(stream.time_column)
            rows = rows.filter(~((at >= start) & (at < end)))
        frames.append(rows)
    return pl.concat(frames, how="diagonal_relaxed")


def _free_ids(ids: pl.Series, used: set[str]) -> list[str]:
    free = []
    for made in ids:
        number = 2
        while f"{made}+{number}" in used:
            number += 1
        free.append(f"{made}+{number}")
        used.add(free[-1])
    return free
