"""Imports any shop's tables through a declared mapping.

Values that cannot be read refuse the whole import before anything is delivered, naming file, row, column and rule, or their rows
are set aside.
Values that can be read but make no sense (a negative quantity, no customer) pass: the contract decides about them.
"""

from __future__ import annotations

from collections.abc import Mapping as Tables
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import polars as pl

from returnml.clock import Clock
from returnml.contracts.columns import ORDERS, RETURNS, DeliveredStream
from returnml.privacy.customers import CustomerIds
from returnml.settings import LabelSettings
from returnml.sources.delivery import Delivered, DeliveryRefused, Words, deliver
from returnml.sources.delivery_plan import Draft
from returnml.sources.exports.csv_rows import BadRow
from returnml.sources.exports.database_rows import Mark, query_rows
from returnml.sources.exports.notation import Notation
from returnml.sources.exports.table_reading import FILE, ROW, FileFormat, read_table
from returnml.sources.import_error import SourceError
from returnml.sources.landing_writer import Progress, silent
from returnml.sources.mapped.flags import settle_flags
from returnml.sources.mapped.landed_lines import landed_lines, landed_returns
from returnml.sources.mapped.linking import LINE_COLUMNS, Coverage, link_returns
from returnml.sources.mapped.mapped_columns import MappedTable, map_table
from returnml.sources.mapped.mapping import Mapping, TableMapping, has_flag, load_mapping
from returnml.sources.mapped.mapping_words import ROW_NUMBER
from returnml.sources.mapped.marks import read_marks, write_marks
from returnml.sources.mapped.personal_data import personal_columns
from returnml.sources.mapped.refusals import BadRows, RefusedRow
from returnml.sources.mapped.refused_rows import write_refused
from returnml.sources.plausible_days import plausible_days
from returnml.sources.replacement import Replacement, parse_period

NO_OUTCOMES = (
    "no file of returns and no flag: this import says nothing about what came back. Until returns are delivered, as a file or as "
    "events, nothing is learnt from its lines"
)


@dataclass(frozen=True)
class Given:
    """What a person gives to an import.

    Attributes:
        mapping_file: the declared mapping.
        tables: by name the files; ``orders``, ``returns`` where they have files of their own, and what is looked up.
        file_format: of all of them; None: by their names.
        timezone: the shop's, where the mapping has none of its own.
        exported_at: overrules the mapping's.
        bad_rows: what becomes of rows with values that cannot be read.
        database: URL of SQLAlchemy that the queries of the mapping are asked of, in place of files.
        replaced: the period of local days that the files are all there is of (``replacement.parse_period``); None appends.
    """

    mapping_file: Path
    tables: Tables[str, Path]
    file_format: FileFormat | None = None
    timezone: str = "UTC"
    exported_at: str | None = None
    bad_rows: BadRows = "refuse"
    replaced: str | None = None
    database: str | None = None


@dataclass(frozen=True)
class Prepared:
    """An import that is ready to be delivered, or to be looked at.

    Attributes:
        period: the days that are replaced.
        orders, returns: with the types of the contract; ``mapped_orders``, ``mapped_returns``: what became of the tables.
        coverage: of the returns that had to be linked.
        young_flags: lines whose flag was not final when the file was written.
        blank_flags: lines whose flag was final and blank, and was read as the mapping's ``blank_flag`` says.
        marks: by stream, how far a database was read.
        warnings: what a person should know: values that could be read in another way, outcomes that nobody tells.
    """

    mapping: Mapping
    period: Replacement | None
    orders: pl.DataFrame
    mapped_orders: MappedTable
    returns: pl.DataFrame | None
    mapped_returns: MappedTable | None
    coverage: Coverage | None
    young_flags: int
    blank_flags: int
    marks: Tables[str, Mark]
    warnings: tuple[str, ...]

    @property
    def refused(self) -> list[RefusedRow]:
        """The rows that were set aside."""
        tables = [self.mapped_orders] + ([] if self.mapped_returns is None else [self.mapped_returns])
        return [row for table in tables for row in table.refusals.rows]


@dataclass(frozen=True)
class MappedImport:
    """What was delivered; the other fields as in :class:`Prepared`.

    Attributes:
        has_only_flags: the shop says per line that it was returned, and not when.
        refused: by rule, rows that were set aside; ``refused_file``: where they are named.
    """

    orders: Delivered
    returns: Delivered | None
    has_only_flags: bool
    young_flags: int
    blank_flags: int
    coverage: Coverage | None
    refused: dict[str, int]
    refused_file: str | None
    warnings: tuple[str, ...]


