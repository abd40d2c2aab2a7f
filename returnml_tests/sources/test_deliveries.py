"""What deliveries do to each other: nothing is lost, replaced or taken for the same without a word."""

from __future__ import annotations

import os
from datetime import date, datetime
from pathlib import Path

import polars as pl
import pytest

from returnml.clock import VirtualClock
from returnml.contracts.columns import STREAMS
from returnml.instants import day_us
from returnml.privacy.customers import AS_DELIVERED
from returnml.settings import LabelSettings
from returnml.sources import landing_writer
from returnml.sources.day_rows import day_rows
from returnml.sources.delivery import Delivered, DeliveryRefused, Words
from returnml.sources.landing import LandingError, history, records, standing
from returnml.sources.made_ids import EqualRows, EqualRowsAsked
from returnml.sources.mapped.mapped_tables import Given, MappedImport, import_mapped
from returnml.sources.replacement import parse_period

MAPPING = """shop = "s"
timezone = "Europe/Berlin"
[orders.columns]
line_id = "id"
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
line_id = "id"
quantity = "n"
refund_cents = "price"
[returns.constants]
currency = "EUR"
"""
MADE = MAPPING.replace('line_id = "id"\norder_id', 'line_id = ["order", "#"]\norder_id')
MON = {"l1": "2025-02-01 00:30", "l2": "2025-02-01 10:00", "l3": "2025-02-01 18:00"}
TUE = {"l4": "2025-02-02 00:30", "l5": "2025-02-02 10:00"}
JAN31, FEB1, FEB2 = date(2025, 1, 31), date(2025, 2, 1), date(2025, 2, 2)


class Source:
    """A shop in Berlin that hands over files."""

    def __init__(self, folder: Path, mapping: str = MAPPING) -> None:
        self.folder, self.landing, self.clock = folder, folder / "landing", VirtualClock(1)
        (folder / "mapping.toml").write_text(mapping)

    def orders(
        self,
        lines: dict[str, str],
        returns: dict[str, str] | None = None,
        n: int = 1,
        replaced: str | None = None,
        equal_rows: EqualRows | None = None,
        go_live_us: int | None = None,
    ) -> MappedImport:
        """``lines``: id to local time; ``returns``: id to local time."""
        files = [self.folder / "orders.csv", self.folder / "returns.csv"]
        rows = [f"{line},o{line[1:]},{at},c,a,{n},5" for line, at in lines.items()]
        files[0].write_text("\n".join(["id,order,at,who,what,n,price", *rows, ""]))
        rows = [f"{back},l{back[1:]},{at},1,5" for back, at in (returns or {}).items()]
        files[1].write_text("\n".join(["back,id,at,n,price", *rows, ""]))
        tables = {"orders": files[0]} | ({"returns": files[1]} if returns else {})
        given = Given(self.folder / "mapping.toml", tables, replaced=replaced)
        return import_mapped(
            given, self.landing, LabelSettings(), self.clock, AS_DELIVERED,
            words=Words(replaced is not None, equal_rows), go_live_us=go_live_us,
        )  # fmt: skip

    def standing(self, stream: str = "orders") -> dict[date, list[tuple]]:
        """By landing day: id, time and quantity of the rows that stand."""
        found = {}
        for day in sorted({file.day for file in history(self.landing, stream)}):
            rows = day_rows(standing(history(self.landing, stream, day)), STREAMS[stream])
            names = [STREAMS[stream].id_column, STREAMS[stream].time_column, "quantity"]
            found[day] = sorted(rows.select(names).rows()) if rows.height else []
        return found

    def ids(self, stream: str = "orders") -> dict[date, list[str]]:
        return {day: [row[0] for row in rows] for day, rows in self.standing(stream).items()}


def _counts(done: Delivered | None) -> tuple[int, int, int, int]:
    assert done is not None
    return done.new, done.replaced, done.unchanged, done.lost


@pytest.fixture
def shop(tmp_path: Path) -> Source:
    return Source(tmp_path)


@pytest.mark.parametrize("is_monday_first", [True, False])
def test_a_daily_export_of_a_shop_in_berlin_keeps_all_lines(shop: Source, is_monday_first: bool) -> None:
    first, second = (MON, TUE) if is_monday_first else (TUE, MON)
    assert _counts(shop.orders(first).orders) == (len(first), 0, 0, 0)
    assert _counts(shop.orders(second).orders) == (len(second), 0, 0, 0)
    assert shop.standing() == {
        JAN31: [("l1", datetime(2025, 1, 31, 23, 30), 1)],
        FEB1: [
            ("l2", datetime(2025, 2, 1, 9), 1),
            ("l3", datetime(2025, 2, 1, 17), 1),
            ("l4", datetime(2025, 2, 1, 23, 30), 1),
        ],
        FEB2: [("l5", datetime(2025, 2, 2, 9), 1)],
    }


