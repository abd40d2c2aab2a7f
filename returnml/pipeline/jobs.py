"""The jobs: the morning, the training, the whole line at once, and a person's word on a release."""

from collections.abc import Callable
from typing import Any

import dagster as dg

from returnml.clock import clock_of
from returnml.pipeline.assets.task_names import keys_of
from returnml.pipeline.resources.step_processes import parallel_steps
from returnml.release.deployment import DeploymentState
from returnml.settings import Settings
from returnml.tasks.registry import tasks


def build_jobs(settings: Settings, freshness: dg.AssetChecksDefinition) -> dict[str, Any]:
    """The jobs of a code location by name.

    Args:
        freshness: is evaluated by a job of its own, at its own hour.
    """
    daily = dg.AssetSelection.tag("cadence", "daily") - dg.AssetSelection.checks(freshness)
    tuned = dg.AssetSelection.assets(*(keys_of(task).best_parameters for task in tasks().values()))
    training = dg.AssetSelection.tag("cadence", "training") - tuned
    # Of training the steps are long, and the variants do not wait for each other.
    parallel, tags = parallel_steps(settings)
    # The others run in one process: a step of its own process costs seconds, and DuckDB lets in one process at a time anyway.
    one = dg.in_process_executor
    jobs: list[Any] = [
        dg.define_asset_job(
            "daily_job",
            daily,
            description="Landing files of a day (or, as one run, of a range) to scores, drift, online store and BI copy.",
            executor_def=one,
        ),
        dg.define_asset_job(
            "training_job",
            training,
            description="Snapshots of the mature rows to variants, leaderboards and evaluated releases, of every task.",
            executor_def=parallel,
            tags=tags,
        ),
        dg.define_asset_job(
            "whole_line",
            daily | training,
            description="Everything for a range of days in one run: data, features, model, release, scores.",
            executor_def=one,
        ),
        dg.define_asset_job(
            "freshness_job",
            dg.AssetSelection.checks(freshness),
            description="Does every table that is cut into days hold the day that is due?",
            executor_def=one,
        ),
        *(
            dg.define_asset_job(
                f"tune_{task.name}",
                dg.AssetSelection.assets(keys_of(task).training_set, keys_of(task).best_parameters),
                description=f"`returnml tune`: a snapshot of the mature rows to a study of training parameters. {task.question}",
                executor_def=one,
            )
            for task in tasks().values()
        ),
        release_approve,
        release_reject,
        release_reconcile,
    ]
    return {job.name: job for job in jobs}


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
    from returnml.modeling.mlflow.model_registry import project_aliases
    from returnml.release.proof import proven_state

    done = {task: project_aliases(proven_state(settings, task), task, settings.paths.mlflow) for task in tasks()}
    changed, unregistered = ({task: getattr(p, part) for task, p in done.items()} for part in ("changed", "unregistered"))
    context.add_output_metadata({"changed": changed, "unregistered": unregistered})


def _say(context: dg.OpExecutionContext, word: Callable[..., DeploymentState], config: WordConfig, settings: Settings) -> None:
    from returnml.modeling.mlflow.model_registry import project_aliases
    from returnml.release.folder import load_release, release_folder
    from returnml.release.seal import seal_of

    release = load_release(release_folder(settings.paths.releases, config.version))
    clock = clock_of(settings.replay_clock)
    path, seal = settings.paths.deployment_state(release.manifest.task), seal_of(settings.trail)
    state = word(path, release, by=config.by, why=config.why, clock=clock, seal=seal)
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
