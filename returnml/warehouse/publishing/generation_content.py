"""From the warehouse's core tables to a published generation of the online store.

DuckDB aggregates each group's events to one row per key and tile; ``features.suffixes`` turns those into stored rows,
vectorised. Every stream ends at the same cut-off, which may lie inside a day.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import duckdb
import numpy as np
import polars as pl

from returnml.features.declarations import KeyGroup, Operation, Stream
from returnml.features.feature_set import FeatureSet
from returnml.features.sql.duckdb import DUCKDB
from returnml.features.tiles.arithmetic import (
    NULL,
    GroupLayout,
    Measure,
    TileError,
    interleave,
)
from returnml.features.tiles.heads import HeadLayout
from returnml.features.tiles.suffixes import (
    LIMB_BITS,
    LIMBS,
    suffixes,
)
from returnml.features.tiles.value_lists import encode_lists
from returnml.features.union import union
from returnml.features.windows import DAY_US, FIVE_MINUTES_US
from returnml.ledger.erased import erased_customers
from returnml.sql import quote, quoted
from returnml.store.backend import Backend
from returnml.store.event_writer import ledger_folder
from returnml.store.generation import EncodedGroup, Generation, Packed
from returnml.store.generation_writing import write_generation
from returnml.store.keys import LISTS, encode_key
from returnml.warehouse.ingest.currency import check_one_currency
from returnml.warehouse.publishing.line_index import line_index

_KNOWN = "epoch_us(known_at)"
_CUSTOMER = "customer_id"
_ERASED = "erased_customers"


def publish_generation(
    con: duckdb.DuckDBPyConnection,
    feature_sets: Sequence[FeatureSet],
    cut_off_us: int,
    backend: Backend,
    keep: int = 3,
    ledger_seq: int = 0,
) -> Generation:
    """Publish everything known before a cut-off, tiles of customers who were forgotten apart.

    Args:
        con: an open warehouse with the streams' tables.
        feature_sets: those that it is to serve, the one that decides first.
        cut_off_us: microseconds since the epoch (UTC); events with ``known_at`` before it are in.
        backend: see ``store.backends.open_backend``.
        keep: how many generations stay on disk.
        ledger_seq: the tables hold the ledger's events up to this one.

    Returns:
        The published generation, opened.

    Raises:
        TileError: naming group, measure or column, where a value exceeds its declared bits.
        MixedCurrencies: where amounts of several currencies would be added.
        LogError: where the ledger, which says who was forgotten, is damaged.
    """
    declared = union(feature_sets)
    check_one_currency(con, cut_off_us)
    for stream in {s.name: s for g in declared for s in g.streams}.values():
        _check_bits(con, stream, cut_off_us)
    ledger = ledger_folder(backend.root)
    erased, seq = erased_customers(ledger)
    while True:
        _stage_erased(con, erased)
        groups = [encode_group(con, i, group, cut_off_us) for i, group in enumerate(declared)]
        index = line_index(con, declared, cut_off_us)
        generation = write_generation(backend, feature_sets, cut_off_us, groups, index, ledger_seq, keep)
        newer, seq = erased_customers(ledger, seq)
        if newer <= erased:
            return generation
        # Somebody was forgotten meanwhile: what is published must not have their keys.
        erased |= newer


def _stage_erased(con: duckdb.DuckDBPyConnection, erased: frozenset[str]) -> None:
    """Nobody can ask about customers who were forgotten: nothing is stored of them, whatever was ingested of that."""
    con.execute(f"CREATE OR REPLACE TEMP TABLE {_ERASED} AS SELECT unnest(?::VARCHAR[]) AS name", [sorted(erased)])


def encode_group(con: duckdb.DuckDBPyConnection, index: int, group: KeyGroup, cut_off_us: int) -> EncodedGroup:
    """The encoded values of one group: ``index`` is its position in the union of the feature sets."""
    layout = GroupLayout(group)
    frame = con.sql(_tiles_sql(layout, cut_off_us)).pl()
    keys = [frame[name] for name in group.keys]
    n = frame.height
    is_first = np.ones(n, bool)
    if n > 1:
        is_first[1:] = np.logical_or.reduce([(key != key.shift(1)).to_numpy()[1:] for key in keys])
    first = np.flatnonzero(is_first)
    tiles = {measure.name: _values(frame, measure) for measure in layout.measures}
    starts_us, rows = frame["start_us"].to_numpy(), suffixes(layout, first, tiles)
    ends = np.append(first[1:], n)[: len(first)]
    words = interleave(layout.row_width, ends - first, starts_us, rows)
    encoded = [encode_key(index, parts) for parts in zip(*(key.gather(first).to_list() for key in keys), strict=True)]
    return EncodedGroup(
        group.name,
        encoded,
        Packed(*HeadLayout(layout).encode(first, starts_us, rows, cut_off_us)),
        Packed(words, ends * (1 + layout.row_width)),
        n,
        _lists(con, index, layout, cut_off_us),
    )


def _lists(con: duckdb.DuckDBPyConnection, index: int, layout: GroupLayout, cut_off_us: int) -> list[tuple[bytes, bytes]]:
    """By key the values of each ``distinct`` measure with the starts of their last tiles."""
    found: dict[tuple[str, ...], list[list[tuple[int, int]]]] = {}
    for i, measure in enumerate(layout.distinct):
        [stream] = [s for s in layout.group.streams if s.name == measure.stream]
        for *parts, value, start_us in con.execute(f"{_latest_sql(layout, stream, measure, cut_off_us)} ORDER BY ALL").fetchall():
            found.setdefault(tuple(parts), [[] for _ in layout.distinct])[i].append((value, start_us))
    return sorted((encode_key(index + LISTS, parts), encode_lists(lists)) for parts, lists in found.items())


def _values(frame: pl.DataFrame, measure: Measure) -> np.ndarray:
    if measure.operation is Operation.SUM_OF_SQUARES:
        limbs = [frame[f"{measure.name}_{i}"].fill_null(0).to_numpy() for i in range(LIMBS)]
        return np.array(limbs, np.int64).reshape(LIMBS, frame.height)
    return frame[measure.name].fill_null(NULL).to_numpy()


def _tiles_sql(layout: GroupLayout, cut_off_us: int) -> str:
    """One row per key and tile, ordered: the key columns, ``start_us`` and each measure of that tile alone.

    Tiles older than the longest window serve only ``lifetime``: they are merged into one, or left out (``tiles.Cut``).
    """
    keys = quoted(layout.group.keys)
    parts = []
    for stream in layout.group.streams:
        measures = [m for m in layout.measures if m.stream == stream.name]
        start, source = _source_sql(layout, stream, cut_off_us)
        plain = [_measure_sql(m) for m in measures if m.operation is not Operation.DISTINCT]
        if plain:
            parts.append(f"SELECT {keys}, {start} AS start_us, {', '.join(plain)} {source} GROUP BY ALL")
        for m in measures:
            if m.operation is Operation.DISTINCT:
                latest = _latest_sql(layout, stream, m, cut_off_us)
                parts.append(f"SELECT {keys}, start_us, count(*) AS {quote(m.name)} FROM ({latest}) GROUP BY ALL")
    union = " UNION ALL BY NAME ".join(parts)
    merged = ", ".join(column for m in layout.measures for column in _merged_sql(m))
    return f"SELECT {keys}, start_us, {merged} FROM ({union}) GROUP BY {keys}, start_us ORDER BY {keys}, start_us"


def _source_sql(layout: GroupLayout, stream: Stream, cut_off_us: int) -> tuple[str, str]:
    """The start of a row's tile, and the rows of a stream that have one."""
    cut = layout.cut(cut_off_us)
    visible = f"known_at < make_timestamp({cut_off_us})"
    start = f"WHEN {_KNOWN} >= {cut.oldest_us} THEN {_KNOWN} // {DAY_US} * {DAY_US}"
    if cut.recent_us is not None:
        start = f"WHEN {_KNOWN} >= {cut.recent_us} THEN {_KNOWN} // {FIVE_MINUTES_US} * {FIVE_MINUTES_US} {start}"
    start = f"(CASE {start} ELSE {cut.older_us} END)::BIGINT"
    if not cut.keeps_older:
        visible += f" AND known_at >= make_timestamp({cut.oldest_us})"
    named = " AND ".join(f"{quote(k)} IS NOT NULL" for k in layout.group.keys)
    if _CUSTOMER in layout.group.keys:
        named += f" AND {_CUSTOMER} NOT IN (FROM {_ERASED})"
    return start, f"FROM {stream.table} WHERE {visible} AND {named}"