def import_mapped(
    given: Given,
    landing: Path,
    label: LabelSettings,
    clock: Clock,
    customers: CustomerIds,
    *,
    words: Words = Words(),  # noqa: B008
    go_live_us: int | None = None,
    progress: Progress = silent,
) -> MappedImport:
    """Read, map and deliver a shop's orders and, where it has them, returns.

    Args:
        words, go_live_us: see ``delivery.deliver``.

    Raises:
        SourceError: naming file, row, column and rule.
        DeliveryRefused, EqualRowsAsked, LandingError: see ``delivery.deliver``; in all cases nothing is delivered.
    """
    prepared = prepare(given, landing, label, clock)
    mapping, orders, returns = prepared.mapping, prepared.orders, prepared.returns
    covered: list[date] = [] if returns is None else orders["ordered_at"].dt.date().unique().to_list()
    drafts = [Draft(ORDERS, orders, _has_own_ids(ORDERS, mapping.orders), prepared.period)]
    if returns is not None and mapping.returns is not None:
        drafts.append(Draft(RETURNS, returns, _has_own_ids(RETURNS, mapping.returns), prepared.period, covered))
    source = f"import {'files' if given.database is None else 'database'} {mapping.shop}"
    done = deliver(landing, drafts, source, clock, customers, go_live_us=go_live_us, words=words, progress=progress)
    write_marks(landing, mapping.shop, prepared.marks)
    refused_file = write_refused(landing, prepared.refused, clock) if prepared.refused else None
    counts: dict[str, int] = {}
    for row in prepared.refused:
        counts[row.rule] = counts.get(row.rule, 0) + 1
    return MappedImport(
        orders=done[0],
        returns=done[1] if len(done) > 1 else None,
        has_only_flags=has_flag(mapping),
        young_flags=prepared.young_flags,
        blank_flags=prepared.blank_flags,
        coverage=prepared.coverage,
        refused=counts,
        refused_file=None if refused_file is None else str(refused_file),
        warnings=prepared.warnings,
    )


def prepare(given: Given, landing: Path, label: LabelSettings, clock: Clock) -> Prepared:
    """Read and map, and deliver nothing.

    Args:
        landing: order lines that returns may be of stand there, too.

    Raises:
        SourceError, DeliveryRefused: see :func:`import_mapped`.
    """
    mapping = load_mapping(given.mapping_file, given.timezone, given.exported_at)
    try:
        period = None if given.replaced is None else parse_period(given.replaced, mapping.timezone)
    except ValueError as error:
        raise DeliveryRefused(str(error)) from error
    if "returns" in given.tables and mapping.returns is None and not _is_looked_up("returns", mapping):
        raise SourceError(given.mapping_file, "unmapped_table", "the mapping has no [returns]", column="returns")
    reader = _Reader(given, mapping, read_marks(landing, mapping.shop))
    mapped_orders = reader.mapped(ORDERS, mapping.orders)
    if not mapped_orders.chosen.read and given.database is None:
        raise SourceError(given.tables["orders"], "no_rows", "there is no row")
    orders, young, blank = mapped_orders.rows, 0, 0
    warnings = _told(ORDERS, mapped_orders)
    if has_flag(mapping):
        settled = settle_flags(orders, mapping, given.mapping_file, label, clock.now_us())
        orders, young, blank = settled.orders, settled.young, settled.blank
    returns, mapped_returns, coverage = None, None, None
    if mapping.returns is not None and _has_returns(given, mapping.returns):
        mapped_returns = reader.mapped(RETURNS, mapping.returns)
        returns = mapped_returns.rows
        warnings += _told(RETURNS, mapped_returns)
        if mapping.returns.link is not None:
            own = orders.select(name for name in LINE_COLUMNS if name in orders.columns)
            before = landed_returns(landing, returns["return_id"])
            lines = landed_lines(landing, own, returns)
            returns, coverage = link_returns(returns, mapping.returns.link, lines, before)
    elif not has_flag(mapping):
        warnings.append(NO_OUTCOMES)
    warnings += _far_rows(ORDERS, orders) + ([] if returns is None else _far_rows(RETURNS, returns))
    return Prepared(
        mapping=mapping,
        period=period,
        orders=orders.drop(FILE, ROW),
        mapped_orders=mapped_orders,
        returns=None if returns is None else returns.drop(FILE, ROW),
        mapped_returns=mapped_returns,
        coverage=coverage,
        young_flags=young,
        blank_flags=blank,
        marks=reader.marks,
        warnings=tuple(warnings),
    )


