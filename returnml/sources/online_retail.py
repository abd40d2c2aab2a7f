"""Reads the Online Retail files (UCI 352, Chen 2015) and maps every raw row to the delivered streams.

What belongs here: reading and mapping. Dirty rows pass through; the contract decides about them later. How a return
finds its order line is in :mod:`returnml.sources.online_retail_linking`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from pathlib import Path

import polars as pl

from returnml.clock import Clock
from returnml.contracts.columns import ORDERS, RETURNS
from returnml.privacy.customers import CustomerIds
from returnml.sources.delivery import Delivered, Words, deliver
from returnml.sources.delivery_plan import Draft
from returnml.sources.exports.table_reading import FILE, ROW, read_table
from returnml.sources.import_error import SourceError
from returnml.sources.landing_writer import Progress, silent
from returnml.sources.online_retail_linking import Coverage, link_returns
from returnml.sources.replacement import utc_days

RAW_COLUMNS = ("InvoiceNo", "StockCode", "Description", "Quantity", "InvoiceDate", "UnitPrice", "CustomerID", "Country")
CURRENCY = "GBP"
SOURCE = "online-retail"
_GOODS = r"^\d{5}"
_CUSTOMER = pl.col("CustomerID").cast(pl.Int64).cast(pl.String)
_NUMBERS = {"Quantity": pl.Int64, "UnitPrice": pl.Float64, "CustomerID": pl.Float64}


@dataclass(frozen=True)
class Imported:
    """What an import delivered."""

    rows: int
    orders: Delivered
    returns: Delivered
    coverage: Coverage


def read_files(folder: Path) -> pl.DataFrame:
    """All raw rows in file order, with ``file`` (name) and ``day``.

    Columns: the eight raw ones (numbers typed), ``at`` (UTC), ``file``, ``day`` (of the file's name).

    Raises:
        SourceError: where a file is empty, lacks a column or has an unknown one, or a value has the wrong type.
    """
    paths = sorted(folder.glob("*.csv"))
    if not paths:
        raise SourceError(folder, "no_files", "there are no .csv files")
    return pl.concat([_read_file(path) for path in paths])


def to_streams(raw: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame, Coverage]:
    """Map raw rows to (orders, returns) as delivered, with returns linked.

    A row is a return if its invoice number starts with ``C``, else an order line. ``n`` of the line's and the return's
    id is its rank within the invoice in file order, padded so that ids sort like the file.
    """
    rank = pl.int_range(1, pl.len() + 1).over("InvoiceNo")
    is_goods = pl.col("StockCode").str.contains(_GOODS)
    rows = raw.with_row_index("row").select(
        "row",
        pl.col("InvoiceNo").str.starts_with("C").alias("is_return"),
        pl.format("{}-{}", "InvoiceNo", rank.cast(pl.String).str.zfill(4)).alias("id"),
        pl.col("InvoiceNo").alias("order_id"),
        "at",
        _CUSTOMER.alias("customer_id"),
        pl.col("StockCode").alias("article_id"),
        pl.col("Quantity").alias("quantity"),
        (pl.col("UnitPrice") * 100).round(0).cast(pl.Int64).alias("unit_price_cents"),
        pl.when(is_goods).then(pl.col("StockCode").str.extract(r"^(\d+)")).otherwise("StockCode").alias("product_group"),
        pl.when(is_goods).then(pl.col("StockCode").str.extract(r"^\d+([A-Za-z]+)$")).alias("color"),
        pl.col("Country").alias("country"),
        is_goods.alias("is_goods"),
        pl.col("Description").alias("description"),
    )
    orders = rows.filter(~pl.col("is_return"))
    linked, coverage = link_returns(orders, rows.filter("is_return").with_columns(-pl.col("quantity")))
    currency = pl.lit(CURRENCY).alias("currency")
    return (
        orders.with_columns(currency).drop("row", "is_return").rename({"id": "line_id", "at": "ordered_at"}),
        linked.select(
            "return_id",
            pl.col("at").alias("returned_at"),
            "quantity",
            (pl.col("quantity") * pl.col("unit_price_cents")).alias("refund_cents"),
            currency,
            "line_id",
            "customer_id",
            "article_id",
            "is_goods",
            pl.col("order_id").alias("credit_note_id"),
            "country",
            "description",
        ),
        coverage,
    )


def import_online_retail(
    folder: Path,
    landing: Path,
    clock: Clock,
    customers: CustomerIds,
    progress: Progress = silent,
    *,
    words: Words = Words(),  # noqa: B008
    go_live_us: int | None = None,
) -> Imported:
    """Deliver all files of ``folder``; every raw row becomes one order line, or one return (two where it is split).

    Each file is all there is of its day, which it replaces.

    Args:
        customers: what customer ids become.
        words, go_live_us: see ``delivery.deliver``.
        progress: called before reading and after each delivered day of each stream.

    Raises:
        SourceError: see :func:`read_files`.
        DeliveryRefused, LandingError: see ``delivery.deliver``; in all cases nothing is delivered.
    """
    progress("reading", 0, 0)
    raw = read_files(folder)
    orders, returns, coverage = to_streams(raw)
    covered: list[date] = raw["day"].unique().sort().to_list()
    drafts = [
        Draft(stream, frame, has_own_ids=False, replaced=utc_days(covered), covered=covered)
        for stream, frame in ((ORDERS, orders), (RETURNS, returns))
    ]
    done = deliver(landing, drafts, SOURCE, clock, customers, go_live_us=go_live_us, words=words, progress=progress)
    return Imported(rows=raw.height, orders=done[0], returns=done[1], coverage=coverage)


def shop_customers(folder: Path) -> list[str]:
    """The ids of all customers, as the shop says them.

    Raises:
        SourceError: see :func:`read_files`.
    """
    return read_files(folder).select(_CUSTOMER.unique().sort()).to_series().drop_nulls().to_list()


def _read_file(path: Path) -> pl.DataFrame:
    text = read_table(path).drop(FILE, ROW)
    if not text.height:
        raise SourceError(path, "no_rows", "there is a header but no row")
    for column in RAW_COLUMNS:
        if column not in text.columns:
            raise SourceError(path, "required_column", "the column is missing", column=column)
    for column in text.columns:
        if column not in RAW_COLUMNS:
            raise SourceError(path, "unknown_column", f"expected only {', '.join(RAW_COLUMNS)}", column=column)
    text = text.with_columns(pl.when(pl.col(pl.String) != "").then(pl.col(pl.String)).name.keep())
    typed = text.with_columns(
        *(pl.col(name).cast(dtype, strict=False) for name, dtype in _NUMBERS.items()),
        pl.col("InvoiceDate").str.to_datetime("%Y-%m-%d %H:%M:%S", time_unit="us", strict=False).alias("at"),
    )
    for column in ("InvoiceNo", "StockCode", "Quantity", "InvoiceDate", "UnitPrice"):
        _refuse_nulls(path, text, typed["at" if column == "InvoiceDate" else column], column)
    lost = typed["CustomerID"].is_null() & text["CustomerID"].is_not_null()
    if lost.any():
        _refuse(path, text, "CustomerID", int(lost.arg_max() or 0))
    return typed.with_columns(pl.lit(path.name).alias("file"), pl.col("at").dt.date().alias("day"))


def _refuse_nulls(path: Path, text: pl.DataFrame, typed: pl.Series, column: str) -> None:
    if typed.null_count():
        _refuse(path, text, column, int(typed.is_null().arg_max() or 0))


def _refuse(path: Path, text: pl.DataFrame, column: str, index: int) -> None:
    value = text[column][index]
    shown = "no value" if value is None else f"cannot read {value!r}"
    raise SourceError(path, "value_type", shown, row=index + 1, column=column)
