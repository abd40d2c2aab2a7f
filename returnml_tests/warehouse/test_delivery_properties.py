"""However an export is cut into files, in whatever order and however often they come, the same core tables come of it."""

from __future__ import annotations

import csv
from datetime import date, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from returnml.clock import VirtualClock
from returnml.contracts.columns import ORDERS, RETURNS
from returnml.privacy.customers import AS_DELIVERED
from returnml.settings import LabelSettings, Settings
from returnml.sources.made_ids import EqualRowsAsked
from returnml.sources.mapped.mapped_tables import Given, MappedImport, import_mapped
from returnml.warehouse.ingest.raw_streams import ingest_raw
from returnml.warehouse.ingest.validate import build_core
from returnml.warehouse.partition import open_warehouse

pytestmark = pytest.mark.slow

ZONES = ("UTC", "Europe/Berlin", "America/Los_Angeles", "Asia/Kolkata")
FIRST, LAST = date(2025, 10, 24), date(2025, 10, 29)  # Berlin sets its clocks back on the 26th
MAPPING = """shop = "s"
timezone = "{zone}"
[orders.columns]
line_id = {line}
order_id = "order"
ordered_at = "at"
customer_id = "who"
article_id = "what"
quantity = "n"
unit_price_cents = "price"
[orders.constants]
currency = "EUR"
[returns.columns]
return_id = "back"
returned_at = "at"
line_id = "line"
quantity = "n"
refund_cents = "price"
[returns.constants]
currency = "EUR"
"""
OWN_IDS = '"line"'
MADE_IDS = '["order", "#"]'

_times = st.builds(
    lambda day, minutes: datetime(2025, 10, 25) + timedelta(days=day, minutes=minutes),
    st.integers(0, 2),
    st.sampled_from([0, 30, 90, 150, 600, 1080, 1409, 1439]),
)
_order = st.fixed_dictionaries(
    {
        "order": st.sampled_from(["o1", "o2"]),
        "at": _times,
        "who": st.sampled_from(["c1", "c2", ""]),
        "what": st.sampled_from(["a1", "a2"]),
        "n": st.integers(0, 2),
        "price": st.just(5),
        "note": st.sampled_from(["", "x"]),
    }
)
_return = st.fixed_dictionaries(
    {"line": st.sampled_from(["l0", "l1", "l2", "nowhere"]), "at": _times, "n": st.integers(0, 2), "price": st.just(5)}
)


class Imports:
    """One shop that hands over files."""

    def __init__(self, folder: Path, zone: str, line: str) -> None:
        self.folder, self.landing = folder, folder / "landing"
        folder.mkdir(exist_ok=True)
        self.mapping = folder / "mapping.toml"
        self.mapping.write_text(MAPPING.format(zone=zone, line=line))
        self.clock = VirtualClock(1)

    def hand_over(self, orders: list[dict[str, Any]], returns: list[dict[str, Any]] = (), **more: Any) -> MappedImport:  # type: ignore[assignment]
        files = [self._write(name, rows) if rows else None for name, rows in (("orders", orders), ("returns", returns))]
        self.clock.advance_to(self.clock.now_us() + 1)
        assert files[0] is not None
        tables = {"orders": files[0]} | ({} if files[1] is None else {"returns": files[1]})
        given = Given(self.mapping, tables)
        return import_mapped(given, self.landing, LabelSettings(), self.clock, AS_DELIVERED, **more)

    def core(self, *streams: str) -> list[list[tuple]]:
        """The core tables, but where each row was found."""
        with open_warehouse(":memory:", threads=1) as con:
            for stream in (ORDERS, RETURNS):
                ingest_raw(con, stream, FIRST, LAST, self.landing, Settings())
                build_core(con, stream, FIRST, LAST)
            return [
                con.execute(f"SELECT * EXCLUDE (file, version, row_number) FROM core.{name} ORDER BY ALL").fetchall()
                for name in streams or ("orders", "returns")
            ]

    def files(self) -> list[str]:
        return sorted(path.relative_to(self.landing).as_posix() for path in self.landing.rglob("*") if path.is_file())

    def _write(self, name: str, rows: list[dict[str, Any]]) -> Path:
        path = self.folder / f"{name}.csv"
        with open(path, "w", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
        return path


def _numbered(rows: list[dict], column: str, letter: str) -> list[dict]:
    return [{column: f"{letter}{n}", **row} for n, row in enumerate(rows)]


@settings(max_examples=12)
@given(
    st.sampled_from(ZONES),
    st.lists(_order, min_size=1, max_size=8),
    st.lists(_return, max_size=5),
    st.data(),
)
def test_any_split_in_any_order_once_or_twice_gives_the_same_core_tables(
    zone: str, orders: list[dict], returns: list[dict], data: st.DataObject
) -> None:
    lines, backs = _numbered(orders, "line", "l"), _numbered(returns, "back", "r")
    place = st.integers(0, 2)
    parts: dict[int, tuple[list[dict], list[dict]]] = {}
    for row in lines:
        parts.setdefault(data.draw(place), ([], []))[0].append(row)
    for row in backs:  # a file of returns comes with one of orders
        parts[data.draw(st.sampled_from(sorted(parts)))][1].append(row)
    once = data.draw(st.permutations(sorted(parts)))
    again = data.draw(st.lists(st.sampled_from(once), max_size=2))
    with TemporaryDirectory() as folder:
        whole, cut = Imports(Path(folder, "whole"), zone, OWN_IDS), Imports(Path(folder, "cut"), zone, OWN_IDS)
        whole.hand_over(lines, backs)
        for part in once:
            done = cut.hand_over(*parts[part])
            assert (done.orders.new, done.orders.lost) == (len(parts[part][0]), 0)
        before = cut.files()
        for part in again:
            done = cut.hand_over(*parts[part])
            assert (done.orders.unchanged, done.orders.days_written, done.orders.lost) == (len(parts[part][0]), 0, 0)
        assert cut.files() == before
        assert cut.core() == whole.core()


@settings(max_examples=8)
@given(st.sampled_from(ZONES), st.lists(_order, min_size=1, max_size=6), st.lists(_order, min_size=1, max_size=6))
def test_without_ids_the_same_file_twice_changes_nothing_and_equal_rows_across_files_are_counted_and_asked_for(
    zone: str, first: list[dict], second: list[dict]
) -> None:
    second = [row | {"order": f"{row['order']}-b"} for row in second] + first[:1]
    with TemporaryDirectory() as folder:
        shop = Imports(Path(folder), zone, MADE_IDS)
        shop.hand_over(first)
        before = shop.files()
        again = shop.hand_over(first).orders
        assert (again.unchanged, again.days_written, shop.files()) == (len(first), 0, before)

        with pytest.raises(EqualRowsAsked, match=r"of \d+ rows 1 were delivered before with the same values and 0 have"):
            shop.hand_over(second)
        assert shop.files() == before
