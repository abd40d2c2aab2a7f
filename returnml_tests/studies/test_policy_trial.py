"""Policy replay: every figure counted again, line by line."""

from collections import Counter, defaultdict
from datetime import date

import duckdb
import numpy as np
import pytest

from returnml.policy.decisions import Decider
from returnml.policy.document import ACTIONS, Costs, Effect, Effects, GroupCosts, LeastCost, Policy, Segment, Thresholds
from returnml.studies import policy_trial
from returnml.studies.policy_comparison import Comparison
from returnml.studies.policy_report import (
    draw_policy_plots,
    render_policy_report,
)
from returnml.studies.policy_trial import (
    PolicyReplayError,
    replay_policy,
)

CURRENT = Policy()
NEW = Policy(
    costs=Costs(freight_cents=900),
    product_groups={"shoes": GroupCosts(markdown_share=0.5)},
    effects=Effects(review=Effect(0.5, 0.02, 100)),
    rule=LeastCost(ACTIONS),
    segments=(Segment("abroad & <on account>", {"country": ["FR"], "payment_method": ["invoice"]}, Thresholds(restrict=0.5)),),
    exploration_share=0.1,
)
ROWS = 600
FIRST, LAST = date(2024, 3, 2), date(2024, 3, 31)


@pytest.fixture
def con():
    """Sixty days, ten lines each: two in three of them mature, some without a country."""
    con = duckdb.connect()
    con.execute("CREATE SCHEMA scores; CREATE SCHEMA core")
    con.execute(
        f"""
        CREATE TABLE core.orders AS
        SELECT 'l' || i AS line_id, CASE i % 4 WHEN 0 THEN 'FR' WHEN 1 THEN 'DE' WHEN 2 THEN 'AT' END AS country,
            CASE i % 3 WHEN 0 THEN 'invoice' ELSE 'card' END AS payment_method,
            CASE i % 5 WHEN 0 THEN 'shoes' ELSE 'shirts' END AS product_group FROM range({ROWS}) t(i);
        CREATE TABLE core.outcomes AS
        SELECT 'l' || i AS line_id, (i % 7 = 0)::TINYINT AS returned FROM range({ROWS}) t(i) WHERE i % 3 <> 0;
        CREATE TABLE scores.daily AS
        SELECT DATE '2024-02-01' + (i // 10)::INTEGER AS day, 'l' || i AS line_id, 'o' || (i // 2) AS order_id,
            ((i * 37) % 1000 / 1000.0)::FLOAT AS probability, (500 + (i * 7919) % 20000)::BIGINT AS line_value_cents,
            'EUR' AS currency, CASE i % 6 WHEN 0 THEN 'older' ELSE '{CURRENT.hash}' END AS policy_hash,
            CASE i % 2 WHEN 0 THEN false END AS in_training
        FROM range({ROWS}) t(i)"""
    )
    return con


def test_what_no_line_meets_is_named(con):
    new = Policy(
        product_groups={"shoes": GroupCosts(markdown_share=0.5), "Shoes": GroupCosts(markdown_share=0.9)},
        segments=(
            Segment("abroad", {"country": ["FR"]}, Thresholds(restrict=0.5)),
            Segment("overseas", {"country": ["ZZ"]}, Thresholds(restrict=0.5)),
        ),
    )
    compared = replay_policy(con, CURRENT, new, 30)
    assert compared.idle == ["segment 'overseas' decides about no line", "no line is of product group 'Shoes'"]
    assert b"<b>Note:</b> no line is of product group" in render_policy_report(compared, {})
    assert replay_policy(con, CURRENT, NEW, 30).idle == []


def test_lines_of_the_training_are_left_out_and_counted(con):
    whole = replay_policy(con, CURRENT, NEW, 30)
    assert whole.in_training == 0
    con.execute("UPDATE scores.daily SET in_training = true WHERE line_id IN ('l599', 'l590', 'l0')")
    compared = replay_policy(con, CURRENT, NEW, 30)
    assert (compared.in_training, compared.total.lines) == (2, whole.total.lines - 2)
    assert compared.decided_otherwise <= compared.total.lines
    assert b"2 lines are left out: they were in the training" in render_policy_report(compared, {})
    con.execute("UPDATE scores.daily SET in_training = true")
    with pytest.raises(PolicyReplayError, match="every line in EUR was in the training of the release that scored it"):
        replay_policy(con, CURRENT, NEW, 30)


def test_more_days_than_there_are_begin_with_the_first(con):
    compared = replay_policy(con, CURRENT, NEW, 10**9)
    assert (compared.first, compared.last, compared.total.lines) == (date(2024, 2, 1), LAST, ROWS)


@pytest.fixture(params=[35, 1_000_000], ids=["in chunks", "at once"])
def compared(con, request, monkeypatch) -> Comparison:
    monkeypatch.setattr(policy_trial, "CHUNK_ROWS", request.param)
    return replay_policy(con, CURRENT, NEW, 30)


