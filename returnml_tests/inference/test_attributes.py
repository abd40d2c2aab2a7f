"""A shop's own columns, declared and delivered: the service and the batch line make the same bits of them.

History is landed with the columns in the order table. The last day's orders are scored, and sent as events, with the same
values as fields of the request; the virtual clock stamps each event at the instant at which the delivered row became known.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any

import duckdb
import msgspec
import numpy as np
import pytest
from litestar.testing import TestClient

from returnml.attributes import Attributes
from returnml.clock import VirtualClock
from returnml.contracts.columns import ORDERS, RETURNS
from returnml.features.sets.attributed import order_line
from returnml.ledger.answer_records import read_day
from returnml.privacy.customers import AS_DELIVERED
from returnml.settings import Settings
from returnml.sources.simulator.simulation import simulate
from returnml.sources.simulator.simulation_plan import Plan
from returnml.store.backend_choice import open_backend
from returnml.tasks.live_sets import live_feature_sets
from returnml.warehouse.answers.inference_tables import build_inference_log
from returnml.warehouse.answers.recomputed_vectors import build_consistency
from returnml.warehouse.features.order_line_vectors import build_order_lines
from returnml.warehouse.ingest.outcomes import build_outcomes
from returnml.warehouse.ingest.raw_events import ingest_events
from returnml.warehouse.ingest.raw_streams import ingest_raw
from returnml.warehouse.ingest.validate import build_core
from returnml.warehouse.partition import open_warehouse
from returnml.warehouse.publishing.generation_content import publish_generation
from returnml_tests.inference.conftest import DAYS, FIRST, LAST, LAST_US, OF_LINE, OF_ORDER, OF_RETURN, present
from returnml_tests.roots import rooted
from returnml_tests.serving import shop
from serving.app import create_app

DECLARED = {
    "customer": {
        "birth_date": {"type": "date", "says": "how old the customer is", "protected": True, "use": True, "because": "a test"},
        "registered": {"type": "date", "column": "registered_on"},
    },
    "article": {"material": {"type": "category"}, "supplier": {"type": "category", "says": "who made the article"}},
}
FIELDS = ("customer_birth_date", "customer_registered"), ("article_material", "article_supplier")
EPOCH = date(1970, 1, 1).toordinal()


def settings_of(data: Path) -> Settings:
    own = msgspec.convert({"attributes": DECLARED}, Settings)
    return msgspec.structs.replace(shop.settings(data, "require"), attributes=own.attributes)


@dataclass
class Day:
    """The shop after its last day: settings, warehouse, how many answers were given."""

    settings: Settings
    con: duckdb.DuckDBPyConnection
    answered: int

    @property
    def attributes(self) -> Attributes:
        return self.settings.shop_attributes


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Day]:
    settings = settings_of(tmp_path_factory.mktemp("attributes"))
    own = settings.shop_attributes
    plan = Plan(FIRST, DAYS, 40, 7, has_own_columns=True)
    simulate(plan, settings.paths, VirtualClock(LAST_US), AS_DELIVERED)
    con = open_warehouse(settings.paths.warehouse)
    for stream in (ORDERS, RETURNS):
        ingest_raw(con, stream, FIRST, LAST, settings.paths.landing, settings)
        build_core(con, stream, FIRST, LAST, attributes=own)
    build_outcomes(con, FIRST, LAST, settings.label, own)
    publish_generation(con, live_feature_sets(own), LAST_US, open_backend(settings))
    declared = order_line(own)
    columns = ("article_material_orders_count_30d", "customer_registered_days")
    model = shop.graph(declared, columns=columns)
    shop.deploy(settings.paths.root, model, feature_set=declared)
    yield Day(settings, con, score_last_day(settings, con))
    con.close()


def fields(record: dict[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    """The attributes as a request says them: dates as texts, nothing where there is none."""
    found = {name: record[name] for name in names if record[name] is not None}
    return {n: date.fromordinal(EPOCH + v).isoformat() if n in FIELDS[0] else v for n, v in found.items()}


def sent_order(lines: list[dict[str, Any]]) -> dict[str, Any]:
    return present(lines[0], OF_ORDER) | {
        "attributes": fields(lines[0], FIELDS[0]),
        "lines": [present(line, OF_LINE) | {"attributes": fields(line, FIELDS[1])} for line in lines],
    }


def score_last_day(settings: Settings, con: duckdb.DuckDBPyConnection) -> int:
    names = (*OF_ORDER, *OF_LINE, *FIELDS[0], *FIELDS[1])
    rows = con.execute(
        f"SELECT epoch_us(known_at) AS at_us, order_id, {', '.join(names)} FROM core.orders WHERE known_day = ? "
        "ORDER BY at_us, order_id, line_id",
        [LAST],
    ).fetchall()
    found: dict[int, list[dict[str, Any]]] = {}
    for (at_us, _), lines in groupby(rows, key=itemgetter(0, 1)):
        records = [dict(zip(names, line[2:], strict=True)) for line in lines]
        found.setdefault(at_us, []).append({"type": "order", **sent_order(records)})
    returns = con.execute(f"SELECT epoch_us(known_at), {', '.join(OF_RETURN)} FROM core.returns WHERE known_day = ?", [LAST])
    for at_us, *values in returns.fetchall():
        found.setdefault(at_us, []).append({"type": "return", **present(dict(zip(OF_RETURN, values, strict=True)), OF_RETURN)})
    clock, answered = VirtualClock(LAST_US), 0
    with TestClient(create_app(settings, clock)) as client:
        for at_us in sorted(found):
            clock.advance_to(max(at_us - 1, clock.now_us()))
            for event in found[at_us]:
                if event["type"] == "order":
                    answer = client.post("/v1/score", json={n: v for n, v in event.items() if n != "type"})
                    assert answer.status_code == 200, answer.text
                    answered += len(event["lines"])
            clock.advance_to(max(at_us, clock.now_us()))
            occurred = {"occurred_at": datetime.fromtimestamp(at_us / 1e6, UTC).isoformat()}
            events = [{"event_id": f"{at_us}:{n}", **occurred, **event} for n, event in enumerate(found[at_us])]
            taken = client.post("/v1/events", json=events).json()
            assert taken["accepted"] == len(events), taken
    return answered


def test_every_vector_that_was_served_is_that_of_the_batch_line(lived: Day):
    declared = order_line(lived.attributes)
    report = build_inference_log(lived.con, lived.settings.paths.inference_log, LAST, LAST, lived.attributes)
    assert report.rows == lived.answered > 30
    checked = build_consistency(lived.con, declared, LAST, LAST)
    assert checked.differing == []
    assert checked.identical == checked.vectors == report.rows


def test_what_was_served_varies_and_saw_the_events_of_the_day(lived: Day):
    declared = order_line(lived.attributes)
    answers = list(read_day(lived.settings.paths.inference_log, LAST))
    vectors = np.concatenate([np.frombuffer(a.vectors, "<f4").reshape(a.lines, -1) for a in answers])
    own = [name for name in declared.outputs if name.startswith(("customer_birth", "customer_reg", "article_mat", "article_sup"))]
    assert len(own) == 2 + 2 * 6
    for name in own:
        column = vectors[:, declared.outputs.index(name)]
        assert len(np.unique(column[~np.isnan(column)])) > 3 or name.endswith("_rate_90d") or name.endswith("lifetime"), name
    assert answers[-1].mark > answers[0].mark


def test_the_ledger_brings_the_columns_that_a_landing_file_brings(lived: Day):
    """A second warehouse is made from history's files and the last day's events: its core has the same values."""
    names = ", ".join(("line_id", *(a.name for a in lived.attributes)))
    landed = lived.con.execute(f"SELECT {names} FROM core.orders WHERE known_day = ? ORDER BY line_id", [LAST]).fetchall()
    con = open_warehouse(":memory:", threads=1)
    ingest_events(con, lived.settings.paths.ledger, LAST, LAST)
    ingest_raw(con, ORDERS, LAST, LAST, rooted(lived.settings.paths.root) / "nothing landed", lived.settings)
    build_core(con, ORDERS, LAST, LAST, attributes=lived.attributes)
    sent = con.execute(f"SELECT {names} FROM core.orders ORDER BY line_id").fetchall()
    con.close()
    assert sent == landed
    assert len(sent) > 30


def test_the_batch_line_makes_the_features_from_what_was_landed(lived: Day):
    declared = order_line(lived.attributes)
    build_order_lines(lived.con, declared, LAST, LAST)
    rows = lived.con.execute(
        "SELECT f.customer_registered_days, f.customer_birth_date_days, o.extra->>'registered_on', o.extra->>'birth_date', "
        "o.known_day, "
        "f.article_material_orders_count_30d, f.line_id, o.article_material, o.known_at "
        "FROM features.order_lines f JOIN core.orders o USING (line_id) WHERE f.day = ?",
        [LAST],
    ).fetchall()
    for registered, born, delivered, birth, day, count, _, material, known_at in rows:
        assert registered == (day - date.fromisoformat(delivered)).days
        assert born == (None if birth is None else (day - date.fromisoformat(birth)).days)
        [(before,)] = lived.con.execute(
            "SELECT count(*) FROM core.orders WHERE article_material = ? AND known_at < ? AND known_at >= ?::DATE - 30",
            [material, known_at, known_at],
        ).fetchall()
        assert count == before
    assert len(rows) > 30
