"""The variants of a task's candidate, a step each, and the leaderboard that chooses among them."""

from collections.abc import Iterator
from typing import Any

import dagster as dg
from dagster_duckdb import DuckDBResource

from returnml.attributes import Attributes
from returnml.modeling.fit.variants import (
    VARIANTS,
    Variant,
)
from returnml.pipeline.assets.line_asset import (
    artifact_asset,
    below,
    column_schema,
    picture,
    table_asset,
)
from returnml.pipeline.assets.task_names import keys_of
from returnml.pipeline.checks import missing_results
from returnml.pipeline.checks import training_checks as checks
from returnml.pipeline.resources.step_processes import threads_of
from returnml.pipeline.resources.warehouse_resource import session
from returnml.settings import Settings
from returnml.tasks.declaration import Task
from returnml.tasks.registry import tasks
from returnml.warehouse.training.leaderboard_table import COLUMNS

NOT_TRAINED = ""
"""What the step of a variant hands on that the settings leave out, or whose history is too short to split."""

_ABOUT = {
    "snapshot": "Hash of the training snapshot.",
    "is_chosen": "The lowest selection loss of those that are no baselines: the release is made from it.",
    "selection_loss": "Log loss on the calibration part, before the hold-out; every other figure is of the hold-out.",
    "low": "Of a 95% customer-bootstrap interval, with high.",
    "difference": "From the chosen variant on the same rows, with its 95% interval by the same draws.",
}


def build_variant(task: Task, variant: Variant) -> dg.AssetsDefinition:
    """``variant_<name>``."""
    keys = keys_of(task)

    @artifact_asset(
        keys.variants[variant.name],
        deps=[keys.best_parameters],
        ins={"training_set": keys.training_set},
        description=f"{variant.description} Trained and calibrated on the snapshot, with its scores of the hold-out."
        f"{' Never released.' if variant.is_baseline else ''}",
        kinds={"scikitlearn" if variant.is_baseline else "lightgbm", "mlflow"},
    )
    def trained_variant(
        context: dg.AssetExecutionContext, training_set: str, settings: dg.ResourceParam[Settings], mlflow: dg.ResourceParam[Any]
    ) -> dg.MaterializeResult:
        from returnml.modeling.data.snapshot import (
            read_snapshot,
            snapshot_folder,
        )
        from returnml.modeling.data.splits import SplitError
        from returnml.modeling.fit.variants import chosen_variants
        from returnml.modeling.judging.metrics import ScoredSample
        from returnml.modeling.mlflow.tracking import log_variant
        from returnml.modeling.training.trained import (
            train_variant,
            write_trained,
        )
        from returnml.modeling.training.training_data import training_data
        from returnml.modeling.training.tuning import read_best

        if variant not in chosen_variants(settings.variants.names):
            return dg.MaterializeResult(value=NOT_TRAINED, metadata={"not trained": "variants.names leaves it out"})
        training = threads_of(context, settings.of_task(task.name).training)
        try:
            data = training_data(read_snapshot(snapshot_folder(settings.paths.training, training_set)), task, training)
        except SplitError as error:
            return dg.MaterializeResult(value=NOT_TRAINED, metadata={"not trained": str(error)})
        best = read_best(settings.paths.tuning / task.name) if training.parameters == "tuned" else None
        recipe = variant.recipe(training, data.names, best)
        if recipe.lacks_study:
            context.log.warning(f"{task.name} was not tuned yet: trained with the declared parameters (returnml tune)")
        trained = train_variant(data, recipe, training)
        figures = ScoredSample(data.holdout.y, trained.probability).figures()
        parent = mlflow.active_run()
        run_id = log_variant(trained, task.name, figures, settings.paths.mlflow, parent.info.run_id if parent else None)
        name = write_trained(settings.paths.variants / task.name, trained)
        metadata: dict[str, Any] = {
            "file": below(settings, settings.paths.variants / task.name / name),
            "mlflow_run": run_id,
            "threads": training.threads,
            "parameters": dg.MetadataValue.json(trained.recipe.described()),
            "parameters_from": recipe.origin,
            "selection_loss": trained.selection_loss,
            **figures,
        }
        return dg.MaterializeResult(value=name, metadata=metadata)

    return trained_variant


def build_leaderboard(task: Task) -> dg.AssetsDefinition:
    """``leaderboard``: nothing comes of it while the history is too short to split, and what rests on it is skipped."""
    keys = keys_of(task)
    specs = checks.leaderboard_specs(keys.leaderboard)

    @table_asset(
        keys.leaderboard,
        table="training.leaderboard",
        group="training",
        deps=[],
        ins={
            "training_set": dg.AssetIn(keys.training_set),
            **{f"variant_{name}": dg.AssetIn(key) for name, key in keys.variants.items()},
        },
        description="One row per variant and figure, on the same mature hold-out, with intervals and differences from the "
        "chosen. It is chosen on the calibration part; the hold-out only reports.",
        is_partitioned=False,
        is_daily=False,
        dagster_type=dg.String,
        columns=column_schema(COLUMNS, _ABOUT),
        checks=specs,
        kinds={"duckdb", "matplotlib"},
        output_required=False,
    )
    def leaderboard(
        context: dg.AssetExecutionContext,
        training_set: str,
        warehouse: DuckDBResource,
        settings: dg.ResourceParam[Settings],
        **variants: str,
    ) -> Iterator[Any]:
        from returnml.modeling.data.snapshot import (
            read_snapshot,
            snapshot_folder,
        )
        from returnml.modeling.data.splits import SplitError
        from returnml.modeling.training.leaderboard import (
            as_markdown,
            choose,
            compare_variants,
            draw_leaderboard,
        )
        from returnml.modeling.training.trained import read_trained
        from returnml.modeling.training.training_data import training_data
        from returnml.warehouse.training.leaderboard_table import write_leaderboard

        training = settings.of_task(task.name).training
        try:
            data = training_data(read_snapshot(snapshot_folder(settings.paths.training, training_set)), task, training)
        except SplitError as error:
            context.log.warning(str(error))
            yield dg.AssetObservation(keys.leaderboard, metadata={"message": str(error)})
            yield from missing_results(specs, checks.ENOUGH_HISTORY, str(error))
            return
        names = [name for name in variants.values() if name != NOT_TRAINED]
        trained = [read_trained(settings.paths.variants / task.name, name) for name in names]
        board = compare_variants(data, trained, training.seed)
        with session(warehouse) as con:
            rows = write_leaderboard(con, task.name, board)
        metadata: dict[str, Any] = {
            "dagster/row_count": rows,
            "chosen": board.chosen.variant,
            "leaderboard": dg.MetadataValue.md(as_markdown(board)),
            "plot": picture("leaderboard", draw_leaderboard(board)),
            "holdout_rows": board.rows,
            "maturity": str(board.maturity),
        }
        results = checks.leaderboard_results(keys.leaderboard, board, [one.recipe for one in trained])
        yield dg.MaterializeResult(value=names[trained.index(choose(trained))], metadata=metadata, check_results=results)

    return leaderboard


def build_assets(attributes: Attributes) -> list[dg.AssetsDefinition]:
    """Those of every task, in a shop with these attributes."""
    found = tasks(attributes).values()
    return [
        asset for task in found for asset in (*(build_variant(task, variant) for variant in VARIANTS), build_leaderboard(task))
    ]
