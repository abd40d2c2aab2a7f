"""From mature lines to a release: snapshot, candidate, evaluation, release."""

from datetime import datetime
from typing import Any

import dagster as dg
from dagster_duckdb import DuckDBResource

from returnml.assets.table import table_asset
from returnml.checks import training as checks
from returnml.features.order_line import ORDER_LINE
from returnml.ledger.clock import Clock
from returnml.resources.warehouse import session
from returnml.settings import Settings


class TrainingConfig(dg.Config):
    """``cut_off``: ISO instant, UTC; default: the end of the last day in the warehouse that has orders."""

    cut_off: str | None = None


@table_asset(
    "training_set",
    table="training.snapshots",
    group="training",
    deps=["outcomes", "features_order_line", "inference_log", "moments"],
    description="An immutable, hashed snapshot of all mature order lines up to the cut-off: features, label, key columns.",
    is_partitioned=False,
    is_daily=False,
    dagster_type=dg.String,
    checks=checks.TRAINING_SET_SPECS,
    kinds={"parquet"},
)
def training_set(
    context: dg.AssetExecutionContext, config: TrainingConfig, warehouse: DuckDBResource, settings: dg.ResourceParam[Settings]
):
    from returnml.warehouse.cutoff import cut_off
    from returnml.warehouse.logged_vectors import read_logged_vectors
    from returnml.warehouse.training import build_snapshot

    with session(warehouse) as con:
        until = datetime.fromisoformat(config.cut_off) if config.cut_off else cut_off(con)
        logged = read_logged_vectors(con, ORDER_LINE, until)
        taken = logged if settings.training.vectors == "logged" else None
        snapshot = build_snapshot(con, ORDER_LINE, until, settings.paths.training, settings.label, taken)
    metadata = {
        "dagster/row_count": snapshot.rows,
        "base_rate": snapshot.base_rate,
        "cut_off": until.isoformat(),
        "hash": snapshot.hash,
        "path": dg.MetadataValue.path(snapshot.path),
        "vectors": snapshot.manifest.vectors,
        "unlinked_share": logged.unlinked_share,
    }
    results = checks.training_set_results(snapshot, settings.label)
    results.append(checks.logged_result(logged, is_used=taken is not None))
    return dg.MaterializeResult(value=snapshot.path.name, metadata=metadata, check_results=results)


@table_asset(
    "candidate_model",
    table=None,
    group="training",
    deps=[],
    description="A calibrated LightGBM model of the snapshot, exported to ONNX, judged, in an immutable folder.",
    is_partitioned=False,
    is_daily=False,
    dagster_type=dg.String,
    touches_warehouse=False,
    checks=checks.CANDIDATE_SPECS,
    kinds={"lightgbm", "onnx", "mlflow"},
)
def candidate_model(training_set: str, settings: dg.ResourceParam[Settings], mlflow: dg.ResourceParam[Any]):
    from returnml.modeling.candidate import train_release
    from returnml.modeling.snapshot import read_snapshot
    from returnml.modeling.tracking import log_candidate
    from returnml.release.deployment import read_state

    snapshot = read_snapshot(settings.paths.training / training_set)
    champion = read_state(settings.paths.deployment_state).champion
    candidate = train_release(snapshot, ORDER_LINE, settings, settings.paths.releases, champion)
    parent = mlflow.active_run()
    logged = log_candidate(candidate, snapshot, settings.paths.mlflow, parent.info.run_id if parent else None)
    metadata = {
        "version": candidate.release.version,
        "path": dg.MetadataValue.path(candidate.release.path),
        "mlflow": f"models:/{logged.model_name}/{logged.model_version}, run {logged.run_id}",
        **candidate.release.manifest.metrics,
    }
    results = checks.candidate_results(candidate.explained)
    return dg.MaterializeResult(value=candidate.release.version, metadata=metadata, check_results=results)


@table_asset(
    "evaluation",
    table=None,
    group="training",
    deps=[],
    description="The candidate on its hold-out: figures with intervals against a constant and a rate baseline, beside the "
    "champion's; every gate with its figure and its reason.",
    is_partitioned=False,
    is_daily=False,
    dagster_type=dg.String,
    touches_warehouse=False,
    checks=checks.EVALUATION_SPECS,
    kinds={"matplotlib"},
)
def evaluation(candidate_model: str, settings: dg.ResourceParam[Settings]):
    from returnml.assets.evaluation_metadata import evaluation_metadata, read_evaluation, read_verdict
    from returnml.release.deployment import read_state
    from returnml.release.folder import load_release

    release = load_release(settings.paths.releases / candidate_model)
    champion = read_state(settings.paths.deployment_state).champion
    against = load_release(settings.paths.releases / champion) if champion else None
    verdict = read_verdict(release)
    return dg.MaterializeResult(
        value=release.version,
        metadata=evaluation_metadata(release, read_evaluation(release), verdict, against),
        check_results=checks.evaluation_results(verdict),
    )


@table_asset(
    "release",
    table=None,
    group="release",
    deps=[],
    description="What decides after the gates: the candidate where they hold, else the champion before it. Where nothing "
    "decides, nothing comes of it and what rests on it is skipped. MLflow's aliases follow.",
    is_partitioned=False,
    is_daily=False,
    dagster_type=dg.String,
    touches_warehouse=False,
    checks=checks.RELEASE_SPECS,
    kinds={"onnx", "mlflow"},
    output_required=False,
)
def release(
    context: dg.AssetExecutionContext,
    evaluation: str,
    settings: dg.ResourceParam[Settings],
    clock: dg.ResourceParam[Clock],
):
    from returnml.assets.evaluation_metadata import gates_markdown, read_verdict
    from returnml.modeling.tracking import project_aliases
    from returnml.release.folder import load_release
    from returnml.release.transitions import settle

    candidate = load_release(settings.paths.releases / evaluation)
    verdict = read_verdict(candidate)
    settled = settle(settings.paths.deployment_state, candidate, settings.gates.require_approval, "dagster", clock)
    projected = project_aliases(settled.state, candidate.manifest.task, settings.paths.mlflow)
    metadata = {
        "candidate": candidate.version,
        "verdict": settled.verdict,
        "reason": verdict.reason,
        "gates": dg.MetadataValue.md(gates_markdown(verdict)),
        "champion": settled.state.champion or "none",
        "aliases_moved": projected.changed,
        "unregistered": projected.unregistered,
    }
    context.log.info(f"{candidate.version} {settled.verdict}: {verdict.reason}")
    results = checks.release_results(candidate, verdict)
    if settled.state.champion is None:
        yield dg.AssetObservation("release", metadata=metadata)
        yield from results
        return
    yield dg.MaterializeResult(value=settled.state.champion, metadata=metadata, check_results=results)


ASSETS = [training_set, candidate_model, evaluation, release]
