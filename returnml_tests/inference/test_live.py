"""Answers that saw live events: the mark in the log is the moment that batch recomputes, bit for bit.

The day's orders and returns are sent as events while its orders are scored. The warehouse already holds that day as it
was delivered; the virtual clock stamps each event at the instant at which the delivered row became known.
"""

from __future__ import annotations

import shutil
from datetime import UTC, datetime
from itertools import groupby
from operator import itemgetter
from pathlib import Path

from litestar.testing import TestClient
from typer.testing import CliRunner

from returnml.cli import app
from returnml.clock import VirtualClock
from returnml.features.sets.order_line import ORDER_LINE
from returnml.ledger.answer_records import read_day
from returnml.settings import DataPaths
from returnml.warehouse.answers.inference_tables import build_inference_log
from returnml.warehouse.answers.recomputed_vectors import build_consistency
from returnml_tests.inference.conftest import LAST, LAST_US, OF_LINE, OF_ORDER, OF_RETURN, Scored, copy_warehouse, present
from returnml_tests.roots import same_root
from returnml_tests.serving import shop
from serving.app import create_app


def happenings(scored: Scored) -> list[tuple[int, list[dict], list[dict]]]:
    """Of the last day by instant: orders as they are scored, and returns."""
    names = (*OF_ORDER, *OF_LINE)
    rows = scored.con.execute(
        f"SELECT epoch_us(known_at) AS at_us, order_id, {', '.join(names)} FROM core.orders WHERE known_day = ? "
        "ORDER BY at_us, order_id, line_id",
        [LAST],
    ).fetchall()
    found: dict[int, tuple[list[dict], list[dict]]] = {}
    for (at_us, _), lines in groupby(rows, key=itemgetter(0, 1)):
        records = [dict(zip(names, line[2:], strict=True)) for line in lines]
        order = present(records[0], OF_ORDER) | {"lines": [present(r, OF_LINE) for r in records]}
        found.setdefault(at_us, ([], []))[0].append(order)
    returns = scored.con.execute(
        f"SELECT epoch_us(known_at), {', '.join(OF_RETURN)} FROM core.returns WHERE known_day = ?", [LAST]
    ).fetchall()
    for at_us, *values in returns:
        found.setdefault(at_us, ([], []))[1].append(present(dict(zip(OF_RETURN, values, strict=True)), OF_RETURN))
    return [(at_us, *found[at_us]) for at_us in sorted(found)]


def replayed_day(scored: Scored, data: Path) -> int:
    """Score each order before its event; returns how many events were sent."""
    clock = VirtualClock(LAST_US)
    settings = shop.settings(data, "require")
    sent = 0
    with TestClient(create_app(settings, clock)) as client:
        for at_us, orders, returns in happenings(scored):
            clock.advance_to(max(at_us - 1, clock.now_us()))
            for order in orders:
                assert client.post("/v1/score", json=order).status_code == 200
            clock.advance_to(max(at_us, clock.now_us()))
            occurred = {"occurred_at": datetime.fromtimestamp(at_us / 1e6, UTC).isoformat()}
            events = [{"type": "order", "event_id": o["order_id"], **occurred, **o} for o in orders]
            events += [{"type": "return", "event_id": r["return_id"], **occurred, **r} for r in returns]
            answer = client.post("/v1/events", json=events).json()
            assert answer["accepted"] == len(events), answer
            sent += len(events)
    return sent


def test_answers_that_saw_live_events_are_bit_identical_to_batch(scored: Scored, tmp_path: Path):
    same_root(tmp_path, scored.data)
    for part in ("store", "releases", "deployment"):
        shutil.copytree(scored.data / part, tmp_path / part)
    sent = replayed_day(scored, tmp_path)
    paths = DataPaths(tmp_path)
    answers = list(read_day(paths.inference_log, LAST))
    marks = [answer.mark for answer in answers]
    assert marks == sorted(marks)
    assert marks[0] < sent // 2 < marks[-1] < sent
    report = build_inference_log(scored.con, paths.inference_log, LAST, LAST)
    checked = build_consistency(scored.con, ORDER_LINE, LAST, LAST)
    assert checked.differing == []
    assert checked.identical == checked.vectors == report.rows > 30
    copy_warehouse(scored, tmp_path)  # which has the day as it was delivered, and no event of the ledger
    done = CliRunner().invoke(app, ["explain", answers[-1].request_id, "--data", str(tmp_path)])
    assert f"the warehouse lacks {marks[-1]} of the {marks[-1]} events that were seen" in done.output, done.output
    assert f"returnml backfill --from {LAST} --to {LAST}" in done.output
