"""The root's identity, and the keyring that belongs to it."""

from __future__ import annotations

from collections.abc import Iterator

from returnml.clock import Clock
from returnml.findings import Finding
from returnml.privacy.customers import open_customers, open_keyring
from returnml.privacy.keyring import KeyringError
from returnml.root import UPGRADE_FILE, NotUpgraded, RootError, read_root
from returnml.settings import Settings


def find(settings: Settings, clock: Clock) -> Iterator[Finding]:
    """``root.json`` against this code, the keyring against ``root.json``."""
    root = settings.paths.root
    try:
        read_root(root)
    except NotUpgraded as error:
        meaning = "Every other command refuses it."
        yield Finding(code="root_not_upgraded", what=str(error), meaning=meaning, mend="returnml upgrade --yes")
        return
    except RootError as error:
        meaning = "Every other command refuses it, so that nothing is answered from an empty or another folder."
        mend = "name the right folder (--data), or bring root.json back from a backup or another host of this root"
        yield Finding(code="no_root", what=str(error), meaning=meaning, mend=mend, is_command=False)
        return
    if (root / UPGRADE_FILE).exists():
        what, meaning = "an upgrade was begun and is not done", "What it has not come to is of the version before."
        yield Finding(
            code="upgrade_unfinished", where=str(root / UPGRADE_FILE), what=what, meaning=meaning, mend="returnml upgrade --yes"
        )
    try:
        if settings.privacy.customer_ids == "pseudonymise":
            open_keyring(settings).close()
        else:
            open_customers(settings)
    except KeyringError as error:
        meaning = "Nothing is imported, taken in or scored: every known customer would be a stranger."
        mend = f"bring {settings.paths.keys} back from its backup, or privacy.customer_ids to what the root was made with"
        yield Finding(code="keyring_unusable", what=str(error), meaning=meaning, mend=mend, is_command=False)