def test_two_files_of_one_day_are_its_sum(shop: Source) -> None:
    shop.orders({"l1": MON["l2"]})
    done = shop.orders({"l2": MON["l2"]})
    assert _counts(done.orders) == (1, 0, 0, 0)
    assert done.orders.days == ("2025-02-01",)
    assert shop.ids() == {FEB1: ["l1", "l2"]}


def test_a_file_of_returns_leaves_the_returns_of_other_days_alone(shop: Source) -> None:
    shop.orders(MON, {"r1": "2025-02-01 10:00", "r2": "2025-02-02 10:00"})
    done = shop.orders(TUE, {"r3": "2025-02-03 10:00"})
    assert _counts(done.returns) == (1, 0, 0, 0)
    assert {d: rows for d, rows in shop.ids("returns").items() if rows} == {
        FEB1: ["r1"], FEB2: ["r2"], date(2025, 2, 3): ["r3"],
    }  # fmt: skip


def test_the_same_delivery_again_writes_nothing_and_a_later_one_wins_by_id(shop: Source) -> None:
    shop.orders(MON)
    files = sorted(shop.landing.rglob("*"))
    again = shop.orders(MON)
    assert _counts(again.orders) == (0, 0, 3, 0)
    assert (again.orders.days_written, again.orders.days_unchanged, again.orders.days) == (0, 2, ())
    assert sorted(shop.landing.rglob("*")) == files

    done = shop.orders({"l2": MON["l2"], "l3": MON["l3"]} | TUE, n=7)
    assert _counts(done.orders) == (2, 2, 0, 0)
    assert [(row[0], row[2]) for row in shop.standing()[FEB1]] == [("l2", 7), ("l3", 7), ("l4", 7)]
    [version] = history(shop.landing, "orders", FEB2)
    assert (version.mode, version.has_own_ids, version.rows) == ("append", True, 1)
    last = history(shop.landing, "orders", FEB1)[-1]
    assert last.changes is not None
    assert (last.version, last.changes.new, last.changes.replaced, last.changes.lost) == (2, 1, 2, 0)
    assert [s.changes.replaced for s in records(shop.landing)[-1].streams] == [2]


def test_a_row_whose_time_moved_to_another_day_stands_once(shop: Source) -> None:
    shop.orders(MON)
    done = shop.orders({"l1": "2025-02-01 10:00"})
    assert _counts(done.orders) == (0, 1, 0, 0)
    assert done.orders.days == ("2025-01-31", "2025-02-01")
    assert shop.ids() == {JAN31: [], FEB1: ["l1", "l2", "l3"]}


def test_a_period_of_the_shop_is_replaced_and_only_that(shop: Source) -> None:
    shop.orders(MON | TUE)
    done = shop.orders({"l2": MON["l2"], "l9": "2025-02-01 23:59"}, replaced="2025-02-01")
    assert _counts(done.orders) == (1, 0, 1, 2)
    assert shop.ids() == {JAN31: [], FEB1: ["l2", "l4", "l9"], FEB2: ["l5"]}
    assert records(shop.landing)[-1].replaced == "2025-02-01..2025-02-01 (Europe/Berlin)"
    assert [f.mode for f in history(shop.landing, "orders", FEB1)] == ["append", "replace"]
    with pytest.raises(DeliveryRefused, match=r"orders: 1 of 2 rows lie outside 2025-02-01\.\.2025-02-02 .*\[outside_period\]"):
        shop.orders({"l1": MON["l1"], "l6": "2025-02-03 00:00"}, replaced="2025-02-01..2025-02-02")


@pytest.mark.parametrize("text", ["", "2025", "2025-02-02..2025-02-01", "2025-02-01..", "..2025-02-01", "today..tomorrow"])
def test_what_is_no_period_is_refused(shop: Source, text: str) -> None:
    with pytest.raises(ValueError, match=r"is no period.*\[replace_period\]"):
        parse_period(text, "UTC")
    with pytest.raises(DeliveryRefused, match=r"\[replace_period\]"):
        shop.orders(MON, replaced=text)


