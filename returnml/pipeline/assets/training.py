"""From a task's mature rows to its release: snapshot, candidate, evaluation, release. Made once for each task."""

from collections.abc import Iterator
from typing import Any

import dagster as dg
from dagster_duckdb import DuckDBResource

from returnml.attributes import Attributes
from returnml.clock import Clock
from returnml.pipeline.assets.cutoff_config import CutOffConfig
from returnml.pipeline.assets.line_asset import (
    artifact_asset,
    below,
    table_asset,
)
from returnml.pipeline.assets.task_names import (
    deciding,
    keys_of,
)
from returnml.pipeline.checks import (
    missing_results,
    stop_on_error,
)
from returnml.pipeline.checks import training_checks as checks
from returnml.pipeline.resources.warehouse_resource import session
from returnml.settings import Settings
from returnml.tasks.attribute_tasks import reasons_of_use
from returnml.tasks.declaration import Task
from returnml.tasks.registry import tasks


def build_training_set(task: Task) -> dg.AssetsDefinition:
    """``training_set``: nothing comes of it while no label is mature, and what rests on it is skipped."""
    key = keys_of(task).training_set
    logs = ("inference_log", "moments") if task.spine.is_logged else ()
    specs = checks.training_set_specs(key, is_logged=task.spine.is_logged)

    @table_asset(
        key,
        table="training.snapshots",
        group="training",
        deps=[*dict.fromkeys((*task.labels_from, *task.facts_from, task.spine.asset, *logs))],
        description=f"{task.question} An immutable, hashed snapshot of all mature {task.words.rows} up to the cut-off: features, "
        "label, key columns.",
        is_partitioned=False,
        is_daily=False,
        dagster_type=dg.String,
        checks=specs,
        kinds={"parquet"},
        output_required=False,
    )
    def training_set(
        context: dg.AssetExecutionContext,
        config: CutOffConfig,
        warehouse: DuckDBResource,
        settings: dg.ResourceParam[Settings],
    ) -> Iterator[Any]:
        from returnml.warehouse.answers.logged_vectors import read_logged_vectors
        from returnml.warehouse.training.training_rows import (
            NothingMature,
            build_snapshot,
        )

        own = settings.of_task(task.name)
        with session(warehouse) as con:
            until = config.until(con)
            logged = read_logged_vectors(con, task.feature_set, until) if task.spine.is_logged else None
            taken = logged if own.training.vectors == "logged" else None
            try:
                snapshot = build_snapshot(con, task, until, settings.paths.training, settings.label, taken)
            except NothingMature as error:
                context.log.warning(str(error))
                yield dg.AssetObservation(key, metadata={"message": str(error), "cut_off": until.isoformat()})
                yield from missing_results(specs, checks.HAS_MATURE, str(error))
                return
        metadata: dict[str, Any] = {
            "dagster/row_count": snapshot.rows,
            "base_rate": snapshot.base_rate,
            "cut_off": until.isoformat(),
            "hash": snapshot.hash,
            "path": below(settings, snapshot.path),
            "vectors": snapshot.manifest.vectors,
        }
        results = checks.training_set_results(key, snapshot)
        if logged is not None:
            metadata["unlinked_share"] = logged.unlinked_share
            results.append(checks.logged_result(key, logged, is_used=taken is not None))
        yield dg.MaterializeResult(value=snapshot.path.name, metadata=metadata, check_results=results)

    return training_set


def build_candidate_model(task: Task) -> dg.AssetsDefinition:
    """``candidate_model``."""
    keys = keys_of(task)

    @artifact_asset(
        keys.candidate_model,
        ins={"training_set": keys.training_set, "leaderboard": keys.leaderboard},
        description="The chosen variant, calibrated, exported to ONNX, judged, in an immutable folder.",
        checks=checks.candidate_specs(keys.candidate_model),
        kinds={"lightgbm", "onnx", "mlflow"},
    )
    def candidate_model(
        training_set: str, leaderboard: str, settings: dg.ResourceParam[Settings], mlflow: dg.ResourceParam[Any]
    ) -> dg.MaterializeResult:
        from returnml.modeling.data.snapshot import (
            read_snapshot,
            snapshot_folder,
        )
        from returnml.modeling.making.candidate import build_release
        from returnml.modeling.mlflow.tracking import log_candidate
        from returnml.modeling.training.trained import read_trained
        from returnml.modeling.training.training_data import training_data

        snapshot = read_snapshot(snapshot_folder(settings.paths.training, training_set))
        champion = deciding(settings, task)
        trained = read_trained(settings.paths.variants / task.name, leaderboard)
        data = training_data(snapshot, task, settings.of_task(task.name).training)
        candidate = build_release(trained, data, task, settings, settings.paths.releases, champion)
        parent = mlflow.active_run()
        logged = log_candidate(candidate, snapshot, settings.paths.mlflow, parent.info.run_id if parent else None)
        metadata: dict[str, Any] = {
            "version": candidate.release.version,
            "variant": trained.recipe.variant,
            "path": below(settings, candidate.release.path),
            "mlflow": f"models:/{logged.model_name}/{logged.model_version}, run {logged.run_id}",
            **candidate.release.manifest.metrics,
        }
        results = checks.candidate_results(keys.candidate_model, candidate.explained)
        return dg.MaterializeResult(value=candidate.release.version, metadata=metadata, check_results=results)

    return candidate_model


