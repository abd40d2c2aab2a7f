"""What a task's champion says of its rows, and why. Made once for each task."""

from collections.abc import Iterator
from datetime import date
from typing import Any

import dagster as dg
import duckdb
from dagster_duckdb import DuckDBResource

from returnml.attributes import Attributes
from returnml.pipeline.assets.line_asset import (
    column_schema,
    same_columns,
    table_asset,
    written,
)
from returnml.pipeline.assets.task_names import (
    champion,
    deciding,
    keys_of,
)
from returnml.pipeline.checks import (
    missing_results,
    stop_on_error,
)
from returnml.pipeline.checks import serving_checks as checks
from returnml.pipeline.partitions import days_of
from returnml.pipeline.resources.warehouse_resource import session
from returnml.settings import Settings
from returnml.tasks.declaration import Moments, Task
from returnml.tasks.policies import policy_of
from returnml.tasks.registry import tasks

_ABOUT = {
    "probability": "Calibrated answer to the task's question.",
    "expected_cost_cents": "Probability times freight, handling and markdown, if the row is allowed; minor units.",
    "release": "The release that said so.",
    "action": "What the policy says to do: allow, nudge, review or restrict.",
    "is_explored": "Allowed by the exploration draw, whatever the policy's rule says.",
    "in_training": "Whether the release may have learnt this row's outcome: its score then says nothing of the release's "
    "quality. Null: the release does not say what it was trained on.",
    "requested_at": "The moment that the features are as of.",
}
_ABOUT_REASONS = {
    "rank": "From 1: what raises the risk most.",
    "text": "The reason in plain words.",
    "contribution": "What the family's features add to the log-odds before calibration (exact TreeSHAP).",
    "feature": "The family's feature that adds most.",
    "value": "Its value; null where missing.",
}


def build_scores_asset(task: Task) -> dg.AssetsDefinition:
    """The asset of the task's score table: nothing comes of it while no release decides."""
    keys, schema = keys_of(task), task.score_table_columns()
    read: list[str | dg.AssetKey] = [task.spine.asset, *task.facts_from, keys.release]
    of_spine = ["day", *task.spine.keys, "requested_at", "feature_set_hash"]

    @table_asset(
        keys.scores,
        table=task.score_table,
        group="scores",
        deps=list(dict.fromkeys(read)),
        description=f"{task.question} One row per {task.words.row} of the day, key `{', '.join(task.spine.keys)}`: what the "
        "champion says, what it will cost and what to do. A morning table of the analyst and the returns desk.",
        columns=column_schema(schema, _ABOUT),
        lineage=same_columns(
            list(schema),
            (task.spine.asset, of_spine),
            *(
                (asset, [c for c in (*task.score_columns, task.value, "currency") if c not in of_spine])
                for asset in task.copied_from
            ),
        ),
        is_partitioned=task.spine.moments is Moments.EACH_DAY,
        checks=checks.scores_specs(keys.scores),
        kinds={"duckdb", "onnx"},
        output_required=False,
    )
    def scores(
        context: dg.AssetExecutionContext, warehouse: DuckDBResource, settings: dg.ResourceParam[Settings]
    ) -> Iterator[Any]:
        from returnml.release.folder import release_folder
        from returnml.warehouse.scores.daily_scores import build_scores

        release = deciding(settings, task)
        if release is None:
            why = f"{task.name}: no release decides yet: training_job makes one, then scores follow"
            context.log.warning(why)
            yield dg.AssetObservation(keys.scores, metadata={"message": why})
            yield from missing_results(checks.scores_specs(keys.scores), checks.DECIDED, why)
            return
        with session(warehouse) as con:
            first, last = _days(context, con, task)
            folder = release_folder(settings.paths.releases, release)
            report = build_scores(con, task, folder, first, last, policy_of(task, settings))
            results = checks.scores_results(keys.scores, con, task, first, last)
        metadata = written(
            report.rows,
            release=release,
            in_training=report.in_training,
            mean_probability=report.mean_probability,
            expected_cost_cents=report.expected_cost_cents,
        )
        yield dg.MaterializeResult(metadata=metadata, check_results=results)
        stop_on_error(results)

    return scores


def build_reasons_asset(task: Task, key: dg.AssetKey) -> dg.AssetsDefinition:
    """The asset of the task's reason table."""
    keys, schema = keys_of(task), task.reason_columns()

    @table_asset(
        key,
        table=task.reason_table,
        group="scores",
        deps=[keys.scores, task.spine.asset],
        description=f"Why: for the {task.words.rows} of each day with the highest expected costs, what raises their risk, in "
        "plain words.",
        columns=column_schema(schema, _ABOUT_REASONS),
        lineage=same_columns(list(schema), (keys.scores.to_user_string(), ["day", *task.spine.keys, "release"])),
        is_partitioned=task.spine.moments is Moments.EACH_DAY,
        checks=checks.reasons_specs(key),
        kinds={"duckdb"},
    )
    def reasons(
        context: dg.AssetExecutionContext, warehouse: DuckDBResource, settings: dg.ResourceParam[Settings]
    ) -> dg.MaterializeResult:
        from returnml.release.folder import release_folder
        from returnml.warehouse.scores.daily_reasons import build_reasons

        folder = release_folder(settings.paths.releases, champion(settings, task))
        with session(warehouse) as con:
            first, last = _days(context, con, task)
            report = build_reasons(con, task, folder, first, last, settings.scores.explained_per_day)
        metadata = written(report.rows, release=report.release, lines=report.lines)
        return dg.MaterializeResult(metadata=metadata, check_results=checks.reasons_results(key, report))

    return reasons


def _days(context: dg.AssetExecutionContext, con: duckdb.DuckDBPyConnection, task: Task) -> tuple[date, date]:
    """The days of the run's partitions; of rows that are scored at the cut-off, its day."""
    from returnml.warehouse.ingest.cutoff import cut_off

    if task.spine.moments is Moments.EACH_DAY:
        return days_of(context)
    day = cut_off(con).date()
    return day, day


def build_assets(attributes: Attributes) -> list[dg.AssetsDefinition]:
    """Those of every task, in a shop with these attributes."""
    found = tasks(attributes).values()
    return [
        *(build_scores_asset(task) for task in found),
        *(build_reasons_asset(task, key) for task in found if (key := keys_of(task).reasons) is not None),
    ]
