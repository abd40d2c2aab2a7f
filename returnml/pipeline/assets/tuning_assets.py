"""Tuned training parameters of a task: a study of its own, run when it is asked for."""

from collections.abc import Iterator
from typing import Any

import dagster as dg
import msgspec

from returnml.attributes import Attributes
from returnml.pipeline.assets.line_asset import (
    artifact_asset,
    picture,
)
from returnml.pipeline.assets.task_names import keys_of
from returnml.settings import Settings
from returnml.tasks.declaration import Task
from returnml.tasks.registry import tasks


def build_best_parameters(task: Task) -> dg.AssetsDefinition:
    """``best_parameters``: nothing comes of it while the history is too short for the folds."""
    keys = keys_of(task)

    @artifact_asset(
        keys.best_parameters,
        ins={"training_set": keys.training_set},
        description="The best trial of a study of training parameters on rolling origins before calibration and hold-out. A "
        "killed study goes on where it was. The variants take it where training.parameters says so.",
        kinds={"optuna", "lightgbm", "matplotlib"},
        output_required=False,
    )
    def best_parameters(
        context: dg.AssetExecutionContext, training_set: str, settings: dg.ResourceParam[Settings]
    ) -> Iterator[Any]:
        from returnml.modeling.data.snapshot import (
            read_snapshot,
            snapshot_folder,
        )
        from returnml.modeling.data.splits import SplitError
        from returnml.modeling.training.training_data import training_data
        from returnml.modeling.training.tuning import tune
        from returnml.modeling.training.tuning_plots import draw_study
        from returnml.modeling.training.tuning_study import TrialResult

        def progress(result: TrialResult, trials: int) -> None:
            context.log.info(f"{task.name}: trial {result.number + 1} of {trials}{', given up' if result.is_pruned else ''}")

        training = settings.of_task(task.name).training
        try:
            data = training_data(read_snapshot(snapshot_folder(settings.paths.training, training_set)), task, training)
            tuned = tune(data, training, settings.tuning, settings.paths.tuning / task.name, progress)
        except SplitError as error:
            context.log.warning(str(error))
            yield dg.AssetObservation(keys.best_parameters, metadata={"message": str(error)})
            return
        metadata = {
            **msgspec.structs.asdict(tuned.best),
            "parameters": dg.MetadataValue.json(tuned.best.parameters),
            "declared_value": tuned.results[0].value,
            "pruned": sum(result.is_pruned for result in tuned.results),
            "plot": picture("study", draw_study(tuned.results)),
            "is_used": training.parameters == "tuned",
        }
        yield dg.MaterializeResult(value=tuned.best.study, metadata=metadata)

    return best_parameters


def build_assets(attributes: Attributes) -> list[dg.AssetsDefinition]:
    """Those of every task, in a shop with these attributes."""
    found = tasks(attributes).values()
    return [build_best_parameters(task) for task in found]
