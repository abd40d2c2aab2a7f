"""A small simulated shop with tiles, vectors and a published copy, and no model."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from returnml.clock import VirtualClock
from returnml.features.sets.order_line import ORDER_LINE
from returnml.privacy.customers import AS_DELIVERED
from returnml.settings import Settings
from returnml.sources.simulator.simulation import simulate
from returnml.sources.simulator.simulation_plan import Plan, Scenario
from returnml.tasks.live_sets import TILE_GROUPS
from returnml.warehouse.answers.inference_tables import MOMENTS, TABLES
from returnml.warehouse.features.customer_vectors import build_customers
from returnml.warehouse.features.order_line_vectors import build_order_lines
from returnml.warehouse.features.tile_tables import build_tiles
from returnml.warehouse.ingest.cutoff import cut_off
from returnml.warehouse.partition import open_warehouse
from returnml.warehouse.publishing.bi_copy import publish_copy
from returnml.warehouse.tables import ensure_tables
from returnml_tests.roots import rooted
from returnml_tests.warehouse.line import build_line

START, DAYS = date(2025, 1, 1), 40
LAST = START + timedelta(days=DAYS - 1)


@pytest.fixture(scope="session")
def analysed(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Its settings; nothing may be written below it."""
    from returnml.features.sets.customer import CUSTOMER

    settings = Settings(data=str(rooted(tmp_path_factory.mktemp("analysed") / "o'shop")))
    simulate(Plan(START, DAYS, 30, 5, Scenario("none"), 30), settings.paths, VirtualClock(0), AS_DELIVERED)
    with open_warehouse(settings.paths.warehouse) as con:
        build_line(con, settings.paths.landing, START, LAST)
        for group in TILE_GROUPS:
            if group.is_tiled:
                build_tiles(con, group, START, LAST)
        ensure_tables(con, TABLES)
        build_order_lines(con, ORDER_LINE, START, LAST, MOMENTS)
        build_customers(con, CUSTOMER, cut_off(con))
        publish_copy(con, settings.paths.published)
    return settings
