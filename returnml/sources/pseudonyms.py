"""Takes the shop's customer ids out of a frame that is about to be delivered."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from returnml.contracts.columns import ORDERS, DeliveredStream
from returnml.privacy.customers import IS_PSEUDONYM, CustomerIds
from returnml.sources.import_error import SourceError
from returnml.sources.landing import history

COLUMN = "customer_id"


def pseudonymised(stream: DeliveredStream, frame: pl.DataFrame, customers: CustomerIds) -> pl.DataFrame:
    """The frame with pseudonyms for customer ids; new customers are registered. Missing and blank ids stay.

    What comes back of a line whose customer was forgotten lies under the line's old pseudonym, whoever it names: a new
    pseudonym beside an old line would link the two.

    Raises:
        SourceError: where ids are pseudonyms already: an export of ours is no delivery of the shop's.
    """
    if not customers.is_mapped or COLUMN not in stream.column_names or COLUMN not in frame.columns:
        return frame
    ids = frame[COLUMN].cast(pl.String)
    _refuse_pseudonyms(stream, ids, customers)
    forgotten = pl.Series(COLUMN, [None] * frame.height, pl.String)
    if stream.id_column != "line_id" and "line_id" in frame.columns and (lines := customers.forgotten_lines()):
        owners = frame["line_id"].cast(pl.String).replace_strict(lines, default=None, return_dtype=pl.String)
        forgotten = owners.set(ids.is_null(), None).alias(COLUMN)
    named = ids.filter(forgotten.is_null()).unique(maintain_order=True).drop_nulls()
    named = named.filter(named.str.strip_chars() != "")
    pseudonyms = ids.replace(dict(customers.register(named.to_list())))
    return frame.with_columns(pl.select(pl.coalesce(forgotten, pseudonyms)).to_series().alias(COLUMN))


def _refuse_pseudonyms(stream: DeliveredStream, ids: pl.Series, customers: CustomerIds) -> None:
    wrong = {customer_id for customer_id in ids.drop_nulls().unique() if customers.misnamed(customer_id)}
    if wrong:
        rows = ids.is_in(list(wrong)).arg_true()
        why = customers.misnamed(ids[rows[0]])
        message = f"{why} ({len(rows)} rows of {len(wrong)} customers, the first is row {rows[0] + 1})"
        raise SourceError(stream.name, IS_PSEUDONYM, message, row=rows[0] + 1, column=COLUMN)


def lines_of(landing: Path, pseudonym: str) -> list[str]:
    """The order lines that any delivered version has under a pseudonym.

    Raises:
        LandingError: where the landing folder cannot be read unambiguously.
    """
    lines: set[str] = set()
    for file in history(landing, ORDERS.name):
        own = pl.scan_parquet(file.path, glob=False).filter(pl.col(COLUMN) == pseudonym).select("line_id").collect()
        lines.update(own["line_id"].drop_nulls())
    return sorted(lines)
