"""The flag of shops that only say per line that it was returned: when it is final, and what a blank one means."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import polars as pl

from returnml.contracts.columns import OPEN_FLAG
from returnml.instants import instant
from returnml.ledger.validator import MAX_AHEAD
from returnml.settings import LabelSettings
from returnml.sources.exports.table_reading import FILE, ROW
from returnml.sources.import_error import SourceError
from returnml.sources.mapped.mapping import Mapping
from returnml.sources.mapped.values import to_instant

_KEPT = "kept"


@dataclass(frozen=True)
class SettledFlags:
    """Orders whose flag says what is known: true, false, or null with ``OPEN_FLAG``.

    Attributes:
        young: lines whose flag was not final when the file was written and was left out.
        blank: lines whose flag was final and blank, and was read as the mapping says.
    """

    orders: pl.DataFrame
    young: int
    blank: int


def settle_flags(orders: pl.DataFrame, mapping: Mapping, mapping_file: Path, label: LabelSettings, now_us: int) -> SettledFlags:
    """Leave out what was not final when the file was written, and read blank flags as the mapping says.

    Args:
        orders: with ``ordered_at``, ``is_returned``, ``FILE`` and ``ROW``.
        now_us: microseconds since the epoch; nothing was exported later.

    Raises:
        SourceError: where the time of the export cannot be read or lies in the future, or where final flags are blank and the
            mapping does not say what that means.
    """
    exported = pl.select(to_instant(pl.lit(mapping.exported_at), mapping, None)).item()
    if exported is None:
        raise SourceError(mapping_file, "mapping_field", f"cannot read {mapping.exported_at!r} as a time", column="exported_at")
    now = instant(now_us).replace(tzinfo=None)
    if exported > now + MAX_AHEAD:
        message = (
            f"{mapping.exported_at!r} is after now ({now:%Y-%m-%d %H:%M} UTC): flags that are not final yet would count as final"
        )
        raise SourceError(mapping_file, "export_in_future", message, column="exported_at")
    flag, is_final = pl.col("is_returned"), pl.col("ordered_at") + pl.duration(days=label.window_days) <= exported
    is_blank = orders.select(is_final & flag.is_null()).to_series()
    blank, final = int(is_blank.sum()), orders.filter(is_final).height
    if blank and mapping.blank_flag is None:
        raise SourceError(
            str(orders[FILE][int(is_blank.arg_max() or 0)]),
            "blank_flag",
            f"{blank:,} of the {final:,} lines whose return window was over have no flag, this one first: say in the mapping "
            'what that means, blank_flag = "kept" or "unknown"',
            row=orders[ROW][int(is_blank.arg_max() or 0)],
            column="-".join(mapping.orders.sources("is_returned")),
        )
    told = flag.fill_null(False) if mapping.blank_flag == _KEPT else flag
    young = orders.filter(~is_final & flag.is_not_null()).height
    settled = orders.with_columns(is_returned=pl.when(is_final).then(told))
    return SettledFlags(settled.with_columns(pl.col("is_returned").is_null().alias(OPEN_FLAG)), young, blank)
