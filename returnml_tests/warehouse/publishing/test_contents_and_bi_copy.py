from __future__ import annotations

import json
from pathlib import Path

import duckdb
import pytest

from returnml.warehouse.contents import warehouse_status
from returnml.warehouse.partition import open_warehouse
from returnml.warehouse.publishing.bi_copy import publish_copy
from returnml_tests.warehouse.conftest import D1, D2, Shop, deliver_bytes, order


def test_status_counts_rows_days_quarantine_and_refused_files(shop: Shop):
    shop.deliver("orders", D1, [order("l1"), order("l2", quantity=0), order("l3", quantity=-1)])
    file = deliver_bytes(shop.landing, "orders", D2, b"")
    shop.load("orders", D1, D2)
    status = warehouse_status(shop.con)

    assert {(t.table, t.rows, t.days, t.first_day, t.last_day) for t in status.tables} == {
        ("raw.orders", 3, 1, D1, D1),
        ("core.orders", 1, 2, D1, D2),
        ("quarantine.orders", 2, 2, D1, D2),
    }
    assert [(q.stream, q.rule, q.rows) for q in status.quarantine] == [("orders", "quantity_not_positive", 2)]
    data = json.loads(json.dumps(status.as_data()))
    assert data["refused_files"] == [
        {
            "stream": "orders",
            "day": "2024-05-02",
            "file": file,
            "rule": "file_empty",
            "column": None,
            "message": "the file has no bytes",
        }
    ]


def test_status_of_an_empty_warehouse():
    with open_warehouse(":memory:", threads=1) as con:
        assert warehouse_status(con).as_data() == {"tables": [], "quarantine": [], "refused_files": []}


def test_the_published_copy_is_complete_and_open_readers_keep_theirs(tmp_path: Path):
    target = tmp_path / "out" / "published.duckdb"
    with open_warehouse(tmp_path / "w.duckdb", threads=1) as con:
        shop = Shop(con, tmp_path / "landing")
        shop.deliver("orders", D1, [order("l1")])
        shop.load("orders", D1)
        publish_copy(con, target)
        reader = duckdb.connect(str(target), read_only=True)
        shop.deliver("orders", D2, [order("l2", order()["ordered_at"].replace(day=2))])
        shop.load("orders", D2)
        publish_copy(con, target)
        assert reader.execute("SELECT count(*) FROM core.orders").fetchall() == [(1,)]
        reader.close()
    with open_warehouse(target, read_only=True) as published:
        assert published.execute("SELECT line_id FROM core.orders ORDER BY 1").fetchall() == [("l1",), ("l2",)]
        assert published.execute("SELECT count(*) FROM ops.partitions").fetchall() != [(0,)]
    assert [p.name for p in target.parent.iterdir()] == ["published.duckdb"]


def test_a_failed_copy_leaves_the_published_one(tmp_path: Path):
    target = tmp_path / "published.duckdb"
    with open_warehouse(tmp_path / "w.duckdb", threads=1) as con:
        con.execute("CREATE TABLE t AS SELECT 1 AS a")
        publish_copy(con, target)
        before = target.read_bytes()
        con.execute("CREATE TABLE u AS SELECT 2 AS a")
        con.begin()
        con.execute("INSERT INTO t VALUES (3)")
        with pytest.raises(duckdb.Error):
            publish_copy(con, target)
        con.rollback()
    assert target.read_bytes() == before
