"""Making a data root: its identity, and the keyring that belongs to it. Nobody else makes either."""

from __future__ import annotations

import uuid

from returnml.clock import Clock
from returnml.files import create_whole, readable_json
from returnml.instants import instant
from returnml.privacy.keyring import Keyring
from returnml.root import LAYOUT, ROOT_FILE, Root, RootError, has_data, read_root
from returnml.settings import Settings
from returnml.version import VERSION


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
    made_by = f"returnml {VERSION}: {by}"
    root = Root(root_id=uuid.uuid4().hex, layout=LAYOUT, made_by=made_by, made_at=instant(clock.now_us()), keyring=keyring)
    paths.root.mkdir(parents=True, exist_ok=True)
    create_whole(paths.root / ROOT_FILE, readable_json(root))
    return read_root(paths.root)  # of two that were made at once, one stands
