"""Where the commands find the project's Dagster home, and the environment that Dagster is started with.

The home is the folder of ``dagster.yaml``; what Dagster writes lies below the data root (``DAGSTER_STORAGE``).
"""

from __future__ import annotations

import os
from pathlib import Path

from returnml.errors import Refusal
from returnml.settings import Settings


def project_root() -> Path:
    """The folder of ``dagster.yaml``: the working folder, else where this package is installed from."""
    candidates = (Path.cwd(), Path(__file__).resolve().parents[2])
    for folder in candidates:
        if (folder / "dagster.yaml").exists():
            return folder
    raise Refusal(f"no dagster.yaml in {candidates[0]}: run this in the project's folder")


def enter(settings: Settings) -> Path:
    """Set the environment for Dagster in this process and its children; returns the home."""
    home = project_root()
    settings.paths.dagster.mkdir(parents=True, exist_ok=True)
    os.environ["DAGSTER_HOME"] = str(home)
    os.environ["DAGSTER_STORAGE"] = str(settings.paths.dagster)
    os.environ["DAGSTER_DISABLE_TELEMETRY"] = "yes"
    os.environ["RETURNML_DATA"] = str(settings.paths.root)
    os.environ["MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR"] = "false"
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")
    return home
