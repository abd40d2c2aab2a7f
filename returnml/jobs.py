"""The jobs: the morning, the training, the whole line at once, and a person's word on a release."""

from collections.abc import Callable

import dagster as dg

from returnml.ledger.clock import clock_of
from returnml.release.deployment import DeploymentState
from returnml.settings import Settings

DAILY_SELECTION = dg.AssetSelection.tag("cadence", "daily")
TRAINING_SELECTION = dg.AssetSelection.tag("cadence", "training")

# In one process: a step of its own process costs seconds, and DuckDB lets only one process in at a time anyway.
daily_job = dg.define_asset_job(
    "daily_job",
    DAILY_SELECTION,
    description="Landing files of a day (or, as one run, of a range) to scores, drift, online store and BI copy.",
    executor_def=dg.in_process_executor,
)
training_job = dg.define_asset_job(
    "training_job",
    TRAINING_SELECTION,
    description="A snapshot of the mature lines to an evaluated release.",
    executor_def=dg.in_process_executor,
)
whole_line = dg.define_asset_job(
    "whole_line",
    DAILY_SELECTION | TRAINING_SELECTION,
    description="Everything for a range of days in one run: data, features, model, release, scores.",
    executor_def=dg.in_process_executor,
)


class WordConfig(dg.Config):
    """A person's word on the release that waits; kept in the audit trail."""

    version: str
    by: str
    why: str


@dg.op(description="Lets the release that waits decide.")
def approve_release(context: dg.OpExecutionContext, config: WordConfig, settings: dg.ResourceParam[Settings]) -> None:
    from returnml.release.transitions import approve

    _say(context, approve, config, settings)


@dg.op(description="Refuses the release that waits; it is kept.")
def reject_release(context: dg.OpExecutionContext, config: WordConfig, settings: dg.ResourceParam[Settings]) -> None:
    from returnml.release.transitions import reject

    _say(context, reject, config, settings)


@dg.op(description="Makes MLflow's aliases repeat the deployment state of every task again.")
def reconcile_aliases(context: dg.OpExecutionContext, settings: dg.ResourceParam[Settings]) -> None:
    from returnml.modeling.tracking import project_aliases
    from returnml.release.deployment import read_state
    from returnml.tasks.registry import tasks

    done = {
        task: project_aliases(read_state(settings.paths.deployment_state(task)), task, settings.paths.mlflow) for task in tasks()
    }
    changed, unregistered = ({task: getattr(p, part) for task, p in done.items()} for part in ("changed", "unregistered"))
    context.add_output_metadata({"changed": changed, "unregistered": unregistered})


def _say(context: dg.OpExecutionContext, word: Callable[..., DeploymentState], config: WordConfig, settings: Settings) -> None:
    from returnml.modeling.tracking import project_aliases
    from returnml.release.folder import load_release

    release = load_release(settings.paths.releases / config.version)
    clock = clock_of(settings.replay_clock)
    state = word(settings.paths.deployment_state(release.manifest.task), release, by=config.by, why=config.why, clock=clock)
    project_aliases(state, release.manifest.task, settings.paths.mlflow)
    context.add_output_metadata({role: held or "none" for role, held in state.roles.items()})


@dg.job(description="`returnml release approve`: the release that waits decides.")
def release_approve() -> None:
    approve_release()


@dg.job(description="`returnml release reject`: the release that waits is refused.")
def release_reject() -> None:
    reject_release()


@dg.job(description="`returnml release reconcile`: MLflow's aliases repeat the deployment state.")
def release_reconcile() -> None:
    reconcile_aliases()


JOBS = [daily_job, training_job, whole_line, release_approve, release_reject, release_reconcile]
