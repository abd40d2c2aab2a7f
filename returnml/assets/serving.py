"""What is served and read: the online generation, the morning's scores, the copy for BI."""

import dagster as dg
from dagster_duckdb import DuckDBResource

from returnml.assets.table import column_schema, same_columns, table_asset, written
from returnml.checks import serving as checks
from returnml.features.live_sets import FEATURE_SETS
from returnml.features.order_line import ORDER_LINE
from returnml.partitions import days_of
from returnml.policy.document import read_policy
from returnml.release.deployment import read_state
from returnml.resources.warehouse import session
from returnml.settings import Settings
from returnml.warehouse import reasons, scores

_ABOUT_REASONS = {
    "rank": "From 1: what raises the line's risk most.",
    "text": "The reason in plain words.",
    "contribution": "What the family's features add to the log-odds before calibration (exact TreeSHAP).",
    "feature": "The family's feature that adds most.",
    "value": "Its value; null where missing.",
}
_ABOUT = {
    "probability": "Calibrated probability that any piece of the line comes back within the label window.",
    "expected_cost_cents": "Probability times freight, handling and markdown, if the line is allowed; minor units.",
    "release": "The release that said so.",
    "action": "What the policy says to do: allow, nudge, review or restrict.",
    "is_explored": "Allowed by the exploration draw, whatever the policy's rule says.",
    "requested_at": "The moment that the features are as of.",
}


def champion(settings: Settings) -> str:
    """The release that decides.

    Raises:
        dagster.Failure: where none does yet; a retry would not help.
    """
    state = read_state(settings.paths.deployment_state)
    if state.champion is None:
        raise dg.Failure("nothing is deployed: run training_job once, then scores follow", allow_retries=False)
    return state.champion


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
    from returnml.ledger.instants import instant_us
    from returnml.store.backends import open_backend
    from returnml.warehouse.cutoff import cut_off
    from returnml.warehouse.publication import publish_warehouse

    backend = open_backend(settings)
    with session(warehouse) as con:
        until = cut_off(con)
        published = publish_warehouse(con, FEATURE_SETS, instant_us(until), backend)
    is_current = backend.published() == published.name
    return dg.MaterializeResult(
        metadata={
            "generation": published.name,
            "cut_off": until.isoformat(),
            "ledger_seq": published.manifest.ledger_seq,
            "path": dg.MetadataValue.path(published.path),
        },
        check_results=checks.generation_results(published, instant_us(until), is_current),
    )


@table_asset(
    "scores_daily",
    table=scores.TABLE,
    group="scores",
    deps=["features_order_line", "orders", "release"],
    description="One row per order line of the day, key `line_id`: what the champion says it will do and cost. The analyst's and "
    "the returns desk's morning table.",
    columns=column_schema(scores.COLUMNS, _ABOUT),
    lineage=same_columns(
        list(scores.COLUMNS),
        ("features_order_line", ["day", "line_id", "order_id", "requested_at", "feature_set_hash"]),
        ("orders", ["customer_id", "article_id", "line_value_cents", "currency"]),
    ),
    checks=checks.SCORES_SPECS,
    kinds={"duckdb", "onnx"},
)
def scores_daily(
    context: dg.AssetExecutionContext, warehouse: DuckDBResource, settings: dg.ResourceParam[Settings]
) -> dg.MaterializeResult:
    first, last = days_of(context)
    release = champion(settings)
    with session(warehouse) as con:
        report = scores.build_scores(con, settings.paths.releases / release, first, last, read_policy(settings.policy_file))
        results = checks.scores_results(con, first, last)
    metadata = written(
        report.rows,
        release=release,
        mean_probability=report.mean_probability,
        expected_cost_cents=report.expected_cost_cents,
    )
    return dg.MaterializeResult(metadata=metadata, check_results=results)


@table_asset(
    "scores_reasons",
    table=reasons.TABLE,
    group="scores",
    deps=["scores_daily", "features_order_line"],
    description="Why: for the lines of each day with the highest expected costs, what raises their risk, in plain words.",
    columns=column_schema(reasons.COLUMNS, _ABOUT_REASONS),
    lineage=same_columns(list(reasons.COLUMNS), ("scores_daily", ["day", "line_id", "release"])),
    checks=checks.REASONS_SPECS,
    kinds={"duckdb"},
)
def scores_reasons(
    context: dg.AssetExecutionContext, warehouse: DuckDBResource, settings: dg.ResourceParam[Settings]
) -> dg.MaterializeResult:
    first, last = days_of(context)
    folder = settings.paths.releases / champion(settings)
    with session(warehouse) as con:
        report = reasons.build_reasons(con, folder, ORDER_LINE, first, last, settings.scores.explained_per_day)
    metadata = written(report.rows, release=report.release, lines=report.lines)
    return dg.MaterializeResult(metadata=metadata, check_results=checks.reasons_results(report))


@table_asset(
    "published_copy",
    table=None,
    group="published",
    deps=["scores_daily", "scores_reasons", "drift", "features_customer", "return_rates", "returns_forecast"],
    description="A read-only copy of the whole warehouse for BI and notebooks, which would lock the writer out of the original.",
    is_partitioned=False,
)
def published_copy(warehouse: DuckDBResource, settings: dg.ResourceParam[Settings]) -> dg.MaterializeResult:
    from returnml.warehouse.publish import publish_copy

    with session(warehouse) as con:
        path = publish_copy(con, settings.paths.published)
    return dg.MaterializeResult(metadata={"path": dg.MetadataValue.path(path), "bytes": path.stat().st_size})


ASSETS = [online_generation, scores_daily, scores_reasons, published_copy]