class _Reader:
    """Reads each table once for each way in which it is unnested."""

    def __init__(self, given: Given, mapping: Mapping, before: Tables[str, Mark]) -> None:
        self._given, self._mapping, self._before = given, mapping, before
        self.marks: dict[str, Mark] = {}
        self._read: dict[tuple[str, tuple[str, ...]], tuple[pl.DataFrame, dict[str, list[BadRow]]]] = {}

    def mapped(self, stream: DeliveredStream, table: TableMapping) -> MappedTable:
        raw, unplaced = self._table(table.source or stream.name, table)
        names = [lookup.table for lookup in table.lookup if lookup.table in self._given.tables]
        own = {"orders": self._mapping.orders, "returns": self._mapping.returns}
        looked_up = {name: self._table(name, own.get(name))[0] for name in names}
        return map_table(raw, stream, table, self._mapping, tables=looked_up, bad_rows=self._given.bad_rows, unplaced=unplaced)

    def _table(self, name: str, table: TableMapping | None) -> tuple[pl.DataFrame, dict[str, list[BadRow]]]:
        mapping, given = self._mapping, self._given
        if given.database is not None:
            return self._answer(given.database, name, table), {}
        if name not in given.tables:
            raise SourceError(given.mapping_file, "no_table", f"asks for the table {name!r}, given are {', '.join(given.tables)}")
        unnest = () if table is None else table.unnest
        key = (name, unnest)
        if key not in self._read:
            # tables that are taken apart in the same way share what they read, each of them its own columns
            wanted = tuple(dict.fromkeys(column for t in (mapping.orders, mapping.returns) if t is not None for column in t.used))
            wanted += tuple(column.removeprefix(f"{name}.") for column in wanted if column.startswith(f"{name}."))
            notation = Notation(mapping.separator, mapping.encoding, mapping.decimal, unnest, wanted if unnest else ())
            bad: dict[str, list[BadRow]] | None = {} if given.bad_rows == "quarantine" else None
            sheet = None if table is None else table.sheet
            frame = read_table(given.tables[name], notation, given.file_format, sheet=sheet, bad_rows=bad)
            self._read[key] = frame, bad or {}
        return self._read[key]

    def _answer(self, url: str, name: str, table: TableMapping | None) -> pl.DataFrame:
        query = None if table is None else table.query
        if table is None or query is None:
            raise SourceError(self._given.mapping_file, "no_query", "a database is asked by its query", column=f"{name}.query")
        mark = self._before.get(name, table.mark_start) if table.mark is not None else None
        answer = query_rows(url, name, query, self._mapping.decimal, table.mark, mark)
        if answer.mark is not None:
            self.marks[name] = answer.mark
        numbers = pl.int_range(1, answer.rows.height + 1, dtype=pl.UInt32, eager=True)
        return answer.rows.with_columns(pl.lit(f"query of {name}").cast(pl.Categorical).alias(FILE), numbers.alias(ROW))


def _has_returns(given: Given, table: TableMapping) -> bool:
    return table.source is not None or "returns" in given.tables or (given.database is not None and table.query is not None)


def _is_looked_up(name: str, mapping: Mapping) -> bool:
    return any(lookup.table == name for lookup in mapping.orders.lookup)


def _has_own_ids(stream: DeliveredStream, table: TableMapping) -> bool:
    return ROW_NUMBER not in table.sources(stream.id_column)


def _told(stream: DeliveredStream, mapped: MappedTable) -> list[str]:
    told = [f"{stream.name}.{reading}" for reading in mapped.second_readings]
    for column, why in personal_columns(mapped.rows.select(mapped.carried)).items():
        told.append(f"{stream.name}: {column!r} is carried along as it is and {why}: personal data? leave it out of carry")
    for table, found in mapped.chosen.lookups.items():
        rows = mapped.chosen.read
        if found < rows:
            told.append(
                f"{stream.name}: of {rows:,} rows {rows - found:,} have no row in {table}: its columns have no value for them"
            )
    return told


def _far_rows(stream: DeliveredStream, rows: pl.DataFrame) -> list[str]:
    day = rows[stream.time_column].dt.date()
    if not rows.height:
        return []
    _, far = plausible_days(day.unique().to_list())
    is_far = day.is_in(far)
    if not far:
        return []
    at = int(is_far.arg_max() or 0)
    which = f"{int(is_far.sum()):,} rows lie more than a year away from the others, first {day[at]} in row {rows[ROW][at]}"
    return [f"{stream.name}.{stream.time_column}: {which}: runs leave their days out unless the setting first_day takes them in"]
