"""Features of any frame of moments: the batch engine's own values, as of each moment.

Belongs here: what a frame must have, and how it becomes a spine. The values come from ``warehouse.features.vectors``.
"""

from __future__ import annotations

from datetime import UTC, datetime

import duckdb
import polars as pl

from returnml.analysis.analysis_errors import MomentsError
from returnml.features.feature_set import FeatureSet
from returnml.features.sql.plan import Inputs
from returnml.warehouse.features.vectors import stream_vectors
from returnml.warehouse.ingest.cutoff import known_until

_AT = "requested_at"
_UNTIL = ("visible_until", "derived_until")
_GIVEN, _SPINE = "given_moments", "asked_moments"


def needed_columns(feature_set: FeatureSet) -> tuple[str, ...]:
    """What a frame of moments must have for a feature set.

    >>> from returnml.features.sets.customer import CUSTOMER
    >>> needed_columns(CUSTOMER)
    ('requested_at', 'customer_id')
    """
    inputs = Inputs(_SPINE, feature_set.groups, feature_set.request, feature_set.basket)
    return tuple(dict.fromkeys((_AT, *inputs.key_columns, *inputs.kept_columns)))


def features_of(con: duckdb.DuckDBPyConnection, feature_set: FeatureSet, moments: pl.DataFrame) -> pl.DataFrame:
    """The frame with one float32 column for each feature, rows in their order; missing is NaN.

    Args:
        con: a warehouse, or a reader's copy of one.
        moments: ``needed_columns``; also, where a moment saw less than everything known before ``requested_at``,
            ``visible_until`` and ``derived_until``. Instants without a time zone are UTC.

    Raises:
        MomentsError: naming what the frame lacks, or how many moments lie after what is known.
        FeatureError: see ``warehouse.features.window_aggregates.compute_windows``.
    """
    _check(moments, feature_set)
    clashing = sorted(set(moments.columns) & (set(feature_set.outputs) - set(needed_columns(feature_set))))
    if clashing:
        raise MomentsError(f"moments: the column {clashing[0]!r} is named like a feature of {feature_set.name}; rename it")
    if moments.is_empty():
        return _joined(moments, feature_set, None)
    spine = _spine(moments)
    _refuse_unknown_future(spine, known_until(con))
    con.register(_GIVEN, spine.to_arrow())
    try:
        con.execute(f"CREATE OR REPLACE TEMP TABLE {_SPINE} AS SELECT * FROM {_GIVEN}")
        parts = []
        for carried, matrix in stream_vectors(con, feature_set, _SPINE, ("moment_id",)):
            ids = pl.Series("moment_id", carried.column(0).to_pylist(), pl.Int64)
            parts.append(pl.DataFrame(matrix, schema=list(feature_set.outputs), orient="row").with_columns(ids))
    finally:
        con.execute(f"DROP TABLE IF EXISTS temp.{_SPINE}")
        con.unregister(_GIVEN)
    return _joined(moments, feature_set, pl.concat(parts).sort("moment_id").drop("moment_id"))


def _joined(moments: pl.DataFrame, feature_set: FeatureSet, found: pl.DataFrame | None) -> pl.DataFrame:
    """What is both asked with and a feature (a quantity, say) stands once: as the feature."""
    if found is None:
        found = pl.DataFrame(schema=dict.fromkeys(feature_set.outputs, pl.Float32))
    return pl.concat([moments.drop([c for c in found.columns if c in moments.columns]), found], how="horizontal")


def _check(moments: pl.DataFrame, feature_set: FeatureSet) -> None:
    absent = [column for column in needed_columns(feature_set) if column not in moments.columns]
    if absent:
        raise MomentsError(
            f"moments: {len(absent)} columns are missing that {feature_set.name} needs: {', '.join(absent)}; a column of nulls "
            "says that it is not known"
        )
    for column in (_AT, *(c for c in _UNTIL if c in moments.columns)):
        kind = moments.schema[column]
        if not isinstance(kind, pl.Datetime):
            raise MomentsError(f"moments: {column} is {kind}, a datetime is needed")
        nulls = moments[column].null_count()
        if nulls:
            raise MomentsError(f"moments: {nulls} of {moments.height} rows have no {column}")


def _spine(moments: pl.DataFrame) -> pl.DataFrame:
    instants = [
        _utc(moments, column) if column in moments.columns else _utc(moments, _AT).alias(column) for column in (_AT, *_UNTIL)
    ]
    numbered = pl.int_range(pl.len(), dtype=pl.Int64).alias("moment_id")
    return moments.drop("moment_id", strict=False).with_columns(*instants, numbered)


def _utc(moments: pl.DataFrame, column: str) -> pl.Expr:
    """Naive UTC with microseconds."""
    kind = moments.schema[column]
    found = pl.col(column)
    if isinstance(kind, pl.Datetime) and kind.time_zone is not None:
        found = found.dt.convert_time_zone("UTC").dt.replace_time_zone(None)
    return found.dt.cast_time_unit("us")


def _refuse_unknown_future(spine: pl.DataFrame, until: datetime) -> None:
    """Of a moment after what is known, features would miss what happened between: no value says so."""
    late = spine.filter(pl.col(_AT) > until).height
    if late:
        raise MomentsError(
            f"moments: {late} of {spine.height} lie after {until.replace(tzinfo=UTC).isoformat()}, the end of what these tables "
            "know: their windows would miss events; run the line up to then first"
        )
