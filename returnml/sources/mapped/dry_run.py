"""What an import would deliver, for a person to look at before it does."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import polars as pl

from returnml.contracts.columns import ORDERS, RETURNS, DeliveredStream
from returnml.contracts.validated import needed_columns, row_failures
from returnml.sources.delivered_frame import to_delivered
from returnml.sources.mapped.mapped_columns import MappedTable
from returnml.sources.mapped.mapped_tables import Prepared


@dataclass(frozen=True)
class TableSummary:
    """One stream of an import.

    Attributes:
        read: rows of the files; ``left_out``: by condition of the mapping; ``refused``: by rule, that cannot be read.
        rows: that would be delivered; ``quarantined``: by rule, those of them that the contract will refuse (a row may
            break several).
        first, last: times, in UTC.
        money: by column and currency: least, median, greatest, sum, in minor units.
        missing: by contract column, rows without a value.
        carried: columns that are carried along; ``unused``: those that are not delivered.
        lookups: by table, rows that found theirs.
        second_readings: what another reading of a column would change.
    """

    stream: str
    read: int
    left_out: dict[str, int]
    refused: dict[str, int]
    rows: int
    quarantined: dict[str, int]
    first: str | None
    last: str | None
    money: dict[str, tuple[int, int, int, int]]
    missing: dict[str, int]
    guests: int
    carried: tuple[str, ...]
    unused: tuple[str, ...]
    lookups: dict[str, int]
    second_readings: tuple[str, ...]

    def lines(self) -> list[str]:
        """For a person."""
        said = [f"{self.stream}: {self.rows:,} of {self.read:,} rows would be delivered, {self.first} to {self.last} (UTC)"]
        said += [f"  left out: {n:,} rows that are not {condition}" for condition, n in self.left_out.items()]
        said += [f"  cannot be read: {n:,} {rule}" for rule, n in self.refused.items()]
        said += [f"  would end in quarantine: {n:,} {rule}" for rule, n in self.quarantined.items()]
        said += [f"  {of}: {a:,} to {c:,}, median {b:,}, sum {d:,} (minor units)" for of, (a, b, c, d) in self.money.items()]
        said += [f"  no value: {name} in {n:,} rows" for name, n in self.missing.items()]
        said += [f"  {self.guests:,} rows without a customer: each order is one's own"] if self.guests else []
        said += [f"  {n:,} rows found theirs in {table}" for table, n in self.lookups.items()]
        said.append(f"  carried along as text: {', '.join(self.carried) or 'nothing'}")
        said.append(f"  not delivered: {', '.join(self.unused) or 'no column'}")
        return said + [f"  second reading: {reading}" for reading in self.second_readings]


@dataclass(frozen=True)
class Summary:
    """An import as it would be."""

    tables: tuple[TableSummary, ...]
    coverage: str | None
    warnings: tuple[str, ...]

    def text(self) -> str:
        """For a person."""
        lines = [line for table in self.tables for line in table.lines()]
        lines += [self.coverage] if self.coverage else []
        lines += [f"warning: {warning}" for warning in self.warnings]
        return "\n".join([*lines, "nothing was delivered (--dry-run)"])

    def as_json(self) -> dict[str, object]:
        """For a program."""
        return asdict(self)


def summary(prepared: Prepared) -> Summary:
    """What a prepared import would deliver."""
    tables = [_table(ORDERS, prepared.orders, prepared.mapped_orders)]
    if prepared.returns is not None and prepared.mapped_returns is not None:
        tables.append(_table(RETURNS, prepared.returns, prepared.mapped_returns))
    readings = {f"{table.stream}.{reading}" for table in tables for reading in table.second_readings}
    warnings = tuple(warning for warning in prepared.warnings if warning not in readings)
    return Summary(tuple(tables), None if prepared.coverage is None else str(prepared.coverage), warnings)


def _table(stream: DeliveredStream, rows: pl.DataFrame, mapped: MappedTable) -> TableSummary:
    delivered = to_delivered(stream, rows)
    times = delivered[stream.time_column]
    money = {}
    for name in (c.name for c in stream.columns if c.name.endswith("_cents")):
        for (currency,), part in delivered.drop_nulls(name).group_by(["currency"], maintain_order=True):
            own = part[name].sort().to_list()
            money[f"{name} {currency}"] = (own[0], own[len(own) // 2], own[-1], sum(own))
    missing = {c.name: delivered[c.name].null_count() for c in stream.columns if c.name in rows.columns}
    return TableSummary(
        stream=stream.name,
        read=mapped.chosen.read,
        left_out=mapped.chosen.left_out,
        refused=mapped.refusals.counts,
        rows=rows.height,
        quarantined=_quarantined(stream, delivered),
        first=str(times.min()) if rows.height else None,
        last=str(times.max()) if rows.height else None,
        money=money,
        missing={name: n for name, n in missing.items() if n},
        guests=mapped.guests,
        carried=mapped.carried,
        unused=mapped.left_out,
        lookups=mapped.chosen.lookups,
        second_readings=tuple(str(reading) for reading in mapped.second_readings),
    )


def _quarantined(stream: DeliveredStream, delivered: pl.DataFrame) -> dict[str, int]:
    at = pl.col(stream.time_column)
    raw = delivered.with_columns(uncast=pl.lit(None, pl.String), is_imported=pl.lit(True), known_at=at, known_day=at.dt.date())
    failures = row_failures(stream, raw.select(name for name in needed_columns(stream) if name in raw.columns))
    counts = failures.group_by("rule").len().sort("rule")
    return dict(zip(counts["rule"], counts["len"], strict=True))
