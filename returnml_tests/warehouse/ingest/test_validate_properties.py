"""Dirty rows made at random: none is lost, days equal ranges, and an independent oracle agrees on what is accepted."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from returnml.warehouse.partition import open_warehouse
from returnml_tests.warehouse.conftest import D1, D2, D3, Shop, order, returned

pytestmark = pytest.mark.slow

DAYS = (D1, D2, D3)


def _maybe(values: st.SearchStrategy[Any], bad: Any) -> st.SearchStrategy[Any]:
    return st.one_of(values, values, values, st.just(bad))


@st.composite
def _order(draw: st.DrawFn) -> tuple[int, dict]:
    day, hour = draw(st.integers(0, 2)), draw(st.integers(0, 3))
    at = datetime(2024, 5, 1 + day, hour) + draw(_maybe(st.just(timedelta(0)), timedelta(days=1)))
    return day, order(
        draw(_maybe(st.sampled_from(["l1", "l2", "l3"]), None)),
        at,
        article_id=draw(_maybe(st.just("a"), "")),
        customer_id=draw(_maybe(st.sampled_from(["c1", "c2"]), None)),
        quantity=draw(_maybe(st.integers(1, 4), -1)),
        is_goods=draw(_maybe(st.sampled_from([True, None]), False)),
    )


@st.composite
def _return(draw: st.DrawFn) -> tuple[int, dict]:
    day, hour = draw(st.integers(0, 2)), draw(st.integers(0, 3))
    return day, returned(
        draw(_maybe(st.sampled_from(["r1", "r2", "r3"]), None)),
        draw(_maybe(st.sampled_from(["l1", "l2", "l3"]), "nowhere")),
        datetime(2024, 5, 1 + day, hour),
        quantity=draw(_maybe(st.integers(1, 3), 0)),
        customer_id=draw(st.sampled_from([None, "c1"])),
        article_id=draw(st.sampled_from([None, "a"])),
    )


def _accepted(orders: list[list[dict]], returns: list[list[dict]]) -> tuple[list[tuple], list[tuple]]:
    """What core must hold, a row at a time, by the rules as they are worded."""
    lines: dict[str, tuple[int, dict]] = {}
    taken: dict[str, tuple] = {}
    left: dict[str, int] = {}
    for day, rows in enumerate(orders):
        seen: list[dict] = []
        for row in sorted(rows, key=lambda r: r["ordered_at"]):
            is_bad = not row["line_id"] or not row["article_id"] or not row["customer_id"] or row["quantity"] < 1
            if is_bad or row["is_goods"] is False or row["ordered_at"].date() != DAYS[day]:
                continue
            content = {k: v for k, v in row.items() if k != "line_id"}
            is_repeated = content in seen
            seen.append(content)
            if not is_repeated and row["line_id"] not in lines:
                lines[row["line_id"]] = (day, row)
                left[row["line_id"]] = row["quantity"]
    for day, rows in enumerate(returns):
        seen = []
        for row in sorted(rows, key=lambda r: r["returned_at"]):
            if not row["return_id"] or row["quantity"] < 1:
                continue
            content = {k: v for k, v in row.items() if k != "return_id"}
            is_repeated = content in seen
            seen.append(content)
            known_day, line = lines.get(row["line_id"], (9, {}))
            is_orphan = known_day > day
            if is_repeated:
                continue
            if not is_orphan and (row["returned_at"] < line["ordered_at"] or row["quantity"] > left[row["line_id"]]):
                continue
            if row["return_id"] in taken:
                continue
            taken[row["return_id"]] = (row["return_id"], day, row["line_id"], row["quantity"], is_orphan)
            if not is_orphan:
                left[row["line_id"]] -= row["quantity"]
    return sorted((i, d, r["ordered_at"], r["quantity"]) for i, (d, r) in lines.items()), sorted(taken.values())


def _delivered(shop: Shop, stream: str, id_column: str, rows: list[list[dict]]) -> list[list[dict]]:
    """Deliver the days; return their rows in the order of the files (which the landing format decides)."""
    found = []
    for day, day_rows in zip(DAYS, rows, strict=True):
        shop.deliver(stream, day, day_rows)
    shop.ingest(stream, D1, D3)
    for day, day_rows in zip(DAYS, rows, strict=True):
        names = [*day_rows[0]] if day_rows else [id_column]
        columns = ", ".join(names)
        stored = shop.rows(f"SELECT {columns} FROM raw.{stream} WHERE known_day = ? ORDER BY row_number", day)
        found.append([dict(zip(names, row, strict=True)) for row in stored])
    return found


@settings(max_examples=12)
@given(st.lists(_order(), max_size=14), st.lists(_return(), max_size=14))
def test_no_row_is_lost_and_core_equals_the_oracle(orders: list[tuple[int, dict]], returns: list[tuple[int, dict]]):
    with TemporaryDirectory() as folder, open_warehouse(":memory:", threads=1) as con:
        shop = Shop(con, Path(folder))
        by_day = [[[row for d, row in rows if d == day] for day in range(3)] for rows in (orders, returns)]
        order_rows = _delivered(shop, "orders", "line_id", by_day[0])
        return_rows = _delivered(shop, "returns", "return_id", by_day[1])

        for stream, rows in (("orders", orders), ("returns", returns)):
            report = shop.build(stream, D1, D3)
            assert report.rows_in == len(rows) == report.good + report.quarantined
            assert sum(report.by_rule.values()) == report.quarantined
            both = f"SELECT file, row_number FROM core.{stream} UNION ALL SELECT file, row_number FROM quarantine.{stream}"
            assert sorted(shop.rows(both)) == sorted(shop.rows(f"SELECT file, row_number FROM raw.{stream}"))
        content = shop.content()

        lines, accepted = _accepted(order_rows, return_rows)
        day = "(known_day - DATE '2024-05-01')::INTEGER"
        assert shop.rows(f"SELECT line_id, {day}, ordered_at, quantity FROM core.orders ORDER BY 1") == lines
        assert shop.rows(f"SELECT return_id, {day}, line_id, quantity, is_orphan FROM core.returns ORDER BY 1") == accepted

        for stream in ("orders", "returns"):
            for one_day in DAYS:
                shop.build(stream, one_day)
        assert [row[:2] + row[3:] for row in shop.content()] == [row[:2] + row[3:] for row in content]
