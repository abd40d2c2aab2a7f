"""A policy replay beside what it cannot do without: reading the lines from DuckDB.

Run: python -m benchmarks.policy_trial [--rows 1000000]

A made-up warehouse holds ``--rows`` scored lines over 90 days, two thirds of them mature. Timed once: ``replay_policy`` with two
policies (product groups, two segments, exploration), and the same query read into memory and thrown away.
"""

from __future__ import annotations

import argparse
import json
import time

from returnml.policy.document import ACTIONS, Costs, GroupCosts, LeastCost, Policy, Segment, Thresholds
from returnml.studies.policy_trial import replay_policy
from returnml.warehouse.partition import open_warehouse

NEW = Policy(
    costs=Costs(freight_cents=600),
    product_groups={"group-1": GroupCosts(markdown_share=0.4)},
    rule=LeastCost(ACTIONS),
    segments=(
        Segment("abroad, on account", {"country": ["FR", "AT"], "payment_method": ["invoice"]}, Thresholds(review=0.6)),
        Segment("brand", {"brand": ["brand-3"]}, LeastCost(("allow", "nudge"))),
    ),
    exploration_share=0.01,
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    rows = parser.parse_args().rows
    con = open_warehouse(":memory:")
    con.execute(
        f"""
        CREATE SCHEMA scores; CREATE SCHEMA core;
        CREATE TABLE core.orders AS SELECT 'line-' || i AS line_id, ['DE', 'AT', 'FR', 'NL'][1 + i * 7919 % 4] AS country,
            ['invoice', 'card', 'paypal'][1 + i * 6101 % 3] AS payment_method, 'brand-' || i * 104729 % 31 AS brand,
            'group-' || i * 3571 % 13 AS product_group FROM range({rows}) t(i);
        CREATE TABLE core.outcomes AS SELECT 'line-' || i AS line_id, (i * 1299709 % 10 < 3)::TINYINT AS returned
            FROM range({rows} * 2 // 3) t(i);
        CREATE TABLE scores.daily AS SELECT false AS in_training,
            DATE '2024-01-01' + (i * 90 // {rows})::INTEGER AS day, 'line-' || i AS line_id,
            'order-' || i // 2 AS order_id, (i * 7907 % 1000 / 1000.0)::FLOAT AS probability,
            (500 + i * 15485863 % 20000)::BIGINT AS line_value_cents, 'EUR' AS currency, '{Policy().hash}' AS policy_hash
            FROM range({rows}) t(i)"""
    )
    compared = replay_policy(con, Policy(), NEW, 90)
    started = time.perf_counter()
    con.sql(
        "SELECT s.probability, s.line_value_cents, o.returned, s.order_id, l.country, l.payment_method, l.brand, l.product_group "
        "FROM scores.daily s JOIN core.orders l USING (line_id) LEFT JOIN core.outcomes o USING (line_id)"
    ).pl()
    found = {"rows": compared.total.lines, "changed": compared.total.changed, "seconds": round(compared.seconds, 2)}
    print(json.dumps({**found, "seconds_reading": round(time.perf_counter() - started, 2)}))


if __name__ == "__main__":
    main()
