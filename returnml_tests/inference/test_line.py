"""From HTTP answers to the log, the warehouse, moments and the proof; and the answer taken apart again."""

from __future__ import annotations

import json
import shutil
from datetime import timedelta

import numpy as np
import pytest
from typer.testing import CliRunner

from returnml.cli import app
from returnml.features.sets.order_line import ORDER_LINE
from returnml.features.tiles.heads import HeadLayout
from returnml.features.vector import assemble
from returnml.ledger.answer_records import (
    find,
    read_day,
)
from returnml.release.folder import load_release
from returnml.warehouse.answers import answer_recomputation as replaying
from returnml.warehouse.answers.answer_recomputation import (
    raw_values,
    replay,
)
from returnml.warehouse.answers.explain import contributions
from returnml.warehouse.answers.inference_tables import (
    build_inference_log,
    build_moments,
)
from returnml.warehouse.answers.recomputed_vectors import build_consistency
from returnml.warehouse.features.order_line_vectors import build_order_lines
from returnml_tests.inference.conftest import LAST, Scored, score_day
from returnml_tests.roots import same_root


@pytest.fixture
def ingested(scored: Scored) -> Scored:
    build_inference_log(scored.con, scored.paths.inference_log, LAST, LAST)
    return scored


def test_every_answer_is_in_the_table_once(scored: Scored):
    report = build_inference_log(scored.con, scored.paths.inference_log, LAST, LAST)
    again = build_inference_log(scored.con, scored.paths.inference_log, LAST, LAST)
    assert again == report
    assert (report.requests, report.repeated) == (len(scored.answers), 0)
    rows = scored.con.execute(
        "SELECT request_id, line_id, probability, expected_cost_cents, release, role, worker, generation FROM "
        "serving.inference_log ORDER BY request_id, line_number"
    ).fetchall()
    expected = [
        (
            request_id,
            n["line_id"],
            n["probability"],
            n["expected_cost_cents"],
            a["release"],
            "champion",
            "w0",
            a["features"]["generation"],
        )
        for request_id, a in sorted(scored.answers.items())
        for n in a["lines"]
    ]
    assert [(*r[:2], pytest.approx(r[2], rel=1e-7), *r[3:]) for r in rows] == expected
    assert len(rows) == report.rows > 30


def test_a_copied_log_repeats_nothing(scored: Scored, tmp_path):
    shutil.copytree(scored.paths.inference_log, tmp_path / "log")
    shutil.copytree(scored.paths.inference_log / "w0", tmp_path / "log" / "w1")
    report = build_inference_log(scored.con, tmp_path / "log", LAST, LAST)
    assert report.requests == len(scored.answers)
    assert report.repeated == report.rows


def test_served_vectors_are_bit_identical_to_batch(ingested: Scored):
    report = build_consistency(ingested.con, ORDER_LINE, LAST - timedelta(days=3), LAST)
    assert report.differing == []
    assert report.identical == report.vectors == sum(len(a["lines"]) for a in ingested.answers.values())
    assert report.excused == {}
    rates = ingested.con.execute("SELECT count(*), count(DISTINCT feature), min(rate) FROM monitoring.consistency").fetchall()
    assert rates == [(len(ORDER_LINE.outputs), len(ORDER_LINE.outputs), 1.0)]


