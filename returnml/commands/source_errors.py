"""What commands about landing files refuse."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from returnml.commands.refusal import refuse
from returnml.settings import SettingsError


@contextmanager
def source_refused(as_json: bool) -> Iterator[None]:
    """Turn what a user can cause into one line on stderr and exit code 2."""
    from returnml.clock import ClockError
    from returnml.privacy.keyring import KeyringError
    from returnml.sources.delivery import DeliveryRefused
    from returnml.sources.import_error import SourceError
    from returnml.sources.landing import LandingError
    from returnml.sources.made_ids import EqualRowsAsked

    # all are ValueErrors, as is what a frame that does not fit raises; that one is our defect and stays a traceback
    try:
        yield
    except (SourceError, DeliveryRefused, EqualRowsAsked, LandingError, SettingsError, ClockError, KeyringError) as error:
        refuse(str(error), as_json)
