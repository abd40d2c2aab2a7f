"""The heads of all trails of a data root, taken out of it: who later writes a trail anew cannot write these anew.

Keep the file where who can write the data root cannot: another host, a ticket, a printout.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import msgspec

from returnml.findings import Finding
from returnml.release.deployment import AuditRecord, audit_path
from returnml.release.erasures import ERASURES, Erasure
from returnml.release.trail import Head, TrailError, heads, lines, records_of
from returnml.settings import DataPaths


class Heads(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where each trail ended.

    Attributes:
        trails: by task, and ``erasures``.
    """

    at_us: int
    trails: dict[str, Head]


def trails_of(paths: DataPaths, tasks: Iterable[str]) -> dict[str, Path]:
    """Every hash-chained file of a data root, by what it is about."""
    return {task: audit_path(paths.deployment_state(task)) for task in tasks} | {ERASURES: paths.erasures}


def export_heads(trails: dict[str, Path], at_us: int) -> Heads:
    """The heads as the files say; ``verify`` them first.

    Raises:
        TrailError: naming the line where a chain is broken.
    """
    found = {}
    for name, trail in trails.items():
        content = lines(trail)
        records_of(trail, content, Erasure if name == ERASURES else AuditRecord)
        found[name] = heads(content)[-1]
    return Heads(at_us=at_us, trails=found)


def compare_heads(trails: dict[str, Path], exported: Heads) -> list[Finding]:
    """Whether each trail goes on from the head that it had."""
    findings = []
    for name, head in exported.trails.items():
        trail = trails.get(name)
        try:
            ends = [Head()] if trail is None else heads(lines(trail))
        except TrailError:
            ends = [Head()]
        if head.count < len(ends) and ends[head.count].sha256 == head.sha256:
            continue
        what = f"it does not go on from the head that was exported: record {head.count}, {head.sha256[:12]}"
        findings.append(
            Finding(
                code="head_not_in_trail",
                where=str(trail or name),
                what=what,
                meaning="The trail was written anew or cut off after the export.",
                mend="bring the trail and its state back from a backup of the time of the export, and look into who wrote it",
                is_command=False,
            )
        )
    return findings