def test_a_planted_bug_is_caught_and_named(scored: Scored, tmp_path, monkeypatch):
    """One online aggregation reads the window next to its own."""
    same_root(tmp_path, scored.data)
    for part in ("store", "releases", "deployment"):
        shutil.copytree(scored.data / part, tmp_path / part)
    right = HeadLayout.word_of

    def wrong(self: HeadLayout, aggregate):
        if aggregate.name == "article_orders_quantity_sum_30d":
            aggregate = next(a for a in aggregate.group.aggregates() if a.name == "article_orders_quantity_sum_1d")
        return right(self, aggregate)

    with monkeypatch.context() as patched:
        patched.setattr(HeadLayout, "word_of", wrong)
        score_day(tmp_path, scored.con, orders=15)
    build_inference_log(scored.con, tmp_path / "logs" / "inference", LAST, LAST)
    report = build_consistency(scored.con, ORDER_LINE, LAST, LAST)
    assert report.differing == ["article_orders_quantity_sum_30d"]
    assert report.identical < report.vectors
    [(rate, example, served, recomputed)] = scored.con.execute(
        "SELECT rate, example, served, recomputed FROM monitoring.consistency WHERE rate < 1"
    ).fetchall()
    assert rate < 0.9
    assert served < recomputed
    request_id, _, line_id = example.partition("/")
    [(logged,)] = scored.con.execute(
        "SELECT line_id FROM serving.inference_log WHERE request_id = ? AND line_id = ?", [request_id, line_id]
    ).fetchall()
    assert logged == line_id


def test_vectors_of_other_declarations_are_excused_and_counted(ingested: Scored):
    ingested.con.execute("UPDATE serving.inference_log SET feature_set_hash = 'other' WHERE line_number = 0")
    report = build_consistency(ingested.con, ORDER_LINE, LAST, LAST)
    assert report.excused == {"other": len(ingested.answers)}
    assert report.vectors == sum(len(a["lines"]) - 1 for a in ingested.answers.values())


def test_moments_link_lines_to_the_last_answer_before(ingested: Scored):
    report = build_moments(ingested.con, LAST - timedelta(days=1), LAST)
    of_day = len({n["line_id"] for a in ingested.answers.values() for n in a["lines"]})
    (lines,) = ingested.con.execute(
        "SELECT count(*) FROM core.orders WHERE known_day BETWEEN ? AND ?", [LAST - timedelta(days=1), LAST]
    ).fetchall()[0]
    assert (report.linked, report.lines) == (of_day, lines)
    assert build_moments(ingested.con, LAST - timedelta(days=1), LAST) == report
    wrong = ingested.con.execute(
        "SELECT count(*) FROM serving.moments m JOIN core.orders o USING (line_id) WHERE m.visible_until > o.known_at"
    ).fetchall()
    assert wrong == [(0,)]


def test_an_answer_of_the_very_instant_of_the_order_links(ingested: Scored):
    con = ingested.con
    [(line_id, request_id)] = con.execute("SELECT line_id, request_id FROM serving.inference_log LIMIT 1").fetchall()
    con.execute(
        "UPDATE serving.inference_log SET requested_at = (SELECT known_at FROM core.orders o WHERE o.line_id = $line) "
        "WHERE line_id = $line AND request_id = $request",
        {"line": line_id, "request": request_id},
    )
    build_moments(con, LAST, LAST)
    linked = con.execute("SELECT request_id FROM serving.moments WHERE line_id = ?", [line_id]).fetchall()
    assert linked == [(request_id,)]


def test_only_the_last_answer_before_the_order_links(ingested: Scored):
    con = ingested.con
    [(line_id, request_id)] = con.execute("SELECT line_id, request_id FROM serving.inference_log LIMIT 1").fetchall()
    for name, shift in (("early", timedelta(hours=-1)), ("after", timedelta(microseconds=2)), ("ancient", timedelta(days=-8))):
        con.execute(
            "INSERT INTO serving.inference_log SELECT * REPLACE (? AS request_id, requested_at + ? AS requested_at) "
            "FROM serving.inference_log WHERE line_id = ? AND request_id = ?",
            [name, shift, line_id, request_id],
        )
    linked = "SELECT request_id FROM serving.moments WHERE line_id = ?"
    build_moments(con, LAST, LAST)
    assert con.execute(linked, [line_id]).fetchall() == [(request_id,)]
    con.execute("DELETE FROM serving.inference_log WHERE request_id = ?", [request_id])
    build_moments(con, LAST, LAST)
    assert con.execute(linked, [line_id]).fetchall() == [("early",)]
    con.execute("DELETE FROM serving.inference_log WHERE request_id = 'early'")
    assert build_moments(con, LAST, LAST).linked == con.execute("SELECT count(*) FROM serving.moments").fetchall()[0][0]
    assert con.execute(linked, [line_id]).fetchall() == []


