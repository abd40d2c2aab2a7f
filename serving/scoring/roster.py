"""Which release and policy answer a task's questions in a role, loaded anew when its files change.

Must not be here: a task's name, or how its answers come about.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from returnml.policy.decisions import Decider
from returnml.policy.document import PolicyError
from returnml.release.deployment import DeploymentError, audit_path
from returnml.release.folder import load_release, release_folder
from returnml.release.proof import proven_state
from returnml.settings import Settings
from returnml.store.live import LiveStore
from returnml.tasks.attribute_tasks import with_attributes
from returnml.tasks.declaration import Task
from serving.scoring.file_marks import FileMark, file_mark
from serving.scoring.policy_file import PolicyFile
from serving.scoring.released_model import Model
from serving.scoring.reloading import Part, Reloading

logger = logging.getLogger(__name__)

CHAMPION = "champion"

A = TypeVar("A")


@dataclass(frozen=True, slots=True)
class Member:
    """What answers: a release's model, with its reasoner, and a policy's decider, for one task in one role."""

    task: Task
    role: str
    model: Model
    decider: Decider


@dataclass(frozen=True, slots=True)
class OnlineTask(Generic[A]):
    """A task that is asked online.

    Attributes:
        answers: binds the loaded release to the store. Requests call the result, so it looks nothing up.
        role: whose release answers; one of ``returnml.release.deployment.ROLES``.
        is_required: whether the service is ready only with it. Otherwise it may be vacant.
    """

    task: Task
    answers: Callable[[Member, LiveStore, Settings], A]
    role: str = CHAMPION
    is_required: bool = False


class Seat(Generic[A]):
    """A task's role in this process.

    Release and policy are loaded each for itself: while one is refused, the one before goes on with the other.

    Attributes:
        answerer: what requests call; None until there is a release, a policy and a store.
    """

    def __init__(self, online: OnlineTask[A], settings: Settings) -> None:
        self.task = with_attributes(online.task, settings.shop_attributes)
        self.role = online.role
        self.is_required = online.is_required
        self.release_part = Part("release", self.task.name, self.role)
        self.policy_part = Part("policy", self.task.name, self.role)
        self.answerer: A | None = None
        self._online = online
        self._settings = settings
        self._policy_file = PolicyFile(self.task, settings)
        self._model: Model | None = None
        self._decider: Decider | None = None

    @property
    def parts(self) -> tuple[Part, Part]:
        """What of it is loaded and looked after, each for itself."""
        return self.release_part, self.policy_part

    @property
    def release(self) -> str | None:
        """The version that answers."""
        return self._model.version if self._model is not None and self.answerer is not None else None

    @property
    def vacancy(self) -> str:
        """Why nothing answers where nothing failed."""
        return f"no release of {self.task.name} decides yet: train one"

    def refresh(self, reloading: Reloading) -> bool:
        """Load what changed; whether anything did."""
        changed = reloading.refresh(self.release_part, self._deployment_mark, self._load_model)
        return reloading.refresh(self.policy_part, self._policy_file.look, self._load_policy) or changed

    def bind(self, store: LiveStore) -> None:
        """Answer with what is loaded from now on."""
        if self._model is None or self._decider is None:
            self.answerer = None
            return
        member = Member(self.task, self.role, self._model, self._decider)
        self.answerer = self._online.answers(member, store, self._settings)
        logger.info(
            "%s of %s: release %s on generation %s", self.role, self.task.name, self._model.version, store.generation.name
        )

    def _deployment_mark(self) -> tuple[FileMark, FileMark]:
        """Of both: a trail that is changed by itself is no longer proof of the state."""
        state = self._settings.paths.deployment_state(self.task.name)
        return file_mark(state), file_mark(audit_path(state))

    def _load_model(self) -> None:
        """
        Raises:
            DeploymentError, ReleaseError, ModelError: for what cannot be read or trusted, or is required and not there.
        """
        paths = self._settings.paths
        version = proven_state(self._settings, self.task.name).roles[self.role]
        if version is None and self.is_required:
            raise DeploymentError(f"{paths.deployment_state(self.task.name)}: no release is {self.role}")
        if version is None:
            self._model = None
        elif self._model is None or self._model.version != version:
            self._model = Model(load_release(release_folder(paths.releases, version)), self.task.feature_set)

    def _load_policy(self) -> None:
        before = self._decider.policy.hash if self._decider else ""
        try:
            policy = self._policy_file.read()
        except PolicyError as error:
            raise PolicyError(f"{error}; {f'policy {before} goes on' if before else 'nothing is decided'}") from error
        self._decider = Decider(policy)
        logger.info("%s: deciding by policy %s (before: %s)", self.task.name, policy.hash, before or "none")
