"""The data root as commands find it: only importing and simulating make one."""

from __future__ import annotations

from typing import Any

from returnml.clock import Clock
from returnml.settings import Settings, load_settings


def settings_of_root(data: str | None, **overrides: Any) -> Settings:
    """The settings of a data root that is there.

    Raises:
        Refusal: where there is none; nothing is made.
    """
    settings = load_settings(data=data, **overrides)
    require_root(settings)
    return settings


def require_root(settings: Settings) -> None:
    """
    Raises:
        RootError: for settings whose folder is no data root.
    """
    from returnml.root import read_root

    read_root(settings.paths.root)


def made_root(settings: Settings, by: str, clock: Clock) -> None:
    """Make the folder of the settings a data root if it is none."""
    from returnml.privacy.root_making import make_root

    make_root(settings, by, clock)
