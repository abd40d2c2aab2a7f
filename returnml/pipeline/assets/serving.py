"""What is served and read: the online generation, the copy for BI."""

import dagster as dg
from dagster_duckdb import DuckDBResource

from returnml.pipeline.assets.line_asset import (
    below,
    table_asset,
)
from returnml.pipeline.assets.task_names import scores_of
from returnml.pipeline.checks import serving_checks as checks
from returnml.pipeline.resources.warehouse_resource import session
from returnml.settings import Settings
from returnml.tasks import CHECKOUT
from returnml.tasks.live_sets import live_feature_sets
from returnml.tasks.registry import task_named


@table_asset(
    "online_generation",
    table=None,
    group="release",
    deps=["orders", "returns", "outcomes"],
    description="The online store's immutable part, with everything known before the cut-off; one pointer flip publishes it.",
    is_partitioned=False,
    checks=checks.GENERATION_SPECS,
    kinds={"lmdb"},
)
def online_generation(warehouse: DuckDBResource, settings: dg.ResourceParam[Settings]) -> dg.MaterializeResult:
    from returnml.instants import instant_us
    from returnml.store.backend_choice import open_backend
    from returnml.warehouse.ingest.cutoff import cut_off
    from returnml.warehouse.publishing.publication import publish_warehouse

    backend = open_backend(settings)
    with session(warehouse) as con:
        until = cut_off(con)
        published = publish_warehouse(con, live_feature_sets(settings.shop_attributes), instant_us(until), backend)
    is_current = backend.published() == published.name
    return dg.MaterializeResult(
        metadata={
            "generation": published.name,
            "cut_off": until.isoformat(),
            "ledger_seq": published.manifest.ledger_seq,
            "path": below(settings, published.path),
        },
        check_results=checks.generation_results(published, instant_us(until), is_current),
    )


@table_asset(
    "published_copy",
    table=None,
    group="published",
    deps=[
        *scores_of(task_named(CHECKOUT)),
        "drift",
        "features_customer",
        "features_return",
        "return_rates",
        "returns_forecast",
    ],
    description="A read-only copy of the whole warehouse for BI and notebooks, which would lock the writer out of the original.",
    is_partitioned=False,
    # Scores of the other tasks may not come: no edge to them, but after them.
    op_tags={"dagster/priority": "-1"},
)
def published_copy(warehouse: DuckDBResource, settings: dg.ResourceParam[Settings]) -> dg.MaterializeResult:
    from returnml.warehouse.publishing.bi_copy import publish_copy

    with session(warehouse) as con:
        path = publish_copy(con, settings.paths.published)
    return dg.MaterializeResult(metadata={"path": below(settings, path), "bytes": path.stat().st_size})


ASSETS = [online_generation, published_copy]
