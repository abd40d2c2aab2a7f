from __future__ import annotations

from datetime import date, datetime

import pandera.errors
import polars as pl
import pytest

from returnml.contracts.columns import INSPECTIONS, ORDERS, RETURNS, STREAMS, DeliveredStream
from returnml.contracts.delivered import as_delivered, header_failures
from returnml.contracts.rules import row_rules, rules
from returnml.contracts.validated import POLARS_TYPES, ContractBroken, needed_columns, row_failures, validated
from returnml.warehouse.ingest.schema import tables


def _header(stream: DeliveredStream, **changed: pl.DataType | None) -> pl.Schema:
    types = {c.name: POLARS_TYPES[c.kind] for c in stream.columns} | changed
    return pl.Schema({name: dtype for name, dtype in types.items() if dtype is not None})


@pytest.mark.parametrize("stream", STREAMS.values(), ids=lambda s: s.name)
def test_a_full_header_and_one_of_required_columns_only_conform(stream: DeliveredStream):
    assert header_failures(stream, _header(stream)) == []
    optional = {c.name: None for c in stream.columns if not c.is_required}
    assert header_failures(stream, _header(stream, **optional)) == []


@pytest.mark.parametrize("stream", STREAMS.values(), ids=lambda s: s.name)
def test_every_required_column_is_missed_by_name(stream: DeliveredStream):
    for column in (c.name for c in stream.columns if c.is_required):
        found = header_failures(stream, _header(stream, **{column: None}))
        assert [(f.rule, f.column) for f in found] == [("column_missing", column)]


@pytest.mark.parametrize(
    ("column", "dtype", "is_bad"),
    [
        ("quantity", pl.String(), False),
        ("quantity", pl.Float32(), False),
        ("quantity", pl.Boolean(), True),
        ("quantity", pl.Datetime("us"), True),
        ("ordered_at", pl.Date(), False),
        ("ordered_at", pl.Datetime("ms", "Europe/Berlin"), False),
        ("ordered_at", pl.Int64(), True),
        ("line_id", pl.Int64(), False),
        ("line_id", pl.List(pl.String()), True),
        ("size", pl.Null(), False),
        ("size", pl.Struct({"a": pl.Int64()}), True),
        ("is_goods", pl.Int8(), False),
        ("is_goods", pl.Float64(), True),
    ],
    ids=str,
)
def test_types_from_which_no_value_can_be_read(column: str, dtype: pl.DataType, is_bad: bool):
    found = header_failures(ORDERS, _header(ORDERS, **{column: dtype}))
    assert [(f.rule, f.column) for f in found] == ([("wrong_type", column)] if is_bad else [])


def test_the_header_contract_is_pandera_and_carries_unknown_columns():
    frame = pl.DataFrame(schema=_header(ORDERS, gift_wrap=pl.Boolean()))
    assert as_delivered(ORDERS).validate(frame, lazy=True).columns[-1] == "gift_wrap"


def _rows(stream: DeliveredStream, **changed) -> pl.DataFrame:
    at = datetime(2024, 5, 1, 10)
    good = {"string": "EUR", "integer": 1, "timestamp": at, "boolean": None}
    values = {c.name: good[c.kind] for c in stream.columns} | {"verdict": "worn"} | changed
    types = {c.name: POLARS_TYPES[c.kind] for c in stream.columns}
    raw = {"known_day": date(2024, 5, 1), "known_at": at, "is_imported": True, "uncast": None}
    raw_types = {"known_day": pl.Date, "known_at": pl.Datetime("us"), "is_imported": pl.Boolean, "uncast": pl.String}
    row = raw | {name: values[name] for name in types}
    return pl.DataFrame({name: pl.Series([value], dtype=(raw_types | types)[name]) for name, value in row.items()})


@pytest.mark.parametrize("stream", STREAMS.values(), ids=lambda s: s.name)
def test_a_good_row_breaks_nothing(stream: DeliveredStream):
    assert row_failures(stream, _rows(stream).select(needed_columns(stream))).height == 0


def test_failures_name_the_row_and_every_rule():
    bad = _rows(ORDERS, quantity=0, customer_id=None)
    found = row_failures(ORDERS, pl.concat([_rows(ORDERS), bad, _rows(ORDERS), bad]))
    assert sorted(found.rows()) == [
        (1, "customer_id_missing"),
        (1, "quantity_not_positive"),
        (3, "customer_id_missing"),
        (3, "quantity_not_positive"),
    ]


@pytest.mark.parametrize(
    ("at_us", "rule"),
    [(2**63 - 1, "time_in_future"), (55_000 * 366 * 86_400 * 10**6, "time_in_future"), (-(2**63) + 1, "time_too_early")],
)
@pytest.mark.parametrize("stream", STREAMS.values(), ids=lambda s: s.name)
def test_an_instant_of_any_year_is_judged_like_any_other(stream: DeliveredStream, at_us: int, rule: str):
    row = _rows(stream).with_columns(pl.lit(at_us).cast(pl.Datetime("us")).alias(stream.time_column), is_imported=pl.lit(False))
    assert rule in row_failures(stream, row)["rule"].to_list()


def test_a_frame_of_other_types_is_a_defect_not_a_bad_row():
    with pytest.raises(ContractBroken, match="quantity"):
        row_failures(ORDERS, _rows(ORDERS).with_columns(pl.col("quantity").cast(pl.Float64)))


@pytest.mark.parametrize("stream", STREAMS.values(), ids=lambda s: s.name)
def test_the_contract_judges_core_tables_too(stream: DeliveredStream):
    kept = [name for name in _rows(stream).columns if name in tables()[f"core.{stream.name}"]]
    core = _rows(stream).select(kept)
    assert validated(stream).validate(core, lazy=True).height == 1
    broken = core.with_columns(pl.lit(None, pl.String).alias(stream.id_column))
    with pytest.raises(pandera.errors.SchemaErrors, match=f"{stream.id_column}_missing"):
        validated(stream).validate(broken, lazy=True)


@pytest.mark.parametrize("stream", [ORDERS, RETURNS, INSPECTIONS], ids=lambda s: s.name)
def test_every_rule_has_a_name_a_column_and_a_message(stream: DeliveredStream):
    known = {*stream.column_names, "uncast", "extra"}
    assert all(r.name and r.message and r.column in known for r in rules(stream))
    assert {r.name for r in row_rules(stream)} < {r.name for r in rules(stream)}
