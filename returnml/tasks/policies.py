"""Which policy decides about a task's rows."""

from __future__ import annotations

from pathlib import Path

from returnml.policy.document import Policy, read_policy
from returnml.settings import Settings
from returnml.tasks.declaration import Task


def policy_file_of(task: Task, settings: Settings) -> Path | None:
    """The file that the task's policy is in: its own (setting ``tasks.<name>.policy``), or the shop's; None: in no file."""
    own = settings.tasks.get(task.name)
    if own is not None and own.policy is not None:
        return Path(own.policy)
    return settings.policy_file if task.policy is None else None


def policy_of(task: Task, settings: Settings) -> Policy:
    """The policy of the task's file, else the one that it declares, else the defaults.

    Raises:
        PolicyError: naming the file and the field.
    """
    file = policy_file_of(task, settings)
    return task.policy if file is None and task.policy is not None else read_policy(file)
