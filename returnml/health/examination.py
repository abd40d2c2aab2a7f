"""All checks of a data root, one after the other: those that need a part which is not installed are named and left out."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from importlib import import_module
from importlib.util import find_spec

import msgspec

from returnml.clock import Clock
from returnml.findings import Finding
from returnml.settings import Settings

Check = Callable[[Settings, Clock], Iterable[Finding]]

_ROOM = "returnml.health.checks"
CHECKS: dict[str, str | None] = {
    "identity": None,
    "modes": None,
    "disk": None,
    "clocks": None,
    "trails": None,
    "releases": None,
    "software_versions": None,
    "online_store": None,
    "landed_files": None,
    "leftovers": None,
    "training_files": "polars",
    "warehouse_state": "duckdb",
}
"""By module, which has ``find``: the distribution that it needs beside the base ones."""


class Examined(msgspec.Struct, frozen=True, kw_only=True):
    """What was found.

    Attributes:
        checked: names of the checks that ran.
        left_out: why others did not, by name.
    """

    checked: list[str]
    left_out: dict[str, str]
    findings: list[Finding]


def examine(settings: Settings, clock: Clock) -> Examined:
    """Run every check that can run; nothing is changed."""
    checked, left_out, findings = [], {}, []
    for name, needed in CHECKS.items():
        if needed is not None and find_spec(needed) is None:
            left_out[name] = f"{needed} is not installed here (extra line)"
            continue
        find: Check = import_module(f"{_ROOM}.{name}").find
        found = list(find(settings, clock))
        checked.append(name)
        findings += found
        if name == "identity" and any(finding.is_damage for finding in found):
            left_out |= dict.fromkeys(list(CHECKS)[1:], "the root's identity comes first")
            break
    return Examined(checked=checked, left_out=left_out, findings=findings)
