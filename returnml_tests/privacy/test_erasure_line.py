"""From import to erasure with the real service: nobody's id is anywhere, and the line and its proof still run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import duckdb
import polars as pl
import pytest

from returnml.clock import FileClockDriver
from returnml.contracts.columns import INSPECTIONS, ORDERS, RETURNS
from returnml.features.sets.order_line import ORDER_LINE
from returnml.ledger.answer_records import (
    Answer,
    read_day,
)
from returnml.ledger.record_log import read
from returnml.privacy.customers import Pseudonyms
from returnml.privacy.keyring import Keyring
from returnml.settings import DataPaths, Settings
from returnml.sources.delivery import deliver
from returnml.sources.delivery_plan import Draft
from returnml.sources.simulator.simulation import simulate_tables
from returnml.sources.simulator.simulation_plan import Plan
from returnml.store.lmdb.embedded import LmdbBackend
from returnml.warehouse.answers.answer_recomputation import served_vectors
from returnml.warehouse.answers.inference_tables import (
    build_inference_log,
    build_moments,
)
from returnml.warehouse.answers.recomputed_vectors import build_consistency
from returnml.warehouse.ingest.raw_events import ingest_events
from returnml.warehouse.partition import open_warehouse
from returnml.warehouse.publishing.bi_copy import publish_copy
from returnml.warehouse.publishing.publication import publish_warehouse
from returnml_tests.drills.service import Connection, Service
from returnml_tests.roots import rooted
from returnml_tests.serving import shop
from returnml_tests.waiting import PATIENT_ENVIRON, eventually
from returnml_tests.warehouse.line import build_line

FIRST = date(2025, 1, 1)
LIVE = date(2025, 2, 14)
NEXT = LIVE + timedelta(days=1)
HOUR_US = 3_600_000_000
ANNA = "distinctive-0000042"


def us(day: date) -> int:
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()) * 1_000_000


@dataclass
class ErasureShop:
    """A shop that imports history up to ``LIVE`` and is live from then on."""

    root: Path
    settings: Settings
    clock: FileClockDriver

    @property
    def paths(self) -> DataPaths:
        return self.settings.paths

    def build(self, first: date, last: date) -> None:
        con = open_warehouse(self.paths.warehouse)
        ingest_events(con, self.paths.ledger, first, last)
        build_line(con, self.paths.landing, first, last, self.settings)
        publish_warehouse(con, [ORDER_LINE], us(last + timedelta(days=1)), LmdbBackend(self.paths.store))
        con.close()

    def command(self, *words: str) -> subprocess.CompletedProcess[str]:
        environ = {k: v for k, v in os.environ.items() if not k.startswith("RETURNML_")}
        environ |= {"PYTHONPATH": os.pathsep.join(sys.path), "RETURNML_REPLAY_CLOCK": str(self.paths.replay_clock)}
        command = [sys.executable, "-m", "returnml.cli", *words, "--data", str(self.root)]
        return subprocess.run(command, env=environ, capture_output=True, text=True, check=False)

    def answers(self) -> list[Answer]:
        return list(read_day(self.paths.inference_log, LIVE))

    def traces(self, text: str) -> list[str]:
        """Where a text is below the data root: in the bytes of any file, and in what packed files hold unpacked."""
        wanted = text.encode()
        found = [str(f.relative_to(self.root)) for f in self.root.rglob("*") if f.is_file() and wanted in f.read_bytes()]
        for file in self.root.rglob("*.parquet"):
            if wanted in pl.read_parquet(file).write_json().encode():
                found.append(f"{file.name} unpacked")
        for folder in {file.parent for file in self.paths.inference_log.rglob("*.log")}:
            if any(wanted in zlib.decompress(entry.payload[1:]) for entry in read(folder)):
                found.append(f"{folder.name} unpacked")
        con = duckdb.connect(str(self.paths.warehouse), read_only=True)
        for (name,) in con.execute("SELECT schema_name || '.' || table_name FROM duckdb_tables()").fetchall():
            if con.execute(f"SELECT 1 FROM {name} t WHERE contains(t::VARCHAR, ?) LIMIT 1", [text]).fetchall():
                found.append(name)
        con.close()
        return found


@pytest.fixture
def erasure_shop(tmp_path: Path) -> ErasureShop:
    root = tmp_path / "data"
    settings = Settings(data=str(rooted(root, "pseudonymise")), go_live=LIVE.isoformat() + "T00:00:00Z")
    clock = FileClockDriver(settings.paths.replay_clock, us(LIVE) - HOUR_US)
    tables = simulate_tables(Plan(FIRST, (LIVE - FIRST).days, 40, 7))
    customers = Pseudonyms(Keyring(settings.paths.keys))
    days = pl.date_range(FIRST, LIVE, "1d", closed="left", eager=True).to_list()
    busiest = tables.orders["customer_id"].drop_nulls().mode().sort()[0]
    for stream, frame in ((ORDERS, tables.orders), (RETURNS, tables.returns), (INSPECTIONS, tables.inspections)):
        if "customer_id" in frame.columns:
            frame = frame.with_columns(pl.col("customer_id").replace(busiest, ANNA))
        deliver(settings.paths.landing, [Draft(stream, frame, True, covered=days)], "a test", clock, customers)
    shop.deploy(root)
    made = ErasureShop(root, settings, clock)
    clock.advance_to(us(LIVE) + 9 * HOUR_US)
    made.build(FIRST, LIVE - timedelta(days=1))
    return made


@pytest.fixture
def service(erasure_shop: ErasureShop) -> Iterator[Connection]:
    environ = {"RETURNML_REPLAY_CLOCK": str(erasure_shop.paths.replay_clock), "RETURNML_SERVING__LOG_POLICY": "require"}
    environ |= PATIENT_ENVIRON
    running = Service(erasure_shop.root, workers=2, environ=environ)
    running.start("/health/ready")
    yield Connection(running.port)
    running.stop()


def order(n: int, customer: str) -> dict:
    line = {"line_id": f"n{n}-1", "article_id": "a00001", "quantity": 1, "unit_price_cents": 4900}
    return {"order_id": f"n{n}", "customer_id": customer, "currency": "EUR", "country": "DE", "lines": [line]}


def score(service: Connection, n: int, customer: str) -> str:
    """The id of the answer; the service does not wait long for a busy disk: then it is asked again."""
    answers: list[dict] = []

    def is_answered() -> bool:
        status, answer = service.post("/v1/score", order(n, customer))
        answers.append(answer)
        return status == 200

    eventually(is_answered)
    return answers[-1]["request_id"]


def place(service: Connection, n: int, customer: str) -> None:
    about = {"type": "order", "event_id": f"e{n}", "occurred_at": f"{LIVE}T08:00:00Z"}
    assert service.post("/v1/events", order(n, customer) | about)[1]["accepted"] == 1


def give_back(service: Connection, n: int, line: str, customer: str) -> None:
    about = {"type": "return", "event_id": f"r{n}", "return_id": f"r{n}", "occurred_at": f"{LIVE}T08:30:00Z", "article_id": "a"}
    body = about | {"line_id": line, "customer_id": customer, "quantity": 1, "refund_cents": 4900, "currency": "EUR"}
    assert service.post("/v1/events", body)[1]["accepted"] == 1


def test_nobodys_id_is_anywhere_and_after_forgetting_it_the_line_and_its_proof_run_on(erasure_shop, service):
    keyring = Keyring(erasure_shop.paths.keys)
    old = keyring.find(ANNA)
    asked = [score(service, 1, ANNA)]
    place(service, 1, ANNA)
    erasure_shop.clock.advance_to(us(LIVE) + 10 * HOUR_US)
    asked += [score(service, 2, customer) for customer in (ANNA, "distinctive-nobody")]
    place(service, 2, ANNA)
    assert erasure_shop.traces("distinctive") == []

    done = erasure_shop.command("forget", ANNA, "--by", "a clerk", "--why", "asked by letter", "--json")
    assert (done.returncode, done.stdout) == (0, json.dumps({"forgotten": True, "dead_letters": 0}) + "\n"), done.stderr
    asked += [score(service, 3, customer) for customer in (ANNA, "distinctive-nobody")]
    logged = {answer.request_id: answer for answer in erasure_shop.answers()}
    known, _, unknown, forgotten, nobody = (logged[request_id] for request_id in asked)
    assert known.inputs["customer_id"] == [old]
    assert _orders_before(known) > 1
    assert forgotten.vectors == nobody.vectors
    assert known.vectors != unknown.vectors
    assert {*forgotten.inputs["customer_id"], *nobody.inputs["customer_id"]}.isdisjoint({old, None})

    give_back(service, 1, "n1-1", ANNA)
    assert keyring.find(ANNA) is None
    place(service, 4, ANNA)
    give_back(service, 2, "n2-1", ANNA)
    asked.append(score(service, 5, ANNA))
    new = keyring.find(ANNA)
    assert new not in (None, old)
    assert erasure_shop.traces("distinctive") == []

    erasure_shop.clock.advance_to(us(NEXT) + HOUR_US)
    erasure_shop.build(LIVE, LIVE)
    con = open_warehouse(erasure_shop.paths.warehouse)
    assert con.execute("SELECT customer_id FROM core.returns WHERE ledger_seq IS NOT NULL").fetchall() == [(old,), (old,)]
    report = build_inference_log(con, erasure_shop.paths.inference_log, LIVE, LIVE)
    build_moments(con, LIVE, LIVE)
    checked = build_consistency(con, ORDER_LINE, LIVE, LIVE)
    assert checked.differing == []
    assert (checked.identical, checked.vectors, dict(checked.excused)) == (report.rows, report.rows, {})
    assert report.rows == len(erasure_shop.answers()) >= len(asked) == 6
    publish_copy(con, erasure_shop.paths.published)
    con.close()
    keys = _generation_keys(erasure_shop)
    assert (any(new.encode() in key for key in keys), any(old.encode() in key for key in keys)) == (True, False)
    assert erasure_shop.traces("distinctive") == []
    again = erasure_shop.command("forget", "distinctive-nobody", "--by", "a clerk", "--why", "asked")
    assert (again.returncode, again.stdout) == (1, "")
    assert "no key" in again.stderr


def _orders_before(answer: Answer) -> int:
    return int(served_vectors(answer, ORDER_LINE)[0, ORDER_LINE.outputs.index("customer_orders_count_365d")])


def _generation_keys(erasure_shop: ErasureShop) -> list[bytes]:
    import lmdb

    backend = LmdbBackend(erasure_shop.paths.store)
    folder = erasure_shop.paths.store / str(backend.published())
    with lmdb.open(str(folder), readonly=True, lock=False) as environment, environment.begin() as transaction:
        return [key for key, _ in transaction.cursor() if key[0] < 0xF0]
