"""The data root as commands find it: only importing and simulating make one."""

from __future__ import annotations

from typing import Any

from returnml.clock import Clock
from returnml.commands.refusal import refuse
from returnml.settings import Settings, load_settings


def settings_of_root(data: str | None, as_json: bool = False, **overrides: Any) -> Settings:
    """The settings of a data root that is there; refuses, and makes nothing, where there is none."""
    settings = load_settings(data=data, **overrides)
    require_root(settings, as_json)
    return settings


def require_root(settings: Settings, as_json: bool = False) -> None:
    """Refuse settings whose folder is no data root."""
    from returnml.root import RootError, read_root

    try:
        read_root(settings.paths.root)
    except RootError as error:
        refuse(str(error), as_json)


def made_root(settings: Settings, by: str, clock: Clock) -> None:
    """Make the folder of the settings a data root if it is none."""
    from returnml.privacy.keyring import KeyringError
    from returnml.privacy.root_making import make_root
    from returnml.root import RootError

    try:
        make_root(settings, by, clock)
    except (RootError, KeyringError) as error:
        refuse(str(error))
