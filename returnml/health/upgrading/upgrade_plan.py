"""What a data root of a version before needs, as data; worked out once, and kept until it is done."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import date
from pathlib import Path
from typing import Literal

import duckdb
import msgspec

from returnml.clock import Clock
from returnml.errors import Refusal
from returnml.files import UNDECODABLE, readable_json, replace_file
from returnml.health.checks import online_store as store_check
from returnml.health.checks.software_versions import of_other_features
from returnml.health.checks.trails import trail_findings
from returnml.root import UPGRADE_FILE, NotUpgraded, read_root
from returnml.settings import Settings
from returnml.tasks.declaration import Moments
from returnml.tasks.registry import tasks
from returnml.warehouse.ingest.extent import known_days
from returnml.warehouse.ingest.schema import tables
from returnml.warehouse.partition import open_warehouse
from returnml.warehouse.tables import column_types, present_tables

_OF_STORE = ("generation_damaged", "store_refused")

Kind = Literal["identity", "trails", "retire", "line", "publish"]


class UpgradeError(Refusal):
    """An upgrade that cannot be planned or done; the message says what to do first."""


class Step(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One thing to do; doing it again changes nothing.

    Attributes:
        what: will be done, for people.
        why: what was found.
        first, last: days of a run of the line.
    """

    kind: Kind
    what: str
    why: list[str]
    first: date | None = None
    last: date | None = None


class Plan(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The steps that are left, in their order.

    Attributes:
        is_begun: whether some were done before.
    """

    steps: list[Step]
    is_begun: bool = False


def plan_upgrade(settings: Settings, clock: Clock) -> Plan:
    """What is to be done; changes nothing. An upgrade that was begun goes on with what is left of its own plan.

    Raises:
        UpgradeError: where another process has the warehouse open, or the begun plan cannot be read.
        RootError: where the folder is no data root, or one of a later version.
    """
    path = settings.paths.root / UPGRADE_FILE
    try:
        return msgspec.json.decode(path.read_bytes(), type=Plan)
    except FileNotFoundError:
        return Plan(steps=list(_steps(settings, clock)))
    except UNDECODABLE as error:
        raise UpgradeError(f"{path}: {error}; remove it, and the upgrade is planned anew") from error


def keep(root: Path, steps: list[Step]) -> None:
    """Note what is left; nothing is kept where nothing is."""
    path = root / UPGRADE_FILE
    if steps:
        replace_file(path, readable_json(Plan(steps=steps, is_begun=True)))
    else:
        path.unlink(missing_ok=True)


def _steps(settings: Settings, clock: Clock) -> Iterator[Step]:
    is_old = _lacks_identity(settings)
    if is_old:
        yield Step(kind="identity", what="give the root its identity, with the keyring that it has", why=["it has no root.json"])
    unanchored = [f.where for f in trail_findings(settings) if f.code == "unanchored"]
    if unanchored:
        yield Step(
            kind="trails",
            what="anchor the audit trails, which have no head, in their states",
            why=unanchored,
        )
    others = [f"{task}: {role} {version}" for task, role, version, _, _ in of_other_features(settings)]
    if others:
        what = "take releases of other features out of force; a newly trained one decides if its gates hold"
        yield Step(kind="retire", what=what, why=others)
    found = known_days(settings.paths, clock.now_us())
    why = list(_outdated(settings)) + [f"{other} cannot score what this code computes" for other in others]
    if found is not None and why:
        first, last = found
        what = f"write all days again and train: data, features, releases, scores, online store, {first} to {last}"
        yield Step(kind="line", what=what, why=why, first=first, last=last)
    elif wrong := _store_of_before(settings, clock, is_old):
        yield Step(kind="publish", what="publish a generation", why=wrong)


def _lacks_identity(settings: Settings) -> bool:
    try:
        read_root(settings.paths.root)
    except NotUpgraded:
        return True
    return False


def _outdated(settings: Settings) -> Iterator[str]:
    """What in the warehouse is of other columns or features than this code's."""
    path = settings.paths.warehouse
    if not path.exists():
        return
    try:
        con = open_warehouse(path, read_only=True)
    except duckdb.IOException as error:
        raise UpgradeError(f"{path}: another process has it open: stop it first ({str(error).partition(chr(10))[0]})") from error
    with closing(con):
        known = present_tables(con)
        for table, columns in tables(settings.shop_attributes).items():
            lacking = [name for name in columns if name not in column_types(con, table)] if table in known else []
            if lacking:
                yield f"{table} lacks {', '.join(lacking)}"
        for table, digest in _vector_tables(settings).items():
            if table not in known:
                continue
            [(days, least)] = con.execute(
                f"SELECT count(DISTINCT day), min(day) FROM {table} WHERE feature_set_hash <> ?", [digest]
            ).fetchall()
            if days:
                yield f"{table}: {days} days are of other features, {least} first"


def _vector_tables(settings: Settings) -> dict[str, str]:
    """The tables of vectors that are written a day at a time, with the hash of their declarations."""
    found = tasks(settings.shop_attributes).values()
    return {task.spine.table: task.feature_set.hash for task in found if task.spine.moments is Moments.EACH_DAY}


def _store_of_before(settings: Settings, clock: Clock, is_old: bool) -> list[str]:
    """A root without identity has only generations without an owner."""
    if is_old:
        return [f"{settings.paths.store}: generations of no owner"] if settings.paths.store.exists() else []
    return [finding.what for finding in store_check.find(settings, clock) if finding.code in _OF_STORE]
