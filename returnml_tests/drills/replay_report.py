"""What a replay is judged by: the tables that the batch line made of it, against what the shop was answered."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date

import duckdb
import numpy as np

from returnml.features.sets.order_line import ORDER_LINE
from returnml_tests.drills.replay_client import Answers

BUSY_SHARE = 0.05
"""Of the answers, what each worker must have given at the least."""
FEW_ANSWERS = 1_000


@dataclass
class Report:
    """The figures, by day the vectors and how many are identical, and ``problems``: empty where all is as it must be."""

    figures: dict[str, str] = field(default_factory=dict)
    days: dict[date, tuple[int, int]] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    def text(self) -> str:
        rows = [f"{name:<46} {value}" for name, value in self.figures.items()]
        return "\n".join([*rows, *(f"WRONG: {problem}" for problem in self.problems)])


def check(con: duckdb.DuckDBPyConnection, first: date, last: date, answers: Answers) -> Report:
    """Hold the warehouse's tables of the days ``first`` to ``last`` against the answers."""
    report = Report()
    _check_consistency(con, first, last, report)
    _check_answers(con, first, last, answers, report)
    _check_events(con, answers, report)
    _check_links(con, first, last, report)
    return report


def _check_consistency(con: duckdb.DuckDBPyConnection, first: date, last: date, report: Report) -> None:
    found = con.execute(
        "SELECT day, feature, rows, identical, example FROM monitoring.consistency WHERE day BETWEEN ? AND ? ORDER BY ALL",
        [first, last],
    ).fetchall()
    differing: Counter[str] = Counter()
    for day, feature, rows, identical, example in found:
        worst = min(identical, report.days.get(day, (rows, rows))[1])
        report.days[day] = (rows, worst)
        if identical != rows:
            differing[feature] += rows - identical
            report.problems.append(f"{day}, {feature}: {rows - identical} of {rows} vectors differ, e.g. {example}")
    vectors = sum(rows for rows, _ in report.days.values())
    identical = sum(worst for _, worst in report.days.values())
    features = {feature for _, feature, *_ in found}
    report.figures["vectors served and computed again"] = f"{vectors:,}"
    report.figures["identical in every bit"] = f"{identical:,} ({100 * identical / max(vectors, 1):.4f}%)"
    report.figures["features, of which differ on any day"] = f"{len(features)}, {len(differing)}"
    report.figures["days with answers"] = f"{len(report.days)}"
    _require(report, features == set(ORDER_LINE.outputs), f"{len(features)} features compared, not {len(ORDER_LINE.outputs)}")
    [(logged, other)] = con.execute(
        "SELECT count(*), count(*) FILTER (feature_set_hash <> ?) FROM serving.inference_log WHERE day BETWEEN ? AND ?",
        [ORDER_LINE.hash, first, last],
    ).fetchall()
    _require(report, logged == vectors > 0, f"{logged:,} lines logged, {vectors:,} vectors compared")
    _require(report, other == 0, f"{other} vectors excused: of another feature set")


def _check_answers(con: duckdb.DuckDBPyConnection, first: date, last: date, answers: Answers, report: Report) -> None:
    rows = con.execute(
        "SELECT request_id, line_id, probability, worker, generation FROM serving.inference_log WHERE day BETWEEN ? AND ?",
        [first, last],
    ).fetchall()
    logged: dict[str, dict[str, float]] = {}
    for request_id, line_id, probability, _, _ in rows:
        logged.setdefault(request_id, {})[line_id] = probability
    absent = answers.scores.keys() - logged.keys()
    other = [r for r, scores in answers.scores.items() if r in logged and not _same(scores, logged[r])]
    unanswered = len(logged.keys() - answers.scores.keys())
    workers = Counter({request_id: worker for request_id, _, _, worker, _ in rows}.values())
    report.figures["answers; logged"] = f"{len(answers.scores):,}; {len(logged):,}"
    report.figures["logged, but lost on their way by a kill"] = f"{unanswered:,} of {answers.repeated:,} requests sent again"
    report.figures["answers by worker process"] = ", ".join(f"{n:,}" for _, n in workers.most_common())
    report.figures["generations that answered"] = f"{len({generation for *_, generation in rows}):,}"
    _require(report, not absent, f"{len(absent)} answers are not in the log: {sorted(absent)[:3]}")
    _require(report, not other, f"{len(other)} answers are in the log with other probabilities: {other[:3]}")
    _require(report, unanswered <= answers.repeated, f"{unanswered} logged answers that nobody asked for")
    busy = [n for n in workers.values() if n >= BUSY_SHARE * len(logged)]
    # Which worker takes a connection is the kernel's choice: a few connections of some seconds may all go to one.
    _require(report, len(busy) >= 2 or len(logged) < FEW_ANSWERS, f"the traffic did not reach two workers: {workers}")


def _check_events(con: duckdb.DuckDBPyConnection, answers: Answers, report: Report) -> None:
    rows = con.execute("SELECT event_id, seq, is_accepted FROM raw.events").fetchall()
    ledger = {event_id: seq for event_id, seq, is_accepted in rows if is_accepted}
    moved = {name for name, seq in answers.accepted.items() if ledger.get(name) != seq}
    report.figures["events answered"] = ", ".join(f"{n:,} {what}" for what, n in sorted(answers.events.items()))
    report.figures["events in the ledger; accepted"] = f"{len(rows):,}; {len(ledger):,}"
    _require(report, len({event_id for event_id, *_ in rows}) == len(rows), "an event is in the ledger twice")
    _require(report, not moved, f"{len(moved)} acknowledged events are missing or elsewhere: {sorted(moved)[:3]}")
    _require(report, ledger.keys() == answers.accepted.keys(), "the ledger has accepted events that were never acknowledged")


def _check_links(con: duckdb.DuckDBPyConnection, first: date, last: date, report: Report) -> None:
    [(lines, linked)] = con.execute(
        "SELECT (SELECT count(*) FROM core.orders WHERE known_day BETWEEN $first AND $last), "
        "(SELECT count(*) FROM serving.moments WHERE known_day BETWEEN $first AND $last)",
        {"first": first, "last": last},
    ).fetchall()
    report.figures["order lines; linked to their answer"] = f"{lines:,}; {100 * linked / max(lines, 1):.2f}%"
    _require(report, linked == lines > 0, f"{lines - linked} of {lines} lines are not linked, though each was scored before")


def _same(answered: Mapping[str, float], logged: Mapping[str, float]) -> bool:
    return answered.keys() == logged.keys() and all(np.float32(p) == np.float32(logged[line]) for line, p in answered.items())


def _require(report: Report, holds: bool, problem: str) -> None:
    if not holds:
        report.problems.append(problem)
