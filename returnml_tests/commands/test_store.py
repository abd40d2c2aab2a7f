"""``returnml store``: figures, refusals with a reason, and exit codes."""

import json
from datetime import datetime

import pytest
from typer.testing import CliRunner

from returnml.cli import app
from returnml.clock import FileClockDriver
from returnml.instants import instant_us
from returnml.ledger.record_log import segments
from returnml.settings import DataPaths, Settings
from returnml.store.backend import STATE
from returnml.tasks.live_sets import FEATURE_SETS
from returnml.warehouse.ingest.outcomes import build_outcomes
from returnml.warehouse.partition import open_warehouse
from returnml.warehouse.publishing.generation_content import publish_generation
from returnml_tests.roots import rooted
from returnml_tests.warehouse.conftest import D1, D2, Shop, order
from returnml_tests.warehouse.ledger_shop import LedgerShop, placed

GO_LIVE, NOON = datetime(2024, 5, 2), datetime(2024, 5, 3, 12)


@pytest.fixture
def live(tmp_path, monkeypatch):
    """One landed line, published; an event on the day after, not ingested; it is noon of the day after that."""
    paths = DataPaths(rooted(tmp_path))
    FileClockDriver(paths.replay_clock, instant_us(NOON))
    monkeypatch.setenv("RETURNML_REPLAY_CLOCK", str(paths.replay_clock))
    con = open_warehouse(paths.warehouse, threads=1)
    shop = Shop(con, paths.landing, Settings(data=str(tmp_path), go_live=GO_LIVE.isoformat()))
    shop.deliver("orders", D1, [order("h1", datetime(2024, 5, 1, 10))])
    found = LedgerShop(shop, tmp_path, GO_LIVE)
    found.ingest(D1)
    build_outcomes(con, D1, D1, shop.settings.label)
    publish_generation(con, FEATURE_SETS, instant_us(GO_LIVE), found.backend)
    found.send(datetime(2024, 5, 2, 9), placed("a", datetime(2024, 5, 2, 9)))
    yield found
    con.close()


def run(live, *words: str):
    return CliRunner().invoke(app, ["store", *words, "--data", str(live.paths.root)])


def publish(live, *words: str):
    """The command opens the warehouse by itself."""
    live.con.close()
    try:
        return run(live, "publish", *words)
    finally:
        live.con = live.shop.con = open_warehouse(live.paths.warehouse, threads=1)


def ingest(live):
    live.ingest(D2)
    build_outcomes(live.con, D2, D2, live.shop.settings.label)


def test_status_shows_generation_live_part_and_ledger(live):
    shown = run(live, "status", "--json")
    assert shown.exit_code == 0, shown.output
    found = json.loads(shown.output)
    assert found["cut_off"] == "2024-05-02T00:00:00+00:00"
    assert (found["ledger_seq"], found["live"]["mark"], found["live"]["known_at"]) == (0, 1, "2024-05-02T09:00:00+00:00")
    assert found["ledger"] | {"bytes": 0} == {
        "segments": 1, "bytes": 0, "last_seq": 1, "last_known_at": "2024-05-02T09:00:00+00:00", "after_generation": 1
    }  # fmt: skip
    assert found["live"]["keys"] > 3
    text = run(live, "status").output
    assert "cut-off   2024-05-02T00:00:00+00:00, events up to 0" in text
    assert "events up to 1, 2024-05-02T09:00:00+00:00; 1 after the generation" in text


def test_publish_takes_the_start_of_today_and_refuses_what_is_not_ingested(live):
    refused = publish(live)
    assert refused.exit_code == 2
    assert "core.outcomes is not built through 2024-05-02" in refused.output
    ingest(live)
    live.send(datetime(2024, 5, 2, 10), placed("b", datetime(2024, 5, 2, 10)))
    refused = publish(live)
    assert (refused.exit_code, "raw.events lacks 1 events" in refused.output) == (2, True)
    ingest(live)
    done = publish(live)
    assert done.exit_code == 0, done.output
    assert "cut-off 2024-05-03T00:00:00+00:00, events up to 2" in done.output
    found = json.loads(run(live, "status", "--json").output)
    assert (found["live"]["keys"], found["ledger"]["after_generation"], len(found["kept"])) == (0, 0, 2)


def test_publish_at_a_cut_off(live):
    done = publish(live, "--cut-off", "2024-05-02")
    assert done.exit_code == 0, done.output
    for text, reason in (("2024-05-03T12:00:01", "is after now"), ("soon", "is no instant")):
        refused = publish(live, "--cut-off", text)
        assert (refused.exit_code, reason in refused.output) == (2, True)
    refused = run(live, "publish")
    assert (refused.exit_code, "core.outcomes" in refused.output or "in use" in refused.output) == (2, True)


def test_verify_and_rebuild(live):
    right = run(live, "verify")
    assert right.exit_code == 0, right.output
    assert "all as generation and ledger give them up to 1" in right.output
    with live.backend.writing() as transaction:
        key, value = next(iter(transaction.items(STATE)))
        transaction.put(STATE, bytes(key), bytes(value) + b"!")
    wrong = run(live, "verify")
    assert (wrong.exit_code, "live part: 1 of " in wrong.output) == (1, True)
    mended = run(live, "rebuild")
    assert (mended.exit_code, "events up to 1" in mended.output) == (0, True)
    assert run(live, "verify").exit_code == 0


def test_verify_names_damage(live):
    live.send(datetime(2024, 5, 2, 10), placed("b", datetime(2024, 5, 2, 10)))
    [file] = segments(live.paths.ledger)
    content = bytearray(file.read_bytes())
    content[40] ^= 1
    file.write_bytes(content)
    found = run(live, "verify")
    assert (found.exit_code, f"wrong       {file}, byte 0" in found.output) == (1, True)


@pytest.mark.parametrize("command", ["status", "verify", "rebuild"])
def test_a_data_root_without_a_store_is_refused(tmp_path, command):
    refused = CliRunner().invoke(app, ["store", command, "--data", str(rooted(tmp_path))])
    assert (refused.exit_code, "nothing was published yet" in refused.output) == (2, True)


@pytest.mark.parametrize("word", ["status", "verify", "rebuild"])
def test_a_server_that_is_away_is_no_damage(live, monkeypatch, word):
    monkeypatch.setenv("RETURNML_STORE__BACKEND", "redis")
    monkeypatch.setenv("RETURNML_STORE__REDIS_URL", "redis://127.0.0.1:1/0")
    done = run(live, word)
    assert (done.exit_code, "refused: redis 127.0.0.1:1 is not available" in done.stderr) == (2, True), done.output
