"""A data root's identity: which folder is one, whose it is, and who made it.

``root.json`` is written once, by what first brings a shop's data in. Whatever else is asked of a folder without it
makes nothing there and says so: an empty root answers every question with "nothing", and a keyring that is made anew
knows nobody. Stores that several roots may reach carry the root's id.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import msgspec

from returnml.errors import Refusal
from returnml.files import UNDECODABLE
from returnml.settings import DataPaths

ROOT_FILE = "root.json"
UPGRADE_FILE = "upgrade.json"
"""The steps that are left, while an upgrade is not done."""
LAYOUT = 1
"""Of the folders below a root. Another number: ``returnml upgrade`` brings the root to it."""


class RootError(Refusal):
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