@pytest.fixture
def lines(con) -> list[dict]:
    """Each line with both decisions, made of it alone."""
    found = con.execute(
        "SELECT * FROM scores.daily JOIN core.orders USING (line_id) LEFT JOIN core.outcomes USING (line_id) WHERE day >= ?",
        [FIRST],
    )
    names = [d[0] for d in found.description]
    rows = [dict(zip(names, row, strict=True)) for row in found.fetchall()]
    for row in rows:
        given = np.array([row["probability"]], np.float32), np.array([row["line_value_cents"]]), {k: [v] for k, v in row.items()}
        before, after = Decider(CURRENT).decide(*given), Decider(NEW).decide(*given)
        row |= {
            "before": before.action_names()[0],
            "after": after.action_names()[0],
            "cost_before": round(float(Decider(NEW).costs_cents(*given)[before.action[0], 0])),
            "cost_after": int(after.action_cost_cents[0]),
            "own": int(before.action_cost_cents[0]),
            "segment": NEW.segments[after.segment[0]].name if after.segment[0] >= 0 else "no segment",
        }
    return rows


def test_totals_rates_and_transitions_are_those_of_the_lines(compared: Comparison, lines: list[dict]):
    assert (compared.first, compared.last, compared.currency) == (FIRST, LAST, "EUR")
    total = compared.total
    assert total.lines == len(lines) == 300
    assert total.changed == sum(n["before"] != n["after"] for n in lines) > 20
    assert total.cost_before_cents == sum(n["cost_before"] for n in lines)
    assert total.cost_after_cents == sum(n["cost_after"] for n in lines)
    assert total.difference_cents == total.cost_after_cents - total.cost_before_cents != 0
    assert compared.own_cost_before_cents == sum(n["own"] for n in lines) != total.cost_before_cents
    assert compared.decided_otherwise == sum(n["policy_hash"] == "older" for n in lines)
    for rate in compared.actions:
        for side in ("before", "after"):
            taken = [n for n in lines if n[side] == rate.action]
            mature = [n["returned"] for n in taken if n["returned"] is not None]
            assert getattr(rate, side) == len(taken)
            assert getattr(rate, f"share_{side}") == pytest.approx(len(taken) / 300)
            assert getattr(rate, f"mature_{side}") == len(mature)
            assert getattr(rate, f"returned_{side}") == (pytest.approx(np.mean(mature)) if mature else None)
    moved = Counter((n["before"], n["after"]) for n in lines)
    assert {(t.before, t.after): t.lines for t in compared.transitions} == moved
    assert sum(t.cost_after_cents for t in compared.transitions) == total.cost_after_cents


def test_differences_are_told_by_country_product_group_and_segment(compared: Comparison, lines: list[dict]):
    assert list(compared.dimensions) == ["country", "product_group", "segment"]
    for dimension, changes in compared.dimensions.items():
        costs: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0])
        for n in lines:
            of = costs[n[dimension] or "unknown"]
            of[0] += 1
            of[1] += n["cost_before"]
            of[2] += n["cost_after"]
        assert {c.name: [c.lines, c.cost_before_cents, c.cost_after_cents] for c in changes} == costs
        sizes = [abs(c.difference_cents) for c in changes]
        assert sizes == sorted(sizes, reverse=True)
    assert {c.name for c in compared.dimensions["segment"]} == {"abroad & <on account>", "no segment"}
    assert "unknown" in {c.name for c in compared.dimensions["country"]}


def test_the_same_policy_changes_nothing(con):
    compared = replay_policy(con, CURRENT, CURRENT, 1_000)
    assert (compared.total.lines, compared.total.changed, compared.total.difference_cents) == (ROWS, 0, 0)
    assert compared.own_cost_before_cents == compared.total.cost_before_cents


def test_the_page_holds_all_of_it(compared: Comparison):
    plots = draw_policy_plots(compared)
    assert all(image.startswith(b"\x89PNG") for image in plots.values())
    page = render_policy_report(compared, plots).decode()
    assert page.count("data:image/png;base64,") == len(plots) == 3
    assert f"{compared.total.difference_cents / 100:,.2f}" in page
    assert "abroad &amp; &lt;on account&gt;" in page


def test_without_scores_or_with_several_currencies_it_says_what_to_do(con):
    con.execute("UPDATE scores.daily SET currency = 'GBP' WHERE line_id = 'l599'")
    with pytest.raises(PolicyReplayError, match=r"several currencies.*name one of EUR, GBP with --currency"):
        replay_policy(con, CURRENT, NEW, 30)
    with pytest.raises(PolicyReplayError, match="no lines in USD"):
        replay_policy(con, CURRENT, NEW, 30, "USD")
    assert replay_policy(con, CURRENT, NEW, 30, "GBP").total.lines == 1
    con.execute("DELETE FROM scores.daily")
    with pytest.raises(PolicyReplayError, match=r"scores\.daily has no lines: score some first"):
        replay_policy(con, CURRENT, NEW, 30)
    con.execute("DROP TABLE scores.daily")
    with pytest.raises(PolicyReplayError, match=r"scores\.daily has no lines"):
        replay_policy(con, CURRENT, NEW, 30)
