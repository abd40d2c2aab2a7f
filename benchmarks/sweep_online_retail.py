"""Every raw aggregate of every Online Retail line: the batch engine against an independent reference, exactly.

The reference (sorted numpy timelines and binary search, no SQL, no tiles) is itself held to the naive oracle on sampled
lines. The whole path runs: import, validation, outcomes, tiles, windows from tiles and from the streams.

    python -m benchmarks.sweep_online_retail [--shared ../shared] [--samples 20]
"""

from __future__ import annotations

import argparse
import os
import random
import tempfile
import time
from datetime import date
from pathlib import Path

import duckdb
import numpy as np
import polars as pl

from returnml.clock import VirtualClock
from returnml.contracts.columns import ORDERS, RETURNS
from returnml.features.declarations import Aggregate, KeyGroup, Operation
from returnml.features.sets.order_line import ORDER_LINE
from returnml.privacy.customers import AS_DELIVERED
from returnml.settings import LabelSettings, Settings
from returnml.sources.online_retail import import_online_retail
from returnml.tasks.live_sets import TILE_GROUPS
from returnml.warehouse.features.order_line_vectors import build_order_lines
from returnml.warehouse.features.tile_tables import build_tiles
from returnml.warehouse.features.window_aggregates import compute_windows
from returnml.warehouse.ingest.outcomes import build_outcomes
from returnml.warehouse.ingest.raw_streams import ingest_raw
from returnml.warehouse.ingest.validate import build_core
from returnml.warehouse.partition import open_warehouse
from returnml_tests.oracle import Event, Moment, group_aggregates

FIRST, LAST = date(2010, 12, 1), date(2011, 12, 9)
TIME_BITS = 45
KEYS = tuple(dict.fromkeys(k for g in ORDER_LINE.groups for k in g.keys))


class Timeline:
    """One stream's events of one group, sorted by (key, time), with prefix sums."""

    def __init__(
        self, codes: np.ndarray, at: np.ndarray, values: dict[str, np.ndarray], texts: dict[str, np.ndarray], origin: int
    ) -> None:
        self.origin = origin
        combined = self._combine(codes, at)
        order = np.argsort(combined, kind="stable")
        self.sorted = combined[order]
        self.at = at[order]
        self.sums = {c: self._prefix_sums(v[order]) for c, v in values.items()}
        self.squares = {c: self._prefix_sums(v[order], v[order]) for c, v in values.items()}
        self.texts = {c: v[order] for c, v in texts.items()}

    def _combine(self, codes: np.ndarray, at: np.ndarray) -> np.ndarray:
        since = np.clip(at - self.origin, 0, None).astype(np.uint64)
        if len(codes) and (int(codes.max()) >= 1 << (64 - TIME_BITS) or int(since.max()) >= 1 << TIME_BITS):
            raise OverflowError("more keys or a longer history than the reference's 64 bits hold")
        return codes.astype(np.uint64) << np.uint64(TIME_BITS) | since

    @staticmethod
    def _prefix_sums(*factors: np.ndarray) -> np.ndarray:
        values = np.prod(factors, axis=0, dtype=np.int64)
        if np.abs(np.prod(factors, axis=0, dtype=np.float64)).sum() >= 1 << 62:
            raise OverflowError("sums larger than the reference's 64 bits hold")
        return np.concatenate([[0], np.cumsum(values)])

    def before(self, codes: np.ndarray, at: np.ndarray) -> np.ndarray:
        """Index of the key's first event that is not known before ``at``."""
        return np.searchsorted(self.sorted, self._combine(codes, at), "left")


def load(con: duckdb.DuckDBPyConnection, folder: Path, landing: Path) -> None:
    """Import, ingest and validate the real data, derive outcomes."""
    import_online_retail(folder, landing, VirtualClock(0), AS_DELIVERED)
    for stream in (ORDERS, RETURNS):
        ingest_raw(con, stream, FIRST, LAST, landing, Settings())
        build_core(con, stream, FIRST, LAST)
    build_outcomes(con, FIRST, LAST, LabelSettings())


def frames(con: duckdb.DuckDBPyConnection) -> dict[str, pl.DataFrame]:
    found = {}
    for stream in {s.name: s for g in ORDER_LINE.groups for s in g.streams}.values():
        columns = ", ".join(dict.fromkeys([*KEYS, *stream.columns, *stream.texts]))
        found[stream.name] = con.sql(f"select seq, epoch_us(known_at) as at_us, {columns} from {stream.table} order by seq").pl()
    return found


def reference(group: KeyGroup, lines: pl.DataFrame, streams: dict[str, pl.DataFrame]) -> dict[str, np.ma.MaskedArray]:
    """Every aggregate of a group for every line, masked where missing."""
    origin = min(int(f["at_us"].to_numpy().min()) for f in streams.values() if f.height)
    keys = pl.concat([f.select(group.keys) for f in [lines, *streams.values()]]).drop_nulls().unique(maintain_order=True)
    keys = keys.with_row_index("code")
    codes = lines.select(group.keys).join(keys, on=group.keys, how="left", maintain_order="left")["code"]
    is_missing = codes.is_null().to_numpy()
    own, at = codes.fill_null(0).to_numpy(), lines["at_us"].to_numpy()
    timelines = {}
    for stream in group.streams:
        events = streams[stream.name].join(keys, on=group.keys, how="inner", maintain_order="left")
        values = {c: events[c].fill_null(0).to_numpy() for c in stream.columns}
        texts = {c: np.array(events[c].to_list(), object) for c in stream.texts}
        timelines[stream.name] = Timeline(events["code"].to_numpy(), events["at_us"].to_numpy(), values, texts, origin)
    return {a.name: _values(a, timelines[a.aggregation.stream.name], own, at, is_missing) for a in group.aggregates()}


