"""A feature set over all operations on orders and returns, events to send, and a warehouse of what was sent."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import duckdb
import msgspec

from returnml.features.declarations import Aggregation, KeyGroup, Operation, Stream
from returnml.features.feature_set import FeatureSet
from returnml.features.fit_codes import (
    order_columns,
    return_columns,
)
from returnml.features.sets.shop import (
    KEY_COLUMNS,
    ORDERS,
    RETURNS,
)
from returnml.features.windows import DAY_US, Window
from returnml.instants import instant
from returnml.ledger.event_records import decode_payload
from returnml.ledger.events import AnyEvent, OrderPlaced, ReturnReceived
from returnml.ledger.record_log import read
from returnml.store.event_writer import ledger_folder
from returnml.warehouse.ingest.schema import ensure_schema
from returnml.warehouse.partition import open_warehouse
from returnml_tests.oracle import Event

T0 = 1_729_468_800_000_000  # 2024-10-21T00:00:00Z
SHORT = tuple(Window.parse(name) for name in ("5m", "1h", "24h"))
_ALL = ("sum", "sum_of_squares", "min", "max", "last", "distinct")


def _operations(stream: Stream, column: str, *windows: str) -> tuple[Aggregation, ...]:
    parsed = tuple(Window.parse(w) for w in windows)
    return (
        Aggregation(stream, Operation.COUNT, None, parsed),
        *(Aggregation(stream, Operation(o), column, parsed) for o in _ALL),
        Aggregation(stream, Operation.SINCE_LAST, None, (Window.parse("lifetime"),)),
    )


FEATURES = FeatureSet(
    "live",
    1,
    (),
    (),
    (
        KeyGroup("customer", ("customer_id",), (*_operations(ORDERS, "line_value_cents", "5m", "1d", "25h", "3d", "lifetime"),)),
        KeyGroup(
            "pair",
            ("customer_id", "size"),
            (*_operations(RETURNS, "refund_cents", "1d", "2d"), *_operations(ORDERS, "quantity", "2d")),
        ),
        KeyGroup(
            "velocity",
            ("customer_id",),
            (
                Aggregation(ORDERS, Operation.COUNT, None, SHORT),
                Aggregation(ORDERS, Operation.SUM_OF_SQUARES, "quantity", SHORT),
                Aggregation(ORDERS, Operation.DISTINCT, "payment_method", SHORT),
                Aggregation(RETURNS, Operation.MIN, "refund_cents", SHORT),
            ),
        ),
    ),
    (),
)


NAMED = ("customer_id", "article_id")


def named(sent: ReturnReceived) -> bool:
    """Whether an orphan says in whose windows it counts."""
    return None not in (sent.customer_id, sent.article_id)


def event(body: dict[str, Any], at_us: int) -> AnyEvent:
    return msgspec.convert({"currency": "EUR", **body, "occurred_at": instant(at_us)}, AnyEvent)


class Ledger:
    """What the log says was accepted, as naive rows: returns take their line's keys, orphans their own."""

    def __init__(self, store: Path) -> None:
        self.orders: list[tuple[int, int, int, OrderPlaced, Any]] = []
        self.returns: list[tuple[int, int, int, ReturnReceived, dict[str, Any], bool]] = []
        self.seqs: list[tuple[int, int]] = []
        self.ids: list[str] = []
        lines: dict[str, dict[str, Any]] = {}
        orphans: dict[str, ReturnReceived] = {}
        for record in read(ledger_folder(store)):
            judged = decode_payload(record)
            sent = judged.event
            self.ids.append(sent.event_id)
            self.seqs.append((record.known_at_us, record.seq))
            if not judged.verdict.is_accepted:
                continue
            if isinstance(sent, OrderPlaced):
                for line in sorted(sent.lines, key=lambda line: line.line_id):
                    lines[line.line_id] = {k: getattr(line, k, getattr(sent, k, None)) for k in KEY_COLUMNS}
                    self.orders.append((len(self.orders), record.known_at_us, record.seq, sent, line))
                for one in judged.verdict.links:
                    if one.rule is None:
                        back = orphans[one.return_id]
                        keys = lines[one.line_id] | (dict.fromkeys(NAMED) if named(back) else {})
                        self.returns.append((len(self.returns), record.known_at_us, record.seq, back, keys, False))
            elif isinstance(sent, ReturnReceived):
                own = dict.fromkeys(KEY_COLUMNS)
                if named(sent):
                    own |= {name: getattr(sent, name) for name in NAMED}
                if judged.verdict.is_orphan:
                    orphans[sent.return_id] = sent
                keys = own if judged.verdict.is_orphan else lines[sent.line_id or ""]
                row = (len(self.returns), record.known_at_us, record.seq, sent, keys, judged.verdict.is_orphan)
                self.returns.append(row)

    def streams(self) -> dict[str, list[Event]]:
        orders = [
            Event(
                seq,
                at,
                {k: getattr(line, k, getattr(sent, k, None)) for k in KEY_COLUMNS},
                {
                    "quantity": line.quantity,
                    "line_value_cents": line.quantity * line.unit_price_cents,
                    "payment_method": sent.payment_method,
                    **order_columns(line.size),
                },
            )
            for seq, at, _, sent, line in self.orders
        ]
        returns = [
            Event(seq, at, keys, {"quantity": sent.quantity, "refund_cents": sent.refund_cents, **return_columns(sent.reason)})
            for seq, at, _, sent, keys, _ in self.returns
        ]
        return {"orders": orders, "returns": returns}

    def last_seq(self, cut_off_us: int) -> int:
        return max((seq for at, seq in self.seqs if at < cut_off_us), default=0)

    def warehouse(self) -> duckdb.DuckDBPyConnection:
        con = open_warehouse(":memory:", threads=1)
        ensure_schema(con)
        for seq, at, _, sent, line in self.orders:
            columns = {k: getattr(line, k, getattr(sent, k, None)) for k in KEY_COLUMNS} | {"line_id": line.line_id}
            columns |= {"quantity": line.quantity, "line_value_cents": line.quantity * line.unit_price_cents}
            columns |= {"currency": sent.currency}
            _insert(con, "orders", seq, at, columns | {"ordered_at": sent.occurred_at.replace(tzinfo=None)})
        for seq, at, _, sent, keys, is_orphan in self.returns:
            columns = keys | {"return_id": sent.return_id, "quantity": sent.quantity, "refund_cents": sent.refund_cents}
            columns |= {"returned_at": sent.occurred_at.replace(tzinfo=None), "currency": sent.currency, "reason": sent.reason}
            _insert(con, "returns", seq, at, columns | {"line_id": sent.line_id, "is_orphan": is_orphan})
        return con


def _insert(con: duckdb.DuckDBPyConnection, table: str, seq: int, at_us: int, columns: dict[str, Any]) -> None:
    names = ", ".join(columns)
    values: Sequence[Any] = [seq, at_us, at_us // DAY_US, *columns.values()]
    places = ", ".join("?" for _ in columns)
    con.execute(
        f"INSERT INTO core.{table} (seq, known_at, known_day, {names}) "
        f"VALUES (?, make_timestamp(?), DATE '1970-01-01' + ?::INTEGER, {places})",
        values,
    )
