"""The Online Retail data through the line's own steps into a warehouse of the study's own, and its lines out of it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import numpy as np
import polars as pl

from returnml.clock import Clock
from returnml.contracts.columns import ORDERS, RETURNS
from returnml.features.feature_set import FeatureSet
from returnml.privacy.customers import AS_DELIVERED
from returnml.privacy.root_making import adopt_root, make_root
from returnml.root import has_data
from returnml.settings import DataPaths, PrivacySettings, Settings
from returnml.warehouse.features.order_line_vectors import build_order_lines
from returnml.warehouse.ingest.outcomes import build_outcomes
from returnml.warehouse.ingest.raw_streams import ingest_raw
from returnml.warehouse.ingest.validate import build_core
from returnml.warehouse.partition import open_warehouse
from returnml.warehouse.tables import present_tables

if TYPE_CHECKING:
    import duckdb

FIRST, LAST = date(2010, 12, 1), date(2011, 12, 9)


def prepare(
    files: Path, feature_set: FeatureSet, settings: Settings, clock: Clock, progress: Callable[[str], None]
) -> duckdb.DuckDBPyConnection:
    """Import the daily files and build everything up to the features, unless they are there already.

    Args:
        files: folder of the daily CSV files.
        settings: its data root is the study's own.
        progress: called with the name of each step before it starts.

    Returns:
        The open warehouse; the caller closes it.
    """
    from returnml.sources.online_retail import import_online_retail

    paths, as_delivered = (
        settings.paths,
        PrivacySettings(customer_ids="as_delivered"),
    )  # the reference names customers as the files do
    make = adopt_root if has_data(paths.root) else make_root
    make(msgspec.structs.replace(settings, privacy=as_delivered), "returnml evaluate", clock)
    con = open_warehouse(paths.warehouse)
    if _is_built(con, feature_set):
        return con
    progress("import the daily files")
    import_online_retail(files, paths.landing, clock, AS_DELIVERED)
    for stream in (ORDERS, RETURNS):
        progress(f"validate {stream.name}")
        ingest_raw(con, stream, FIRST, LAST, paths.landing, settings)
        build_core(con, stream, FIRST, LAST, settings.shop.currency)
    progress("derive outcomes")
    build_outcomes(con, FIRST, LAST, settings.label)
    progress("compute features")
    build_order_lines(con, feature_set, FIRST, LAST)
    return con


def study_paths(settings: Settings) -> DataPaths:
    """The study's own data root, below the shop's: it never touches the shop's warehouse."""
    return DataPaths(settings.paths.root / "evaluation" / "online_retail")


def study_lines(con: duckdb.DuckDBPyConnection, feature_set: FeatureSet, window_days: int) -> tuple[pl.DataFrame, np.ndarray]:
    """Every line with its label and vector.

    The label is taken from the returns themselves, not from ``core.outcomes``: the data end when the window of the last
    test line ends, before its grace has passed.

    Returns:
        The lines (see ``online_retail_study.match_reference``), ordered by (ordered_at, line_id), and float32 of
        shape (lines, features).
    """
    columns = ", ".join(f'f."{name}" AS "feature.{name}"' for name in feature_set.outputs)
    frame = con.sql(
        f"""
        SELECT l.line_id, l.order_id, l.article_id, l.quantity::BIGINT AS quantity, l.ordered_at, l.customer_id,
               (l.line_id IN (
                   SELECT r.line_id FROM core.returns r JOIN core.orders o USING (line_id)
                   WHERE r.returned_at - o.ordered_at <= to_days($window) AND r.is_cancellation IS NOT TRUE AND NOT r.is_orphan
               ))::TINYINT AS returned,
               {columns}
        FROM core.orders l JOIN features.order_lines f USING (line_id)
        WHERE f.feature_set_hash = $hash
        ORDER BY l.ordered_at, l.line_id""",
        params={"window": window_days, "hash": feature_set.hash},
    ).pl()
    vectors = frame.select(f"feature.{name}" for name in feature_set.outputs)
    return frame.select(pl.exclude("^feature[.].*$")), vectors.to_numpy(order="c")


def _is_built(con: duckdb.DuckDBPyConnection, feature_set: FeatureSet) -> bool:
    if not {"core.orders", "features.order_lines"} <= present_tables(con):
        return False
    lines, vectors = con.execute(
        "SELECT (SELECT count(*) FROM core.orders), (SELECT count(*) FROM features.order_lines WHERE feature_set_hash = ?)",
        [feature_set.hash],
    ).fetchall()[0]
    return 0 < lines == vectors
