"""The SELECTs that fill core and quarantine from the judged candidates (``candidate``, ``broken``, ``reference``)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date

from returnml.attributes import UNREADABLE, Attributes
from returnml.contracts.columns import ABUSE_VERDICTS, INSPECTIONS, OPEN_FLAG, ORDERS, RETURNS, DeliveredStream
from returnml.features.sets.shop import KEY_COLUMNS
from returnml.features.sql import fit_expressions
from returnml.features.sql.duckdb import DUCKDB
from returnml.sql import literal, literals
from returnml.warehouse.ingest.attribute_columns import attribute_columns, category_names, unreadable
from returnml.warehouse.ingest.links import NAMED, NAMED_KEYS, link_select
from returnml.warehouse.ingest.raw_events import TABLE
from returnml.warehouse.ingest.schema import core_columns, sent_columns

SEQ = "(known_day - DATE '1970-01-01')::BIGINT * 4294967296 + row_number() OVER (PARTITION BY known_day ORDER BY known_at, {id})"
"""days since the epoch << 32 | rank within the partition by (known_at, id)."""

FLAG_IS_OPEN = f"(is_returned IS NULL AND coalesce(json_extract_string(extra, '$.{OPEN_FLAG}') = 'true', false))"
"""Of a row of ``core.orders``: its shop has a flag per line, and this one was not final yet: unknown, not kept."""


def core_select(stream: DeliveredStream, first: date, attributes: Attributes = ()) -> str:
    """The good rows of ``core.<stream>``, in the order of ``seq``.

    Args:
        first: day of the range: orphans of the days before may meet their line in it.
        attributes: the shop's own columns, which orders get typed and returns copy where they are counted by.
    """
    if stream is RETURNS:
        return _returns(first, category_names(attributes))
    derived, source, last = "", "", ""
    if stream is ORDERS:
        derived = (
            f", c.quantity * c.unit_price_cents AS line_value_cents, {_listed(fit_expressions.order_columns(DUCKDB, 'c.size'))}"
        )
        derived += "".join(f", {value} AS {name}" for name, value in attribute_columns(attributes, "c.extra").items())
    elif stream is INSPECTIONS:
        copied = ", ".join(('r."line_id"', *(f'coalesce(o."{name}", r."{name}") AS "{name}"' for name in KEY_COLUMNS)))
        abuse = literals(ABUSE_VERDICTS)
        derived = f", {copied}, (c.verdict IN ({abuse}))::BIGINT AS is_abuse"
        source = (
            "JOIN reference f USING (pos) JOIN core.returns r ON r.return_id = f.line_id AND r.known_day <= c.known_day "
            "LEFT JOIN core.orders o ON o.line_id = r.line_id AND NOT r.is_orphan"
        )
        last = " QUALIFY row_number() OVER (PARTITION BY c.pos ORDER BY r.is_orphan) = 1"  # as it is linked, where it is
    columns = ", ".join(f'c."{column.name}"' for column in core_columns(stream))
    return _numbered(
        stream,
        f"SELECT c.known_day, c.known_at, {columns}{derived}{_sent(stream)}, c.extra, c.file, c.version, c.row_number, "
        f"c.ledger_seq FROM candidate c {source} WHERE c.pos NOT IN (SELECT pos FROM broken)" + last,
    )


def quarantine_select(stream: DeliveredStream, attributes: Attributes = ()) -> str:
    """The refused rows with their rules: names, columns and messages as the registered ``rule_texts`` has them, of refused
    events as the ledger has them.
    """
    sent = sent_columns(stream)
    delivered = {
        c.name: f'coalesce(c.sent_{c.name}, c."{c.name}")' if f"sent_{c.name}" in sent else f'c."{c.name}"'
        for c in stream.columns
    }
    payload = ", ".join(
        f"{literal(c.name)}, coalesce(json_extract(c.uncast, '$.{c.name}'), to_json({delivered[c.name]}))"
        if c.kind != "string"
        else f"{literal(c.name)}, {delivered[c.name]}"
        for c in stream.columns
    )
    # which column could not be read is known per row only
    column = (
        f"CASE WHEN t.rule = 'not_castable' THEN {_failed_column(stream)} {_failed_attribute(attributes)} ELSE t.column_name END"
    )
    return f"""
        WITH refused AS (
            SELECT b.pos, min(b.rank) AS rank, list(t.rule ORDER BY b.rank) AS rules
            FROM broken b JOIN rule_texts t USING (rank) GROUP BY b.pos
        ), told AS (
            SELECT c.pos, c.known_day, c.file, c.version, c.row_number, c.ledger_seq, t.rule, r.rules, {column} AS column_name,
                t.text, json_object({payload}, 'extra', c.extra) AS payload
            FROM refused r JOIN candidate c USING (pos) JOIN rule_texts t USING (rank)
        ), told_by_ledger AS (
            SELECT c.pos, c.known_day, c.file, c.version, c.row_number, c.ledger_seq, e.rule, [e.rule] AS rules,
                e.field AS column_name,
                format('{{}}, seq {{}}, {{}}: {{}}: {{}}', c.file, c.ledger_seq, e.field, e.rule, e.message) AS message,
                json_object({payload}, 'extra', c.extra) AS payload
            FROM candidate c JOIN {TABLE} e ON e.seq = c.ledger_seq AND e.known_day = c.known_day WHERE NOT e.is_accepted
        )
        SELECT * EXCLUDE (pos) FROM (
            SELECT * EXCLUDE (text),
                format('{{}}, row {{}}, {{}}: {{}}: {{}}, got {{}}', file, row_number, column_name, rule, text,
                    coalesce(json_extract_string(payload, '$.' || column_name), 'nothing')) AS message
            FROM told UNION ALL BY NAME FROM told_by_ledger
        ) ORDER BY pos
    """


def _failed_attribute(attributes: Attributes) -> str:
    cases = " ".join(f"WHEN {failed} THEN {path}" for path, failed in unreadable(attributes, "c.extra").items())
    return f"WHEN t.rule = {literal(UNREADABLE)} THEN CASE {cases} END" if cases else ""


def _failed_column(stream: DeliveredStream) -> str:
    cases = " ".join(
        f"WHEN json_extract_string(c.uncast, '$.{c.name}') IS NOT NULL THEN {literal(c.name)}" for c in stream.columns
    )
    return f"CASE {cases} END"


def _numbered(stream: DeliveredStream, select: str) -> str:
    ranked = f"{stream.id_column}, is_link" if stream is RETURNS else stream.id_column
    return f"SELECT *, {SEQ.format(id=ranked)} AS seq FROM ({select}) ORDER BY seq"


def _sent(stream: DeliveredStream) -> str:
    return "".join(f", c.{name}" for name in sent_columns(stream))


def _listed(expressions: Mapping[str, str]) -> str:
    return ", ".join(f"{expression} AS {name}" for name, expression in expressions.items())


def _returns(first: date, categories: tuple[str, ...]) -> str:
    """Returns with their line's keys; an orphan keeps the customer and article, where it names both. And the orphans that
    meet their line.
    """
    columns = ", ".join(f'c."{c.name}"' for c in core_columns(RETURNS) if c.name not in NAMED_KEYS)
    copied = ", ".join(
        f'coalesce(o."{name}", CASE WHEN {NAMED} THEN c."{name}" END) AS "{name}"' if name in NAMED_KEYS else f'o."{name}"'
        for name in ("order_id", "ordered_at", *KEY_COLUMNS, *categories)
    )
    own = (
        f"SELECT c.known_day, c.known_at, {columns}, f.is_orphan, false AS is_link, {copied}, "
        f"{_listed(fit_expressions.return_columns(DUCKDB, 'c.reason'))}{_sent(RETURNS)}, "
        "c.extra, c.file, c.version, c.row_number, c.ledger_seq FROM candidate c JOIN reference f USING (pos) "
        "LEFT JOIN core.orders o ON o.line_id = f.line_id AND o.known_day <= c.known_day "
        "WHERE c.pos NOT IN (SELECT pos FROM broken)"
    )
    return _numbered(RETURNS, f"WITH own AS ({own}) FROM own UNION ALL BY NAME {link_select(first, categories)}")