def test_after_go_live_a_closed_day_never_changes(shop: Source) -> None:
    go_live = day_us(date(2025, 2, 3))
    shop.orders(MON, go_live_us=go_live)
    shop.clock.advance_to(go_live + 1)
    with pytest.raises(DeliveryRefused, match=r"cannot be replaced after go_live.*\[closed_day\]"):
        shop.orders(MON, replaced="2025-02-01", go_live_us=go_live)
    done = shop.orders({"l1": MON["l2"], "l2": MON["l2"], "l9": MON["l3"]}, go_live_us=go_live).orders
    assert _counts(done) == (1, 1, 1, 0)
    assert (done.days, done.is_live) == (("2025-02-03",), True)
    assert [f.version for f in history(shop.landing, "orders", JAN31)] == [1]
    late = history(shop.landing, "orders", FEB1)[-1]
    assert pl.read_parquet(late.path)["line_id"].to_list() == ["l1", "l9"]


def test_rows_without_ids_are_asked_about_and_taken_as_they_are_meant(tmp_path: Path) -> None:
    first = {"l1": MON["l2"], "l2": MON["l3"]}
    other = {"l1": MON["l2"], "l3": TUE["l5"]}
    for answer, counts, ids in (
        ("same", (1, 0, 1, 0), ["o1-0001", "o2-0001"]),
        ("further", (2, 0, 0, 0), ["o1-0001", "o1-0001+2", "o2-0001"]),
    ):
        (tmp_path / answer).mkdir()
        shop = Source(tmp_path / answer, MADE)
        shop.orders(first)
        with pytest.raises(EqualRowsAsked, match="of 2 rows 1 were delivered before with the same values and 0 have the line_id"):
            shop.orders(other)
        done = shop.orders(other, equal_rows=answer)  # type: ignore[arg-type]
        assert _counts(done.orders) == counts
        assert shop.ids() == {FEB1: ids, FEB2: ["o3-0001"]}
        assert _counts(shop.orders(other).orders) == (0, 0, 2, 0)
        assert _counts(shop.orders(first).orders) == (0, 0, 2, 0)


def test_a_made_id_with_other_values_is_asked_about_and_no_row_is_lost_either_way(tmp_path: Path) -> None:
    for answer, counts, rows in (
        ("same", (0, 1, 0, 0), [("o1-0001", 7)]),
        ("further", (1, 0, 0, 0), [("o1-0001", 1), ("o1-0001+2", 7)]),
    ):
        (tmp_path / answer).mkdir()
        shop = Source(tmp_path / answer, MADE)
        shop.orders({"l1": MON["l2"]})
        with pytest.raises(EqualRowsAsked, match="0 were delivered before with the same values and 1 have the line_id of a row"):
            shop.orders({"l1": MON["l2"]}, n=7)
        done = shop.orders({"l1": MON["l2"]}, n=7, equal_rows=answer)  # type: ignore[arg-type]
        assert _counts(done.orders) == counts
        assert [(row[0], row[2]) for row in shop.standing()[FEB1]] == rows


class KilledError(BaseException):
    """What a kill does: nothing after it runs."""


def test_a_killed_import_leaves_all_days_of_both_streams_old_or_new(shop: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed before each file operation: never a state between, and the next import makes it good."""
    shop.orders({"l2": MON["l2"]}, {"r2": "2025-02-01 11:00"})
    old = shop.ids(), shop.ids("returns")
    new = ({JAN31: ["l1"], FEB1: ["l2", "l3", "l4"], FEB2: ["l5"]}, {FEB1: ["r2"], FEB2: ["r5"]})
    seen = []
    for steps in range(60):
        left = iter(range(steps))

        def counted(function, left=left):
            def run(*args):
                if next(left, None) is None:
                    raise KilledError
                return function(*args)

            return run

        with monkeypatch.context() as patch:
            for place, name in ((landing_writer, "write_synced"), (landing_writer, "sync_folder"), (os, "replace")):
                patch.setattr(place, name, counted(getattr(place, name)))
            try:
                shop.orders(MON | TUE, {"r2": "2025-02-01 11:00", "r5": "2025-02-02 11:00"})
                is_killed = False
            except KilledError:
                is_killed = True
        returns = {day: rows for day, rows in shop.ids("returns").items() if rows}
        state = shop.ids(), returns
        assert state in (old, new)
        seen.append((is_killed, state == new))
        if not is_killed:
            break
    assert seen[0] == (True, False)
    assert seen[-1] == (False, True)


def test_a_damaged_record_is_named(shop: Source) -> None:
    shop.orders(MON)
    (shop.landing / "deliveries" / "000001.json").write_text("{")
    with pytest.raises(LandingError, match=r"000001\.json: .* \[delivery_record\]"):
        records(shop.landing)
