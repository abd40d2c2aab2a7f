"""All settings of one profile, and what must hold between them."""

from __future__ import annotations

from datetime import date, datetime
from pathlib import Path
from typing import Any

import msgspec

from returnml.attributes import Attributes, AttributeSettings, Entity, declared_attributes
from returnml.settings.data_paths import DataPaths
from returnml.settings.model_tables import (
    DriftSettings,
    ForecastSettings,
    GateSettings,
    ScoresSettings,
    TaskSettings,
    TrainingSettings,
    TuningSettings,
    VariantSettings,
)
from returnml.settings.service_tables import (
    KafkaSettings,
    ServingSettings,
    StoreSettings,
    TrailSettings,
)
from returnml.settings.shop_tables import (
    LabelSettings,
    PrivacySettings,
    QualitySettings,
    ShopSettings,
)

EARLIEST_YEAR, LATEST_YEAR = 1990, 2100
"""Times before the first, or from the second on, are mistyped."""


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