def build_evaluation(task: Task) -> dg.AssetsDefinition:
    """``evaluation``."""
    keys = keys_of(task)

    @artifact_asset(
        keys.evaluation,
        ins={"candidate_model": keys.candidate_model},
        description="The candidate on its hold-out: figures with intervals against a constant and a rate baseline, beside the "
        "champion's; every gate with its figure and its reason.",
        checks=checks.evaluation_specs(keys.evaluation),
        kinds={"matplotlib"},
    )
    def evaluation(candidate_model: str, settings: dg.ResourceParam[Settings]) -> dg.MaterializeResult:
        from returnml.modeling.judging.evaluation import read_evaluation
        from returnml.modeling.judging.gates.verdict import read_verdict
        from returnml.pipeline.assets.evaluation_metadata import evaluation_metadata
        from returnml.release.folder import load_release, release_folder

        release = load_release(release_folder(settings.paths.releases, candidate_model))
        champion = deciding(settings, task)
        against = load_release(release_folder(settings.paths.releases, champion)) if champion else None
        verdict = read_verdict(release)
        return dg.MaterializeResult(
            value=release.version,
            metadata=evaluation_metadata(settings, release, read_evaluation(release), verdict, against),
            check_results=checks.evaluation_results(keys.evaluation, verdict),
        )

    return evaluation


def build_release(task: Task) -> dg.AssetsDefinition:
    """``release``."""
    keys = keys_of(task)

    @artifact_asset(
        keys.release,
        group="release",
        ins={"evaluation": keys.evaluation},
        description="What decides after the gates: the candidate where they hold, else the champion before it. Where nothing "
        "decides, nothing comes of it and what rests on it is skipped. MLflow's aliases follow.",
        checks=checks.release_specs(keys.release),
        kinds={"onnx", "mlflow"},
        output_required=False,
    )
    def release(
        context: dg.AssetExecutionContext,
        evaluation: str,
        settings: dg.ResourceParam[Settings],
        clock: dg.ResourceParam[Clock],
    ) -> Iterator[Any]:
        from returnml.modeling.judging.gates.verdict import read_verdict
        from returnml.modeling.mlflow.model_registry import project_aliases
        from returnml.pipeline.assets.evaluation_metadata import gates_markdown
        from returnml.release.folder import load_release, release_folder
        from returnml.release.seal import seal_of
        from returnml.release.transitions import settle

        candidate = load_release(release_folder(settings.paths.releases, evaluation))
        verdict = read_verdict(candidate)
        approval = settings.of_task(task.name).gates.require_approval
        state, seal = settings.paths.deployment_state(task.name), seal_of(settings.trail)
        evidence = reasons_of_use(task) or None
        settled = settle(state, candidate, approval, "dagster", clock, evidence=evidence, seal=seal)
        projected = project_aliases(settled.state, task.name, settings.paths.mlflow)
        metadata: dict[str, Any] = {
            "candidate": candidate.version,
            "verdict": settled.verdict,
            "reason": verdict.reason,
            "gates": dg.MetadataValue.md(gates_markdown(verdict)),
            "champion": settled.state.champion or "none",
            "aliases_moved": projected.changed,
            "unregistered": projected.unregistered,
        }
        context.log.info(f"{candidate.version} {settled.verdict}: {verdict.reason}")
        results = checks.release_results(keys.release, candidate, verdict)
        if settled.state.champion is None:
            yield dg.AssetObservation(keys.release, metadata=metadata)
            yield from results
        else:
            yield dg.MaterializeResult(value=settled.state.champion, metadata=metadata, check_results=results)
        stop_on_error(results)

    return release


def build_assets(attributes: Attributes) -> list[dg.AssetsDefinition]:
    """Those of every task, in a shop with these attributes."""
    found = tasks(attributes).values()
    return [
        build(task) for task in found for build in (build_training_set, build_candidate_model, build_evaluation, build_release)
    ]
