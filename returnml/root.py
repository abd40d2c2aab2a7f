"""A data root's identity: which folder is one, whose it is, and who made it.

``root.json`` is written once, by what first brings a shop's data in. Whatever else is asked of a folder without it
makes nothing there and says so: an empty root answers every question with "nothing", and a keyring that is made anew
knows nobody. Stores that several roots may reach carry the root's id.
"""

from __future__ import annotations

import uuid
from datetime import datetime
from pathlib import Path

import msgspec

import returnml
from returnml.clock import Clock
from returnml.files import (
    UNDECODABLE,
    create_whole,
    readable_json,
)
from returnml.instants import instant
from returnml.privacy.keyring import Keyring
from returnml.settings import DataPaths, Settings

ROOT_FILE = "root.json"
LAYOUT = 1
"""Of the folders below a root. Another number: ``returnml upgrade`` brings the root to it."""


class RootError(Exception):
    """A folder that is no data root, or none that this code reads; the message names it and says what to do."""


class NotUpgraded(RootError):
    """A data root of a version before."""


class Root(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What ``root.json`` says.

    Attributes:
        root_id: drawn once; copies of the folder on other hosts have the same.
        made_by: version and command.
        keyring: the fingerprint of the root's keyring; None where the shop sends pseudonyms (``privacy.customer_ids``).
    """

    root_id: str
    layout: int
    made_by: str
    made_at: datetime
    keyring: str | None


def read_root(folder: Path) -> Root:
    """The identity of a data root; makes nothing.

    Raises:
        NotUpgraded: for a root of a version before.
        RootError: where it is none, or of a later version, or its identity cannot be read.
    """
    path = folder / ROOT_FILE
    try:
        found = msgspec.json.decode(path.read_bytes(), type=Root)
    except FileNotFoundError:
        if has_data(folder):
            raise NotUpgraded(
                f"{folder}: is a data root of a version before, without {ROOT_FILE}: returnml upgrade gives it its identity; "
                f"where it serves another host's data, {ROOT_FILE} is copied from there"
            ) from None
        raise RootError(
            f"{folder}: is no data root (it has no {ROOT_FILE}): returnml simulate and returnml import make one; "
            "--data or the setting data names another folder"
        ) from None
    except OSError as error:
        raise RootError(f"{path}: not readable: {error.strerror}") from error
    except UNDECODABLE as error:
        raise RootError(f"{path}: {error}") from error
    if found.layout > LAYOUT:
        raise RootError(f"{path}: layout {found.layout}, made by {found.made_by}: this version reads up to {LAYOUT}")
    if found.layout < LAYOUT:
        raise NotUpgraded(f"{path}: layout {found.layout}, this version reads {LAYOUT}: returnml upgrade")
    return found


def has_data(folder: Path) -> bool:
    """Whether a folder has what the line, an import or a service writes below a root."""
    paths = DataPaths(folder)
    kinds = (paths.landing, paths.ledger, paths.warehouse.parent, paths.store, paths.releases, paths.deployments)
    return any(kind.is_dir() and any(kind.iterdir()) for kind in kinds)


def make_root(settings: Settings, by: str, clock: Clock) -> Root:
    """Make the folder of the settings a data root, with a keyring where they ask for one; one that is there stays.

    Args:
        by: the command that does.

    Raises:
        NotUpgraded: where a root of a version before is there.
        RootError: see ``read_root``.
        KeyringError: where a keyring that is there cannot be opened.
    """
    folder = settings.paths.root
    if (folder / ROOT_FILE).exists() or has_data(folder):
        return read_root(folder)
    return _write(settings, by, clock, is_keyring_made=True)


def adopt_root(settings: Settings, by: str, clock: Clock) -> Root:
    """Give a data root of a version before its identity, with the keyring that it has.

    Args:
        by: the command that does.

    Raises:
        RootError: where the folder has no data of its own: a host that only scores is given ``root.json`` by its owner.
        KeyringError: where its keyring is missing or cannot be opened.
    """
    paths = settings.paths
    if (paths.root / ROOT_FILE).exists():
        return read_root(paths.root)
    if not any(kind.exists() for kind in (paths.landing, paths.ledger, paths.warehouse)):
        raise RootError(
            f"{paths.root}: has no landing files, ledger or warehouse: where it serves another host's data, copy {ROOT_FILE} "
            "from there; else it is no data root"
        )
    return _write(settings, by, clock, is_keyring_made=False)


def _write(settings: Settings, by: str, clock: Clock, is_keyring_made: bool) -> Root:
    paths = settings.paths
    keyring = None
    if settings.privacy.customer_ids == "pseudonymise":
        opened = Keyring(paths.keys, is_created=is_keyring_made)
        keyring = opened.fingerprint
        opened.close()
    made_by = f"returnml {returnml.__version__}: {by}"
    root = Root(root_id=uuid.uuid4().hex, layout=LAYOUT, made_by=made_by, made_at=instant(clock.now_us()), keyring=keyring)
    paths.root.mkdir(parents=True, exist_ok=True)
    create_whole(paths.root / ROOT_FILE, readable_json(root))
    return read_root(paths.root)  # of two that were made at once, one stands
