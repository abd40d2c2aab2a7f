"""Settings: one file (``returnml.toml``) with profiles, overridden by ``RETURNML_*`` variables.

Order of precedence: an explicit argument (a CLI option), a ``RETURNML_*`` environment variable, the chosen profile's
table in ``returnml.toml``, the file's top level, the default stated here. Documented in ``docs/settings.md``.

Everything is imported from here: ``from returnml.settings import Settings``. The modules below are how it is divided.
"""

from __future__ import annotations

from returnml.settings.data_paths import (
    DataPaths,
)
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
from returnml.settings.profile_settings import (
    EARLIEST_YEAR,
    LATEST_YEAR,
    Settings,
)
from returnml.settings.service_tables import (
    KafkaSettings,
    LimitSettings,
    ServingSettings,
    StoreSettings,
    TrailSettings,
)
from returnml.settings.settings_file import (
    PROFILES,
    SettingsError,
    load_settings,
)
from returnml.settings.shop_tables import (
    LabelSettings,
    PrivacySettings,
    QualitySettings,
    ShopSettings,
)

__all__ = [
    "EARLIEST_YEAR",
    "LATEST_YEAR",
    "PROFILES",
    "DataPaths",
    "DriftSettings",
    "ForecastSettings",
    "GateSettings",
    "KafkaSettings",
    "LabelSettings",
    "LimitSettings",
    "PrivacySettings",
    "QualitySettings",
    "ScoresSettings",
    "ServingSettings",
    "Settings",
    "SettingsError",
    "ShopSettings",
    "StoreSettings",
    "TaskSettings",
    "TrailSettings",
    "TrainingSettings",
    "TuningSettings",
    "VariantSettings",
    "load_settings",
]