def _values(
    aggregate: Aggregate, timeline: Timeline, codes: np.ndarray, at: np.ndarray, is_missing: np.ndarray
) -> np.ma.MaskedArray:
    head = timeline.before(codes, at)
    length, hop = aggregate.window.length_us, aggregate.window.hop_us
    edge = at // hop * hop - length if length is not None else np.full_like(at, timeline.origin)
    tail = timeline.before(codes, edge)
    operation, column = aggregate.aggregation.operation, aggregate.aggregation.column
    if operation is Operation.COUNT:
        return np.ma.array(head - tail, mask=is_missing)
    if operation is Operation.SUM:
        return np.ma.array(timeline.sums[column or ""][head] - timeline.sums[column or ""][tail], mask=is_missing)
    if operation is Operation.SUM_OF_SQUARES:
        return np.ma.array(timeline.squares[column or ""][head] - timeline.squares[column or ""][tail], mask=is_missing)
    if operation is Operation.DISTINCT:
        texts = timeline.texts[column or ""]
        found = [len(set(texts[i:j]) - {None, ""}) if i < j else 0 for i, j in zip(tail.tolist(), head.tolist(), strict=True)]
        return np.ma.array(np.array(found), mask=is_missing)
    if operation is Operation.SINCE_LAST:
        last = timeline.at[np.maximum(head - 1, 0)] if len(timeline.at) else np.zeros_like(at)
        return np.ma.array(at - last, mask=is_missing | (head == tail))
    raise NotImplementedError(f"{aggregate.name}: the reference knows no {operation}")


def check_reference(
    group: KeyGroup, lines: pl.DataFrame, streams: dict[str, pl.DataFrame], want: dict[str, np.ma.MaskedArray], samples: int
) -> None:
    """Hold the reference to the naive oracle on sampled lines."""
    for i in random.Random(group.name).sample(range(lines.height), samples):
        line = lines.row(i, named=True)
        events = {}
        for stream in group.streams:
            own = streams[stream.name].filter([pl.col(k).eq_missing(pl.lit(line[k])) for k in group.keys])
            events[stream.name] = [
                Event(r["seq"], r["at_us"], {k: r[k] for k in group.keys}, {c: r[c] for c in (*stream.columns, *stream.texts)})
                for r in own.iter_rows(named=True)
            ]
        at = line["at_us"]
        for name, value in group_aggregates(group, events, Moment(i, at, at, at, {k: line[k] for k in group.keys})).items():
            got = want[name][i]
            if (None if got is np.ma.masked else int(got)) != value:
                raise SystemExit(f"the reference itself is wrong: {name} of {line['line_id']}: {got}, oracle {value}")


def differences(con: duckdb.DuckDBPyConnection, name: str, want: np.ma.MaskedArray) -> int:
    got = con.sql(f'select "{name}"::BIGINT as v from result order by moment_id').pl()["v"]
    mask = np.ma.getmaskarray(want)
    return int(((got.is_null().to_numpy() != mask) | (~mask & (got.fill_null(0).to_numpy() != want.filled(0)))).sum())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--shared", type=Path, default=Path(os.environ.get("SHARED_DIR", Path(__file__).parents[1].parent / "shared"))
    )
    parser.add_argument("--samples", type=int, default=20)
    args = parser.parse_args()
    folder = args.shared / "data" / "online_retail_by_day"
    if not folder.is_dir():
        raise SystemExit(f"real data not found at {folder}")
    with tempfile.TemporaryDirectory() as scratch, open_warehouse(Path(scratch) / "w.duckdb", memory_limit="3GB") as con:
        load(con, folder, Path(scratch) / "landing")
        began = time.perf_counter()
        for group in (g for g in ORDER_LINE.groups if g.is_tiled):
            build_tiles(con, group, FIRST, LAST)
        print(f"tiles: {time.perf_counter() - began:.1f} s")
        began = time.perf_counter()
        report = build_order_lines(con, ORDER_LINE, FIRST, LAST)
        print(f"features.order_lines: {report.rows:,} rows x {len(ORDER_LINE.outputs)} in {time.perf_counter() - began:.1f} s")
        con.execute(
            "create temp table spine as select row_number() over (order by seq) as moment_id, known_at as requested_at, "
            "known_at as visible_until, known_at as derived_until, * from core.orders"
        )
        lines = con.sql("select *, epoch_us(known_at) as at_us from spine order by moment_id").pl()
        streams = frames(con)
        wanted: dict[str, np.ma.MaskedArray] = {}
        for group in ORDER_LINE.groups:
            wanted |= (own := reference(group, lines, streams))
            check_reference(group, lines, streams, own, args.samples)
        for from_tiles in (True, False):
            compute_windows(con, ORDER_LINE, "spine", "result", from_tiles=from_tiles, held=TILE_GROUPS)
            wrong = {name: n for name, want in wanted.items() if (n := differences(con, name, want))}
            print(
                f"{'tiles' if from_tiles else 'streams'}: {lines.height:,} lines x {len(wanted)} aggregates: "
                f"{sum(wrong.values())} differ {wrong or ''}"
            )
            if wrong:
                raise SystemExit(1)


if __name__ == "__main__":
    main()
