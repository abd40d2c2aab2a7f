"""A task's policy file as the service follows it: people write it in place, and half a file may be one that can be read."""

from __future__ import annotations

from returnml.policy.document import Policy, PolicyError
from returnml.settings import Settings
from returnml.tasks.declaration import Task
from returnml.tasks.policies import policy_file_of, policy_of
from serving.scoring.file_marks import (
    FileMark,
    file_mark,
)


class PolicyFile:
    """Looked at again and again; a change counts once it has stayed from one look to the next."""

    def __init__(self, task: Task, settings: Settings) -> None:
        self._task = task
        self._settings = settings
        self._path = policy_file_of(task, settings)
        self._seen = self._steady = self._mark()

    def look(self) -> FileMark:
        """The mark that stayed last; None: there is no file."""
        mark = self._mark()
        if mark == self._seen:
            self._steady = mark
        self._seen = mark
        return self._steady

    def read(self) -> Policy:
        """The policy as it stayed.

        Raises:
            PolicyError: naming the file and the field, or if it changed under the reader.
        """
        before = self._mark()
        policy = policy_of(self._task, self._settings)
        if self._mark() != before or before != self._steady:
            raise PolicyError(f"{self._path}: it is being written")
        return policy

    def _mark(self) -> FileMark:
        return file_mark(self._path) if self._path else None
