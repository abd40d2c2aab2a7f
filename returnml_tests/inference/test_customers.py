"""A customer's features over HTTP while events arrive: the bits that batch computes for that moment afterwards."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import polars as pl
from litestar.testing import TestClient

from returnml.clock import VirtualClock
from returnml.features.sets.customer import CUSTOMER
from returnml_tests.features.vectors import compute_vectors
from returnml_tests.inference.conftest import LAST_US, Scored
from returnml_tests.inference.test_live import happenings
from returnml_tests.roots import same_root
from returnml_tests.serving import shop
from serving.app import create_app


def served_while_events_arrive(scored: Scored, data: Path) -> list[dict]:
    """Ask for the customer of each order before and after its event, and after each return."""
    clock = VirtualClock(LAST_US)
    answers = []
    with TestClient(create_app(shop.settings(data), clock)) as client:

        def ask(customer: str) -> None:
            answers.append(client.get(f"/v1/customers/{customer}/features").json())

        for at_us, orders, returns in happenings(scored):
            clock.advance_to(max(at_us - 1, clock.now_us()))
            for order in orders:
                ask(order["customer_id"])
            clock.advance_to(max(at_us, clock.now_us()))
            occurred = {"occurred_at": datetime.fromtimestamp(at_us / 1e6, UTC).isoformat()}
            events = [{"type": "order", "event_id": o["order_id"], **occurred, **o} for o in orders]
            events += [{"type": "return", "event_id": r["return_id"], **occurred, **r} for r in returns]
            assert client.post("/v1/events", json=events).json()["accepted"] == len(events)
            clock.advance_to(clock.now_us() + 1_000)
            for customer in {e["customer_id"] for e in events if "customer_id" in e}:
                ask(customer)
    return answers


def test_now_equals_batch_for_that_moment(scored: Scored, tmp_path: Path):
    same_root(tmp_path, scored.data)
    for part in ("store", "releases", "deployment"):
        shutil.copytree(scored.data / part, tmp_path / part)
    answers = served_while_events_arrive(scored, tmp_path)
    moments = pl.DataFrame(
        {
            "moment_id": range(len(answers)),
            "customer_id": [a["customer_id"] for a in answers],
            "requested_at": [datetime.fromisoformat(a["requested_at"]).replace(tzinfo=None) for a in answers],
            "cut_off": [datetime.fromisoformat(a["features"]["cut_off"]).replace(tzinfo=None) for a in answers],
        }
    )
    scored.con.register("asked", moments)
    spine = "(SELECT *, requested_at AS visible_until, cut_off AS derived_until FROM asked)"
    ids, batch = compute_vectors(scored.con, CUSTOMER, spine)
    scored.con.unregister("asked")
    assert sorted(ids) == list(range(len(answers)))
    # Events of the day itself are in: the same customer's count before and after differ.
    column = CUSTOMER.outputs.index("customer_orders_count_7d")
    by_customer: dict[str, set] = {}
    for i, row in zip(ids, batch, strict=True):
        by_customer.setdefault(answers[i]["customer_id"], set()).add(float(row[column]))
        values = answers[i]["values"]
        assert list(values) == list(CUSTOMER.outputs)
        served = np.array([np.nan if value is None else value for value in values.values()], np.float32)
        differing = [n for n, a, b in zip(values, served, row, strict=True) if a.tobytes() != b.tobytes()]
        assert differing == [], answers[i]
    assert sum(len(counts) > 1 for counts in by_customer.values()) > 10
    assert len({a["features"]["seq"] for a in answers}) > 20
