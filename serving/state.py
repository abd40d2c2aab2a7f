"""What the service scores with, and its reload when the deployment state or the store's pointer changes."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import TypeVar

import msgspec

from returnml.clock import Clock
from returnml.features.feature_set import FeatureSet
from returnml.features.sets.customer import CUSTOMER
from returnml.policy.decisions import Decider
from returnml.policy.document import PolicyError
from returnml.privacy.customers import IS_PSEUDONYM, CustomerIds, ask_as, open_customers
from returnml.privacy.keyring import MASTER_FILE, KeyringError
from returnml.release.deployment import DeploymentError, audit_path
from returnml.release.folder import load_release, release_folder
from returnml.release.proof import proven_state
from returnml.settings import Settings
from returnml.store.backend import Backend
from returnml.store.generation_manifest import StoreError, generation_folder
from returnml.store.live import LiveStore
from returnml.store.lmdb.environments import DATABASE_FILE
from returnml.store.scrub_report import REPORT_FILE, Scrubbed, read_report
from returnml.streaming.score_stream import ScoreStream
from returnml.tasks import CHECKOUT
from returnml.tasks.declared import customer_risk, return_risk
from serving.errors import InvalidInput, NotReady
from serving.log.answer_message import score_message
from serving.log.inference_log import InferenceLog
from serving.scoring.customer_features import (
    CustomerReader,
    check_customer_id,
)
from serving.scoring.customer_scorer import (
    RiskReader,
    open_risk,
)
from serving.scoring.file_marks import (
    FileMark,
    file_mark,
)
from serving.scoring.policy_file import PolicyFile
from serving.scoring.released_model import Model
from serving.scoring.reloading import Reloading
from serving.scoring.scorer import Scorer
from serving.wire import (
    CustomerFeatures,
    CustomerRisk,
    Order,
    Ready,
    Scores,
)

logger = logging.getLogger(__name__)

T = TypeVar("T")

CUSTOMER_RISK = customer_risk.TASK.name
PARTS = ("release", "store", "keyring", "policy", CUSTOMER_RISK)
"""What is loaded and looked after, each for itself."""


class ServingState:
    """Holds the scorer; replaces it whole when the release changes. The store follows what is published by itself.

    What cannot be loaded is refused and said by ``ready``; what was loaded before goes on scoring.
    """

    def __init__(
        self,
        settings: Settings,
        backend: Backend,
        clock: Clock,
        feature_set: FeatureSet,
        log: InferenceLog,
        stream: ScoreStream | None,
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._feature_set = feature_set
        self._log = log
        self._stream = stream
        self._model: Model | None = None
        self._decider: Decider | None = None
        allows_stale = settings.serving.stale_features == "allow"
        self._live = LiveStore(backend, feature_set, allows_stale)
        self._reader = CustomerReader(self._live, CUSTOMER)
        self._risk: RiskReader | None = None
        self._policy_files = {task.name: PolicyFile(task, settings) for task in (return_risk.TASK, customer_risk.TASK)}
        self._customers: CustomerIds | None = None
        self._scorer: Scorer | None = None
        self._reloading = Reloading()
        self.stale_answers = 0
        self._scrubbed: Scrubbed | None = None

    async def score(self, order: Order) -> Scores:
        """Score an order as of now, log the answer, and send it on where there is a stream.

        Raises:
            NotReady: while there is no release, no generation, no store to read them from, or no keyring.
            InvalidInput: naming the field that breaks a rule.
            LogUnavailable: if the answer must be logged and cannot be.
        """
        begun = time.perf_counter_ns()
        scorer = self._scorer
        if scorer is None:
            raise NotReady(self._reason())
        now_us = self._clock.now_us()
        scored = self._ask(order.customer_id, lambda name: scorer.score(msgspec.structs.replace(order, customer_id=name), now_us))
        self.stale_answers += scored.scores.features.stale
        await self._log.record(scored, (time.perf_counter_ns() - begun) // 1_000)
        if self._stream is not None:
            self._stream.send(score_message(scored.scores))
        return scored.scores

    def customer(self, customer_id: str, is_raw: bool) -> CustomerFeatures:
        """What is known of a customer as of now; needs no release.

        Raises:
            NotReady: while there is no generation that serves the features, or no keyring.
            InvalidInput: for an id that no customer can have.
        """
        check_customer_id(customer_id)
        now_us = self._clock.now_us()
        found = self._ask(customer_id, lambda name: self._reader.features(name, is_raw, now_us))
        self.stale_answers += found.features.stale
        return msgspec.structs.replace(found, customer_id=customer_id)

    def customer_risk(self, customer_id: str) -> CustomerRisk:
        """What the champion of ``customer_risk`` says of a customer as of now.

        Raises:
            NotReady: while none decides, there is no generation that serves the features, or no keyring.
            InvalidInput: for an id that no customer can have.
        """
        check_customer_id(customer_id)
        reader = self._risk
        if reader is None:
            raise NotReady(self._reloading.failures.get(CUSTOMER_RISK, f"no release of {CUSTOMER_RISK} decides yet: train one"))
        now_us = self._clock.now_us()
        found = self._ask(customer_id, lambda name: reader.risk(name, now_us))
        self.stale_answers += found.features.stale
        return msgspec.structs.replace(found, customer_id=customer_id)

    def _ask(self, customer_id: str, ask: Callable[[str], T]) -> T:
        """Ask about a customer by the name that they are known by.

        Raises:
            NotReady: where that cannot be found out.
            InvalidInput: for an id that is none of the shop's.
        """
        if self._customers is None:
            raise NotReady(self._reason())
        problem = self._customers.misnamed(customer_id)
        if problem is not None:
            raise InvalidInput("customer_id", f"{problem} [{IS_PSEUDONYM}]")
        self._refuse_damaged()
        try:
            return ask_as(self._customers, customer_id, ask)
        except (StoreError, KeyringError, PolicyError) as error:
            raise NotReady(str(error)) from error

    def _refuse_damaged(self) -> None:
        damage = self._scrubbed.keeps_from_scoring if self._scrubbed else None
        if damage:
            raise NotReady(damage)

    def ready(self) -> Ready:
        """What it scores with.

        Raises:
            NotReady: if it cannot score, or cannot log what it must, saying why.
        """
        scorer = self._scorer
        log = self._log.status()
        if scorer is None:
            raise NotReady(self._reason())
        if log.failure and log.policy == "require":
            raise NotReady(log.failure)
        self._refuse_damaged()
        warnings = [*self._reloading.failures.values(), *([log.failure] if log.failure else [])]
        if self._scrubbed:
            warnings += [f"{finding.code}: {finding.what}; {finding.mend}" for finding in self._scrubbed.findings]
        if log.shed:
            warnings.append(f"inference log: {log.shed} answers were given and not logged")
        stream = self._stream.status() if self._stream else None
        if stream is not None:
            warnings += [stream.failure] if stream.failure else []
            warnings += [f"score stream: {stream.dropped} answers were not delivered"] if stream.dropped else []
        model = scorer.model
        try:
            time_of = scorer.feature_time()
        except StoreError as error:
            raise NotReady(str(error)) from error
        if time_of.stale:
            warnings.append(f"features are stale: generation {time_of.generation} without what came after it")
        return Ready(model.version, model.feature_set_hash, time_of, warnings, log, stream)

    @property
    def refused(self) -> dict[str, int]:
        """By part, 1 where what is there now was refused, and what was loaded before goes on (or nothing does)."""
        return {part: int(part in self._reloading.failures) for part in PARTS}

    def refresh(self) -> None:
        """Load whatever is published and not loaded yet. A ``stat`` and one read of the store when nothing changed."""
        paths, refresh = self._settings.paths, self._reloading.refresh
        changed = refresh("release", lambda: self._deployment_mark(CHECKOUT), self._load_model)
        refresh("scrubber", lambda: file_mark(paths.store / REPORT_FILE), self._read_scrubbed)
        changed |= refresh("store", self._store_mark, self._live.refresh)
        changed |= refresh("keyring", lambda: file_mark(paths.keys / MASTER_FILE), self._open_keyring)
        changed |= refresh("policy", self._policy_files[CHECKOUT].look, self._load_policy)
        refresh(CUSTOMER_RISK, self._risk_marks, self._load_risk)
        is_complete = self._live.has_generation and self._customers is not None
        if (changed or self._scorer is None) and self._model is not None and self._decider is not None and is_complete:
            serving = self._settings.serving
            currency = self._settings.shop.currency
            self._scorer = Scorer(self._model, self._live, self._feature_set, self._decider, serving.max_lines, currency)
            logger.info("scoring with release %s on generation %s", self._model.version, self._live.generation.name)

    def _load_model(self) -> None:
        paths = self._settings.paths
        champion = proven_state(self._settings, CHECKOUT).champion
        if champion is None:
            raise DeploymentError(f"{paths.deployment_state(CHECKOUT)}: no release is champion")
        if self._model is None or self._model.version != champion:
            self._model = Model(load_release(release_folder(paths.releases, champion)), self._feature_set)

    def _load_policy(self) -> None:
        before = self._decider.policy.hash if self._decider else ""
        try:
            policy = self._policy_files[CHECKOUT].read()
        except PolicyError as error:
            raise PolicyError(f"{error}; {f'policy {before} goes on' if before else 'nothing is decided'}") from error
        self._decider = Decider(policy)
        logger.info("deciding by policy %s (before: %s)", policy.hash, before or "none")

    def _deployment_mark(self, task: str) -> tuple[FileMark, FileMark]:
        """Of both: a trail that is changed by itself is no longer proof of the state."""
        state = self._settings.paths.deployment_state(task)
        return file_mark(state), file_mark(audit_path(state))

    def _risk_marks(self) -> tuple[object, FileMark]:
        return self._deployment_mark(CUSTOMER_RISK), self._policy_files[CUSTOMER_RISK].look()

    def _load_risk(self) -> None:
        self._risk = open_risk(self._settings, self._live, self._policy_files[CUSTOMER_RISK].read())

    def _store_mark(self) -> tuple[str | None, FileMark]:
        """A generation that was written again under its name is opened again: the one before may be damaged."""
        try:
            name = self._live.published()
            folder = None if name is None else generation_folder(self._settings.paths.store, name)
        except StoreError:
            return None, None  # loading it says why
        return name, None if folder is None else file_mark(folder / DATABASE_FILE)

    def _read_scrubbed(self) -> None:
        self._scrubbed = read_report(self._settings.paths.store)

    @property
    def store_findings(self) -> int:
        """How much was wrong with the store when it was last scrubbed."""
        return len(self._scrubbed.findings) if self._scrubbed else 0

    @property
    def store_scrubbed_at(self) -> float:
        """Seconds since the epoch; 0 before the first time."""
        return self._scrubbed.checked_at_us / 1e6 if self._scrubbed else 0.0

    def _open_keyring(self) -> None:
        self._customers = open_customers(self._settings)

    def _reason(self) -> str:
        return "; ".join(self._reloading.failures.values()) or "the release and the store are not loaded yet"
