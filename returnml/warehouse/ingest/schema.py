"""The tables that ingestion and validation write, generated from ``contracts/columns.py``.

Tables of later stages (features, scores, training, monitoring) are created by the modules that write them.
"""

from __future__ import annotations

import duckdb

from returnml.attributes import Attributes
from returnml.contracts.columns import INSPECTIONS, ORDERS, RETURNS, STREAMS, Column, DeliveredStream, Kind
from returnml.features import fit_codes
from returnml.features.sets.shop import KEY_COLUMNS
from returnml.warehouse.ingest.attribute_columns import attribute_types, category_names
from returnml.warehouse.partition import PARTITIONS_DDL, transaction
from returnml.warehouse.tables import ensure_tables

SQL_TYPES = {Kind.STRING: "VARCHAR", Kind.INTEGER: "BIGINT", Kind.TIMESTAMP: "TIMESTAMP", Kind.BOOLEAN: "BOOLEAN"}

_RAW_FRONT = {
    "known_day": "DATE",
    "known_at": "TIMESTAMP",
    "file": "VARCHAR",
    "version": "INTEGER",
    "row_number": "BIGINT",
    "is_imported": "BOOLEAN",
    "has_own_ids": "BOOLEAN",
    "ledger_seq": "BIGINT",
}
_RAW_BACK = {"extra": "JSON", "uncast": "JSON", "row_hash": "UBIGINT"}
_CORE_FRONT = {"known_day": "DATE", "seq": "BIGINT", "known_at": "TIMESTAMP"}
_CORE_BACK = {"extra": "JSON", "file": "VARCHAR", "version": "INTEGER", "row_number": "BIGINT", "ledger_seq": "BIGINT"}
_QUARANTINE = {
    "known_day": "DATE",
    "file": "VARCHAR",
    "version": "INTEGER",
    "row_number": "BIGINT",
    "ledger_seq": "BIGINT",
    "rule": "VARCHAR",
    "rules": "VARCHAR[]",
    "column_name": "VARCHAR",
    "message": "VARCHAR",
    "payload": "JSON",
}
_EVENTS = {
    "known_day": "DATE",
    "seq": "BIGINT",
    "known_at": "TIMESTAMP",
    "event_id": "VARCHAR",
    "type": "VARCHAR",
    "payload": "JSON",
    "is_accepted": "BOOLEAN",
    "rule": "VARCHAR",
    "field": "VARCHAR",
    "message": "VARCHAR",
    "is_orphan": "BOOLEAN",
    "links": "JSON",
    "conversion": "JSON",
    "file": "VARCHAR",
}
_FILES = {
    "stream": "VARCHAR",
    "day": "DATE",
    "file": "VARCHAR",
    "rule": "VARCHAR",
    "column_name": "VARCHAR",
    "message": "VARCHAR",
}
_OUTCOMES = {
    **_CORE_FRONT,
    "line_id": "VARCHAR",
    "order_id": "VARCHAR",
    "ordered_at": "TIMESTAMP",
    "mature_at": "TIMESTAMP",
    "returned": "BIGINT",
    "returned_quantity": "BIGINT",
    "refund_cents": "BIGINT",
    "quantity": "BIGINT",
    **dict.fromkeys(KEY_COLUMNS, "VARCHAR"),
}


def tables(attributes: Attributes = ()) -> dict[str, dict[str, str]]:
    """Every table of ``raw``, ``quarantine`` and ``core``: its columns in order, with their SQL types.

    Args:
        attributes: the shop's own columns, which core has typed; raw has them in ``extra``, as delivered.
    """
    found: dict[str, dict[str, str]] = {"raw.events": _EVENTS}
    for stream in STREAMS.values():
        found[f"raw.{stream.name}"] = {**_RAW_FRONT, **_typed(stream.columns), **_RAW_BACK}
        found[f"quarantine.{stream.name}"] = _QUARANTINE
        found[f"core.{stream.name}"] = {
            **_CORE_FRONT,
            **_typed(core_columns(stream)),
            **_derived(stream),
            **sent_columns(stream),
            **_CORE_BACK,
        }
    found["quarantine.files"] = _FILES
    found["core.outcomes"] = dict(_OUTCOMES)
    found["core.orders"] |= attribute_types(attributes)
    copied = dict.fromkeys(category_names(attributes), "VARCHAR")
    found["core.returns"] |= copied
    found["core.outcomes"] |= copied
    return found


def core_columns(stream: DeliveredStream) -> tuple[Column, ...]:
    """The delivered columns that a validated row keeps (``is_goods`` is true in all of them)."""
    return tuple(c for c in stream.columns if c.name != "is_goods")


AMOUNTS = {ORDERS.name: ("unit_price_cents", "list_price_cents"), RETURNS.name: ("refund_cents",)}
"""The columns of money of each stream; in the order in which ``Conversion.amounts`` has them."""


def sent_columns(stream: DeliveredStream) -> dict[str, str]:
    """What core keeps of a row whose amounts were converted, with SQL types; null in all others."""
    if stream.name not in AMOUNTS:
        return {}
    amounts = {f"sent_{name}": "BIGINT" for name in AMOUNTS[stream.name]}
    return {"sent_currency": "VARCHAR", **amounts, "exchange_rate": "VARCHAR", "exchange_day": "DATE"}


def ensure_schema(con: duckdb.DuckDBPyConnection, attributes: Attributes = ()) -> None:
    """Create what is not there yet, and add the columns that a newer contract has; repeating it changes nothing.

    In rows written before, such a column is null, as if it had not been delivered.
    """
    with transaction(con):
        if ensure_tables(con, tables(attributes)):
            con.execute(PARTITIONS_DDL)


def _typed(columns: tuple[Column, ...]) -> dict[str, str]:
    return {c.name: SQL_TYPES[c.kind] for c in columns}


def _derived(stream: DeliveredStream) -> dict[str, str]:
    if stream is ORDERS:
        return {"line_value_cents": "BIGINT", **dict.fromkeys(fit_codes.order_columns(None), "BIGINT")}
    if stream is RETURNS:
        copied = {"order_id": "VARCHAR", "ordered_at": "TIMESTAMP", **dict.fromkeys(KEY_COLUMNS, "VARCHAR")}
        present = set(RETURNS.column_names)
        said = dict.fromkeys(fit_codes.return_columns(None), "BIGINT")
        return {
            "is_orphan": "BOOLEAN",
            "is_link": "BOOLEAN",
            **{name: t for name, t in copied.items() if name not in present},
            **said,
        }
    if stream is INSPECTIONS:
        return {"line_id": "VARCHAR", **dict.fromkeys(KEY_COLUMNS, "VARCHAR"), "is_abuse": "BIGINT"}
    return {}
