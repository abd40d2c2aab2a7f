"""Whose a store is. Several data roots may reach one server, and folders are copied: nobody answers from another shop's."""

from __future__ import annotations

from pathlib import Path

from returnml.root import ROOT_FILE, RootError, read_root
from returnml.store.generation_manifest import StoreError

NOBODY = ""
"""The owner of a store that lies in no data root: a benchmark's, a test's."""


class ForeignStore(StoreError):
    """A store, or a generation, of another data root."""


def owner_beside(store_root: Path) -> str:
    """The id of the data root that a store's folder lies in, like the ledger.

    Raises:
        StoreError: where its identity cannot be read.
    """
    if not (store_root.parent / ROOT_FILE).exists():
        return NOBODY
    try:
        return read_root(store_root.parent).root_id
    except RootError as error:
        raise StoreError(str(error)) from error


def require_owned(found: str, owner: str, where: object) -> None:
    """Refuse what another data root owns.

    Args:
        found: whose it says that it is.
        owner: who asks.
        where: it is, for the message.

    Raises:
        ForeignStore: naming both.
    """
    if found != owner:
        raise ForeignStore(f"{where}: is of {_named(found)}, and this is {_named(owner)}")


def _named(owner: str) -> str:
    return f"data root {owner[:12]}" if owner else "no data root"
