"""Settings: one file (``returnml.toml``) with profiles, overridden by ``RETURNML_*`` variables.

Order of precedence: an explicit argument (a CLI option), a ``RETURNML_*`` environment variable, the chosen profile's
table in ``returnml.toml``, the file's top level, the default stated here. Documented in ``docs/settings.md``.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from pathlib import Path
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from returnml.attributes import Attributes, AttributeSettings, Entity, declared_attributes

EARLIEST_YEAR, LATEST_YEAR = 1990, 2100
"""Times before the first, or from the second on, are mistyped."""
PROFILES = ("dev", "staging", "prod")


class DataPaths:
    """Where each kind of file lies below the data root."""

    def __init__(self, root: Path) -> None:
        self.root = root.resolve()
        self.landing = self.root / "landing"
        self.warehouse = self.root / "warehouse" / "returnml.duckdb"
        self.published = self.root / "warehouse" / "published.duckdb"
        self.training = self.root / "training"
        self.variants = self.root / "variants"
        self.tuning = self.root / "tuning"
        self.releases = self.root / "releases"
        self.deployments = self.root / "deployment"
        self.store = self.root / "store"
        self.ledger = self.root / "ledger"
        self.keys = self.root / "keys"
        self.erasures = self.deployments / "erasures.jsonl"
        self.reports = self.root / "reports"
        self.truth = self.root / "simulator" / "truth"
        self.replay_clock = self.root / "replay" / "clock"
        self.dagster = self.root / "dagster"
        self.mlflow = self.root / "mlflow"
        self.dead_letters = self.root / "dead_letters"
        self.logs = self.root / "logs"
        self.inference_log = self.logs / "inference"

    def deployment_state(self, task: str) -> Path:
        """What decides about a task's rows."""
        return self.deployments / task / "state.json"


class ShopSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is true of the shop as a whole.

    Attributes:
        currency: ISO 4217 code of all its amounts. Undeclared it is that of the first amount; others are refused.
        timezone: IANA name; of times in its files without an offset, unless a mapping has its own. Partitions are UTC days.
    """

    currency: Annotated[str, msgspec.Meta(pattern="^[A-Z]{3}$")] | None = None
    timezone: str = "UTC"

    def __post_init__(self) -> None:
        try:
            ZoneInfo(self.timezone)
        except (ZoneInfoNotFoundError, ValueError):
            raise ValueError(f"timezone: {self.timezone!r} is no IANA time zone") from None


class LabelSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """When a line counts as returned, and when that is known."""

    window_days: int = 30
    grace_days: int = 3


class LimitSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How much the service takes at once; what is beyond is refused and said.

    These are the operator's choice. What a field may hold is the contract's: lengths of ids and texts, quantities, amounts
    (``ledger/events.py``, ``serving/wire.py``).

    Attributes:
        body_bytes, events_body_bytes: of a request; of one with events. An event's record has 16 MiB at most.
        lines: of one order.
        explained_lines: of an order that asks for reasons; half a millisecond each, in which the worker answers nobody else.
        events: in one request.
        waiting_events: that may wait in a worker's memory to be written; then requests are 503. 0: none is taken in.
        waiting_log_lines: order lines that may wait for the inference log; 3 KB each.
        log_seconds: how long an answer waits for the log under ``log_policy = "require"``.
    """

    body_bytes: Annotated[int, msgspec.Meta(ge=1 << 10, le=1 << 30)] = 1 << 20
    events_body_bytes: Annotated[int, msgspec.Meta(ge=1 << 10, le=1 << 30)] = 16 << 20
    lines: Annotated[int, msgspec.Meta(ge=1, le=100_000)] = 200
    explained_lines: Annotated[int, msgspec.Meta(ge=0, le=100_000)] = 20
    events: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)] = 10_000
    waiting_events: Annotated[int, msgspec.Meta(ge=0)] = 50_000
    waiting_log_lines: Annotated[int, msgspec.Meta(ge=1)] = 20_000
    log_seconds: Annotated[float, msgspec.Meta(gt=0.0, le=60.0)] = 2.0


class ServingSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How the service listens, answers and speaks of itself.

    Attributes:
        log_level: the least that its log (stderr) says.
        log_format: ``json``: an object a line. ``text``: for people.
        log_policy: ``require``: an answer is given only once its record is on disk, else 503. ``shed``: it is given at
            once; if its record cannot be written, that is counted and shown.
        stale_features: while the store's server is away, ``refuse``: 503. ``allow``: answers are made from the last
            generation in this host's folder, and marked.
        keep_log_days: how many days of the inference log ``returnml logs prune`` keeps; default: all.
    """

    host: str = "127.0.0.1"
    port: int = 8300
    workers: int = 1
    limits: LimitSettings = LimitSettings()
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["json", "text"] = "json"
    log_policy: Literal["require", "shed"] = "shed"
    stale_features: Literal["refuse", "allow"] = "refuse"
    keep_log_days: Annotated[int, msgspec.Meta(ge=1)] | None = None


class StoreSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where the online store is kept.

    Attributes:
        backend: ``lmdb``: below the data root, for one host. ``redis``: on a server that several hosts score from.
        redis_url: ``redis://``, ``rediss://`` (TLS) or ``unix://``; user and password may be in it.
        redis_prefix: of all keys; its hash tag keeps them on one node of a cluster.
        scrub_every_hours: how often the service reads generation and ledger whole, to find what was damaged; 0: never.
        scrub_megabytes_per_second: how fast it reads then.
    """

    backend: Literal["lmdb", "redis"] = "lmdb"
    redis_url: str = "redis://127.0.0.1:6379/0"
    redis_prefix: str = "{returnml}:"
    scrub_every_hours: Annotated[float, msgspec.Meta(ge=0.0)] = 24.0
    scrub_megabytes_per_second: Annotated[float, msgspec.Meta(gt=0.0)] = 16.0


class TrainingSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How the candidate is trained; times are relative to the cut-off.

    Attributes:
        vectors: ``recomputed``: all features are those that batch computes. ``logged``: lines that were scored as they were
            ordered have the vector that the service computed.
        parameters: ``declared``: rounds and LightGBM's are those that stand here. ``tuned``: those of the last
            ``returnml tune``.
        calibration_days, folds: the span before the hold-out whose out-of-time scores calibrate, choose and compare models,
            and into how many rolling origins it is divided; a short history has as much of it as it can.
        half_life_days: of a row's weight in variants that weigh by recency.
    """

    vectors: Literal["recomputed", "logged"] = "recomputed"
    parameters: Literal["declared", "tuned"] = "declared"
    seed: int = 1
    rounds: int = 300
    learning_rate: float = 0.03
    num_leaves: int = 31
    min_data_in_leaf: int = 100
    feature_fraction: float = 0.5
    bagging_fraction: float = 0.8
    lambda_l2: float = 10.0
    threads: int = 2
    calibration_days: Annotated[int, msgspec.Meta(ge=1, le=3650)] = 90
    folds: Annotated[int, msgspec.Meta(ge=2, le=50)] = 3
    holdout_days: Annotated[int, msgspec.Meta(ge=1, le=3650)] = 21
    half_life_days: Annotated[float, msgspec.Meta(gt=0.0, le=36500.0)] = 90.0
    young_lines: Literal["exclude", "weighted"] = "exclude"


class VariantSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which declared variants of a candidate are trained, and how many at once (``training_job``).

    Attributes:
        names: of ``modeling/fit/variants.py``; the others are skipped.
        parallel: steps at once, among which the training threads are divided; default: as many as there are cores, and
            times ``memory_gb`` in the memory that is free.
        memory_gb: that a step may need.
    """

    names: tuple[str, ...] = ("plain", "monotone", "regularised", "steady", "recent", "logistic")
    parallel: Annotated[int, msgspec.Meta(ge=1)] | None = None
    memory_gb: Annotated[float, msgspec.Meta(gt=0.0)] = 2.0


class TuningSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The search for training parameters (``returnml tune``), on the folds before the hold-out.

    Attributes:
        trials: finished ones that a study shall have; a later call with more goes on.
        minutes: after which no further trial is begun; default: no bound.
        max_rounds: trees that a trial may take.
    """

    seed: int = 1
    trials: Annotated[int, msgspec.Meta(ge=1)] = 30
    minutes: Annotated[float, msgspec.Meta(gt=0.0)] | None = None
    max_rounds: Annotated[int, msgspec.Meta(ge=20)] = 600


class ScoresSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Daily scores.

    Attributes:
        explained_per_day: how many lines of a day, those with the highest expected costs, get reasons.
    """

    explained_per_day: Annotated[int, msgspec.Meta(ge=0, le=100_000)] = 100


class ForecastSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Nowcast of return rates and forecast of returns volume.

    Attributes:
        longest_delay_days: goods that come back later are no part of the forecast.
        product_groups: how many, those with the most lines, are told apart; the rest is one.
    """

    longest_delay_days: Annotated[int, msgspec.Meta(ge=1, le=365)] = 60
    product_groups: Annotated[int, msgspec.Meta(ge=0, le=200)] = 12


class DriftSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Effect sizes at which a column counts as drifted, and when that retrains.

    ``share_of_features`` is well above what a growing history moves by itself: counts per brand, product group or
    country have a handful of distinct values a day and shift every week (a fifth of the features on simulated data).
    """

    psi_threshold: float = 0.25
    ks_threshold: float = 0.15
    min_rows: int = 200
    share_of_features: float = 0.3
    retrain_cooldown_hours: int = 24


class QualitySettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """When delivered data stop the line. A shop that also delivers guests' orders or fees needs a larger share."""

    max_quarantined_share: float = 0.2


class GateSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a candidate must show to become a release; each default's reason is in ``docs/decisions/gates.md``.

    Attributes:
        require_approval: a candidate that passed waits for a person's word.
        min_holdout_returns: returned lines, and kept ones, that the hold-out must have.
        min_auc, max_auc: below, it orders hardly better than chance; above, it knows what it cannot know.
        max_single_feature_share, max_single_feature_auc: what one feature alone may reach: of the model's AUC above 0.5, or in
            all; beyond both it is thought to know the outcome.
        max_gain_share: of all gain, one feature's.
        max_dead_gain_share: of all gain, that of features which vary in training and no longer on the hold-out.
        max_calibration_error: on the hold-out, beyond what chance alone shows.
        min_segment_lines: hold-out lines that make a product group or country large.
        max_segment_gap_share: between predicted and actual returns of a large segment, as a share of the actual ones.
        max_refit_loss_share, max_refit_mean_gap_share, max_refit_moved_share: of the refit's scores of young rows from the judged
            model's: log loss lost if that were right, distance of the means, rows with another action.
        max_log_loss_worse_share, max_cost_worse_share: of the champion's, by how much the candidate may be worse at most, at
            the upper end of the interval.
    """

    require_approval: bool = False
    min_holdout_returns: Annotated[int, msgspec.Meta(ge=1)] = 50
    min_auc: Annotated[float, msgspec.Meta(ge=0.5, le=1.0)] = 0.55
    max_auc: Annotated[float, msgspec.Meta(ge=0.5, le=1.0)] = 0.95
    max_single_feature_share: Annotated[float, msgspec.Meta(ge=0.0)] = 0.97
    max_single_feature_auc: Annotated[float, msgspec.Meta(ge=0.5, le=1.0)] = 0.85
    max_gain_share: Annotated[float, msgspec.Meta(ge=0.0, le=1.0)] = 0.6
    max_dead_gain_share: Annotated[float, msgspec.Meta(ge=0.0, le=1.0)] = 0.01
    max_calibration_error: Annotated[float, msgspec.Meta(ge=0.0, le=1.0)] = 0.05
    min_segment_lines: Annotated[int, msgspec.Meta(ge=1)] = 1_000
    max_segment_gap_share: Annotated[float, msgspec.Meta(ge=0.0)] = 0.25
    max_refit_loss_share: Annotated[float, msgspec.Meta(ge=0.0)] = 0.02
    max_refit_mean_gap_share: Annotated[float, msgspec.Meta(ge=0.0)] = 0.25
    max_refit_moved_share: Annotated[float, msgspec.Meta(ge=0.0, le=1.0)] = 0.15
    max_log_loss_worse_share: Annotated[float, msgspec.Meta(ge=0.0)] = 0.01
    max_cost_worse_share: Annotated[float, msgspec.Meta(ge=0.0)] = 0.02


class KafkaSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Events from a Kafka topic, and scores to one.

    Attributes:
        bootstrap_servers: ``host:port,...``; empty: there is no Kafka.
        dead_letter_topic: where messages go that are no events; none: into a log below the data root.
        scores_topic: where the service sends every answer; none: nowhere.
        scores_waiting: answers that may wait for the brokers; what is beyond is dropped and counted.
        options: further properties of librdkafka; ``_`` stands for ``.`` in their names.
    """

    bootstrap_servers: str = ""
    topic: str = "returnml.events"
    group_id: str = "returnml"
    dead_letter_topic: str | None = None
    batch_size: Annotated[int, msgspec.Meta(ge=1)] = 1_000
    scores_topic: str | None = None
    daily_scores_topic: str = "returnml.daily_scores"
    scores_waiting: Annotated[int, msgspec.Meta(ge=1)] = 10_000
    options: dict[str, str | int | float | bool] = {}


class PrivacySettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How customers are known.

    Attributes:
        customer_ids: ``pseudonymise``: by pseudonyms from the keyring, which only it links to the shop's ids;
            ``as_delivered``: by the ids that the shop sends, which are pseudonyms of its own.
    """

    customer_ids: Literal["pseudonymise", "as_delivered"] = "pseudonymise"


class TrailSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Who vouches for the audit trails.

    Attributes:
        signing_key: PEM file of an Ed25519 private key: every record is signed. For hosts that change what serves.
        public_key: PEM file of its public key: what is not signed with it is refused. For all hosts.
    """

    signing_key: str | None = None
    public_key: str | None = None


class TaskSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What differs for one task.

    Attributes:
        policy: its policy file.
        training, gates: fields of these tables that have another value for it.
    """

    policy: str | None = None
    training: dict[str, Any] = {}
    gates: dict[str, Any] = {}


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All settings of one profile.

    Attributes:
        attributes: by entity and name the shop's own columns that become features (``docs/attributes.md``).
        tasks: by task what differs for it.
        replay_clock: a file that says what time it is (privileged: a replay, a demo on old data); none in production.
    """

    profile: str = "dev"
    data: str = "data"
    go_live: str | None = None
    first_day: str | None = None
    replay_clock: str | None = None
    shop: ShopSettings = ShopSettings()
    label: LabelSettings = LabelSettings()
    policy: str | None = None
    serving: ServingSettings = ServingSettings()
    store: StoreSettings = StoreSettings()
    training: TrainingSettings = TrainingSettings()
    variants: VariantSettings = VariantSettings()
    tuning: TuningSettings = TuningSettings()
    scores: ScoresSettings = ScoresSettings()
    gates: GateSettings = GateSettings()
    forecast: ForecastSettings = ForecastSettings()
    drift: DriftSettings = DriftSettings()
    quality: QualitySettings = QualitySettings()
    kafka: KafkaSettings = KafkaSettings()
    privacy: PrivacySettings = PrivacySettings()
    trail: TrailSettings = TrailSettings()
    attributes: dict[Entity, dict[str, AttributeSettings]] = {}
    tasks: dict[str, TaskSettings] = {}

    def __post_init__(self) -> None:
        if "?" in str(self.paths.root):
            raise ValueError(f"data: {self.paths.root}: DuckDB opens no database below a folder with '?' in its name")
        for name, kind, example in (("go_live", datetime, "2025-03-01T00:00"), ("first_day", date, "2025-03-01")):
            text = getattr(self, name)
            try:
                at = None if text is None else kind.fromisoformat(text)
            except ValueError:
                raise ValueError(f"{name}: {text!r}, expected e.g. {example}") from None
            if at is not None and not EARLIEST_YEAR <= at.year < LATEST_YEAR:
                raise ValueError(f"{name}: {text!r}: expected a year from {EARLIEST_YEAR} to {LATEST_YEAR - 1}")
        for name, days, least in (("window_days", self.label.window_days, 1), ("grace_days", self.label.grace_days, 0)):
            if not least <= days <= 365:
                raise ValueError(f"label.{name}: {days}: expected {least} to 365")
        declared_attributes(self.attributes)
        for name, own in self.tasks.items():
            try:
                self._changed(own)
            except msgspec.ValidationError as error:
                raise ValueError(f"tasks.{name}: {error}") from error

    def of_task(self, name: str) -> Settings:
        """With what differs for one task in its place."""
        own = self.tasks.get(name)
        return self if own is None else msgspec.structs.replace(self, **self._changed(own))

    def _changed(self, own: TaskSettings) -> dict[str, Any]:
        training = msgspec.to_builtins(self.training) | own.training
        gates = msgspec.to_builtins(self.gates) | own.gates
        return {
            "training": msgspec.convert(training, TrainingSettings, strict=False),
            "gates": msgspec.convert(gates, GateSettings, strict=False),
        }

    @property
    def shop_attributes(self) -> Attributes:
        """The attributes that are declared."""
        return declared_attributes(self.attributes)

    @property
    def paths(self) -> DataPaths:
        return DataPaths(Path(self.data))

    @property
    def policy_file(self) -> Path | None:
        return Path(self.policy) if self.policy else None