def _latest_sql(layout: GroupLayout, stream: Stream, measure: Measure, cut_off_us: int) -> str:
    """The key columns, each value of a ``distinct`` measure, and ``start_us`` of its last tile."""
    start, source = _source_sql(layout, stream, cut_off_us)
    keys = quoted(layout.group.keys)
    column = DUCKDB.text_code(_column(measure)) if measure.is_text else _column(measure)
    return f"SELECT {keys}, {column} AS value, max({start}) AS start_us {source} AND value IS NOT NULL GROUP BY ALL"


def _column(measure: Measure) -> str:
    """Empty for what counts events and reads none."""
    return "" if measure.column is None else quote(measure.column)


def _measure_sql(measure: Measure) -> str:
    column = _column(measure)
    expression = {
        Operation.COUNT: "count(*)",
        Operation.SUM: f"sum({column})::BIGINT",
        Operation.SUM_OF_SQUARES: f"sum({column}::HUGEINT * {column}::HUGEINT)",
        Operation.MIN: f"min({column})::BIGINT",
        Operation.MAX: f"max({column})::BIGINT",
        Operation.LAST: f"arg_max({column}, seq)::BIGINT",
        Operation.SINCE_LAST: "max(epoch_us(known_at))",
    }[measure.operation]
    return f"{expression} AS {quote(measure.name)}"


def _merged_sql(measure: Measure) -> Iterator[str]:
    """A tile's measure comes from one part of the union; the others are null there."""
    merged = f"any_value({quote(measure.name)})"
    if measure.operation is not Operation.SUM_OF_SQUARES:
        yield f"{merged} AS {quote(measure.name)}"
        return
    for i in range(LIMBS - 1):
        word = quote(f"{measure.name}_{i}")
        yield f"(({merged} >> {LIMB_BITS * i}) & {(1 << LIMB_BITS) - 1}::HUGEINT)::BIGINT AS {word}"
    yield f"({merged} >> {LIMB_BITS * (LIMBS - 1)})::BIGINT AS {quote(f'{measure.name}_{LIMBS - 1}')}"


def _check_bits(con: duckdb.DuckDBPyConnection, stream: Stream, cut_off_us: int) -> None:
    if not stream.columns:
        return
    largest = ", ".join(f"max(abs({quote(c)}::HUGEINT))" for c in stream.columns)
    [found] = con.execute(f"SELECT {largest} FROM {stream.table} WHERE known_at < make_timestamp({cut_off_us})").fetchall()
    for (column, bits), value in zip(stream.columns.items(), found, strict=True):
        if value is not None and value >= 1 << bits:
            raise TileError(
                f"{stream.table}.{column}: |{value}| needs more than the {bits} bits that stream {stream.name!r} declares"
            )
