"""returnml: which order lines will come back, what that will cost and what to do about it.

Importing this package alone stays light: no heavy library is imported here; :func:`open` imports what it needs. The Dagster
code location is ``returnml.definitions``; what is shared with serving is ``features``, ``ledger``, ``policy``, ``privacy``,
``reasons``, ``release``, ``store``, ``streaming``, ``tasks`` and the ground floor: ``clock``, ``files``, ``instants``,
``settings``, ``version``. Which package may import which is in ``docs/decisions/layout.md``.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from returnml.version import VERSION as __version__

if TYPE_CHECKING:
    from returnml.analysis.opened_shop import Shop

__all__ = ["__version__", "open"]


def open(root: str | Path | None = None) -> Shop:
    """A shop's data root for analysis: tables, features as of any moment, releases, decisions. It reads; it changes nothing.

    Args:
        root: the data root; default: the setting ``data``.

    Raises:
        NotPublished: where the line has published no copy of its tables yet.
        RootError: where the folder is no data root.
        SettingsError: where the settings cannot be read.

    Example:
        >>> import returnml
        >>> returnml.open("nowhere")  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        ...
        returnml.root.RootError: ...nowhere: is no data root...
    """
    from returnml.analysis.opened_shop import open_shop

    return open_shop(root)
