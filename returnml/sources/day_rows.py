"""The rows that a landing day stands for, and when two rows say the same."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import date
from pathlib import Path

import polars as pl

from returnml.contracts.columns import DeliveredStream
from returnml.sources.import_error import first_line
from returnml.sources.landing import LandingError, LandingFile, days, history, standing


def day_rows(versions: Sequence[LandingFile], stream: DeliveredStream) -> pl.DataFrame:
    """The rows that these versions of a day (``landing.standing``) come to: of each id those of the last version that has it.

    Rows without an id all stay, and so do rows that share an id within one file.

    Raises:
        LandingError: naming a file that cannot be read or lacks the id.
    """
    frames = [_read(file, stream.id_column).with_columns(__version=pl.lit(file.version)) for file in versions]
    if not frames:
        return pl.DataFrame(schema={stream.id_column: pl.String})
    if len(frames) == 1:
        return frames[0].drop("__version")
    together = pl.concat(frames, how="diagonal_relaxed")
    last = pl.col("__version") == pl.col("__version").max().over(stream.id_column)
    return together.filter(last | pl.col(stream.id_column).is_null()).drop("__version")


def known_ids(landing: Path, stream: DeliveredStream, ids: pl.Series | None, deliveries: Collection[int]) -> pl.DataFrame:
    """Where ids stand: ``id`` and ``day``, one row for each pair.

    Args:
        ids: those that are asked for; None for all.

    Raises:
        LandingError: see ``landing.history`` and :func:`day_rows`.
    """
    found = [pl.DataFrame(schema={"id": pl.String, "day": pl.Date})]
    wanted = None if ids is None else ids.unique().alias("id").to_frame()
    for day in days(landing, stream.name):
        for file in standing(history(landing, stream.name, day, deliveries)):
            own = _read(file, stream.id_column, [stream.id_column]).select(pl.col(stream.id_column).alias("id")).drop_nulls()
            own = own if wanted is None else own.join(wanted, on="id", how="semi")
            if own.height:
                found.append(own.unique().with_columns(day=pl.lit(day)))
    return pl.concat(found).unique()


def standing_rows(landing: Path, stream: DeliveredStream, day: date, deliveries: Collection[int]) -> pl.DataFrame:
    """The rows of a day as it stands; none where nothing was delivered."""
    return day_rows(standing(history(landing, stream.name, day, deliveries)), stream)


def content(frame: pl.DataFrame, id_column: str, columns: Collection[str]) -> pl.Series:
    """A text for each row that is equal where the rows are, their ids apart.

    Args:
        columns: all that count; a column that the frame lacks is null.
    """
    texts = [
        (pl.col(name).cast(pl.String) if name in frame.columns else pl.lit(None, pl.String)).alias(name)
        for name in sorted(set(columns) - {id_column})
    ]
    return frame.select(pl.struct(texts).struct.json_encode().alias("content"))["content"]


def _read(file: LandingFile, id_column: str, columns: list[str] | None = None) -> pl.DataFrame:
    try:
        frame = pl.read_parquet(file.path, columns=columns, glob=False)
    except pl.exceptions.ColumnNotFoundError as error:
        raise LandingError(f"{file.path}: column {id_column!r} is missing [required_column]") from error
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError) as error:
        raise LandingError(f"{file.path}: {first_line(error)} [unreadable_parquet]") from error
    if id_column not in frame.columns:
        raise LandingError(f"{file.path}: column {id_column!r} is missing [required_column]")
    return frame.with_columns(pl.col(id_column).cast(pl.String))