class SettingsError(ValueError):
    """A setting that cannot be read; the message names the file or variable and the field."""


def load_settings(
    file: Path | None = None, environ: Mapping[str, str] | None = None, declared: Sequence[str] = (), **overrides: Any
) -> Settings:
    """Read the settings.

    Args:
        file: ``returnml.toml``; default: ``RETURNML_SETTINGS`` or ``returnml.toml`` in the working folder, if there.
        environ: default ``os.environ``. ``RETURNML_TRAINING__SEED=3`` sets ``training.seed``.
        declared: top-level fields that the profile's own table must have: what belongs to another profile, or is the default, is
            no answer.
        **overrides: top-level fields that win over everything (``None`` is ignored).

    Raises:
        SettingsError: naming the file or variable and the field.
    """
    environ = os.environ if environ is None else environ
    file = file or Path(environ.get("RETURNML_SETTINGS", "returnml.toml"))
    document: dict[str, Any] = {}
    if file.exists():
        try:
            document = tomllib.loads(file.read_text())
        except tomllib.TOMLDecodeError as error:
            raise SettingsError(f"{file}: {error}") from error
    profiles = document.pop("profiles", {})
    profile = environ.get("RETURNML_PROFILE", document.get("profile", "dev"))
    if profile not in PROFILES:
        raise SettingsError(f"profile {profile!r}: expected one of {', '.join(PROFILES)}")
    if file.exists() and profile not in profiles and profile != PROFILES[0]:
        raise SettingsError(f"{file}: profile {profile!r} is not declared: there is no [profiles.{profile}]")
    own = profiles.get(profile, {})
    for name in declared:
        if name not in own:
            raise SettingsError(f"{file}: [profiles.{profile}] does not declare `{name}`: what is meant is said there or nowhere")
    merged = _merge(document, own)
    merged = _merge(merged, _from_environ(environ))
    merged = _merge(merged, {k: v for k, v in overrides.items() if v is not None})
    merged["profile"] = profile
    try:
        return msgspec.convert(merged, Settings, strict=False)
    except msgspec.ValidationError as error:
        raise SettingsError(f"settings ({file} and RETURNML_* variables): {error}") from error


def _from_environ(environ: Mapping[str, str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for variable, value in environ.items():
        if not variable.startswith("RETURNML_") or variable in ("RETURNML_SETTINGS", "RETURNML_PROFILE"):
            continue
        setting: Any = _listed(variable, value) if value.startswith("[") else value
        for name in reversed(variable.removeprefix("RETURNML_").lower().split("__")):
            setting = {name: setting}
        found = _merge(found, setting)
    return found


def _listed(variable: str, value: str) -> list[Any]:
    try:
        return msgspec.json.decode(value, type=list)
    except msgspec.DecodeError as error:
        raise SettingsError(f"{variable}: {value!r} is no JSON list: {error}") from error


def _merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for name, value in over.items():
        if isinstance(value, Mapping):
            table = merged.get(name, {})
            if not isinstance(table, Mapping):
                raise SettingsError(f"settings: {name} is a table, {table!r} stands for it")
            value = _merge(table, value)
        merged[name] = value
    return merged
