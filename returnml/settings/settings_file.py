"""Reading the settings: ``returnml.toml``, its profiles, and ``RETURNML_*`` variables over them."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from returnml.errors import Refusal
from returnml.settings.profile_settings import Settings

PROFILES = ("dev", "staging", "prod")


class SettingsError(Refusal):
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
