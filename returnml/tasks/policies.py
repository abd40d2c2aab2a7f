"""Which policy decides about a task's rows."""

from __future__ import annotations

from pathlib import Path

from returnml.policy.document import Policy, read_policy
from returnml.settings import Settings
from returnml.tasks.declaration import Task


def policy_of(task: Task, settings: Settings) -> Policy:
    """The policy of the task's file (setting ``tasks.<name>.policy``), else its own, else the shop's.

    Raises:
        PolicyError: naming the file and the field.
    """
    own = settings.tasks.get(task.name)
    if own is not None and own.policy is not None:
        return read_policy(Path(own.policy))
    return task.policy or read_policy(settings.policy_file)