def test_linked_lines_get_the_vectors_that_were_served(ingested: Scored):
    build_moments(ingested.con, LAST, LAST)
    build_order_lines(ingested.con, ORDER_LINE, LAST, LAST, moments="serving.moments")
    names = ", ".join(f'f."{n}"' for n in ORDER_LINE.outputs)
    rows = ingested.con.execute(
        f"SELECT a.vector, f.requested_at = a.requested_at, {names} FROM features.order_lines f "
        "JOIN serving.moments m USING (line_id) JOIN serving.inference_log a "
        "ON a.request_id = m.request_id AND a.line_id = m.line_id WHERE f.day = ?",
        [LAST],
    ).fetchall()
    assert len(rows) == sum(len(a["lines"]) for a in ingested.answers.values())
    for vector, is_same_moment, *features in rows:
        assert is_same_moment
        built = np.array([np.nan if v is None else v for v in features], np.float32)
        assert np.array_equal(built, np.frombuffer(vector, "<f4"), equal_nan=True)


def test_replay_gives_the_same_bits(scored: Scored):
    answers = list(read_day(scored.paths.inference_log, LAST))
    model = load_release(scored.paths.releases / answers[0].release).model
    assert {a.request_id for a in answers} == set(scored.answers)
    for answer in answers:
        for line in replay(answer, ORDER_LINE, model):
            assert line.is_identical, line


def test_explained_windows_equal_their_events(scored: Scored):
    for answer in list(read_day(scored.paths.inference_log, LAST))[-3:]:
        raw = raw_values(answer, ORDER_LINE)
        for i in range(answer.lines):
            found = contributions(scored.con, ORDER_LINE, answer, raw, i)
            assert [c.differing for c in found] == [[]] * len(found)
            named = {w.name for c in found for w in c.windows}
            assert named <= {a.name for a in ORDER_LINE.aggregates}
            assert any(c.latest for c in found)


class TestCommands:
    def test_replay(self, scored: Scored, root):
        request_id = next(iter(scored.answers))
        done = CliRunner().invoke(app, ["replay", request_id, "--data", str(root)])
        assert done.exit_code == 0, done.output
        assert done.output.count(": identical") == len(scored.answers[request_id]["lines"])

    def test_replay_of_a_wrong_log_says_which_feature(self, scored: Scored, root, monkeypatch):
        request_id = next(iter(scored.answers))

        def shifted(feature_set, raw):
            return assemble(feature_set, raw | {"basket_count": raw["basket_count"] + 1})

        monkeypatch.setattr(replaying, "assemble", shifted)
        done = CliRunner().invoke(app, ["replay", request_id, "--data", str(root), "--day", LAST.isoformat()])
        assert done.exit_code == 1
        assert "feature basket_count differs" in done.output

    def test_explain(self, scored: Scored, root):
        request_id = list(scored.answers)[-1]
        done = CliRunner().invoke(app, ["explain", request_id, "--data", str(root)])
        assert done.exit_code == 0, done.output
        assert "replayed bit-identically" in done.output
        assert "BUT" not in done.output
        assert "the warehouse lacks" not in done.output
        found = json.loads(CliRunner().invoke(app, ["explain", request_id, "--data", str(root), "--json"]).output)
        answer = find(scored.paths.inference_log, request_id)
        assert answer is not None
        assert [n["probability"] for n in found["lines"]] == answer.probability
        assert set(found["lines"][0]["features"]) == set(ORDER_LINE.outputs)

    def test_an_unknown_request_is_refused(self, root):
        done = CliRunner().invoke(app, ["explain", "nobody", "--data", str(root)])
        assert done.exit_code == 2
        assert "request 'nobody' is not in the inference log" in done.output
