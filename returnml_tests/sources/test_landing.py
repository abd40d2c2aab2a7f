"""The landing format: versions, atomicity, and what is refused."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
from collections.abc import Callable
from datetime import date, datetime
from pathlib import Path

import msgspec
import polars as pl
import pytest

from returnml.clock import VirtualClock
from returnml.contracts.columns import RETURNS
from returnml.sources import landing_writer
from returnml.sources.landing import LandingError, LandingFile, Mode, days, history, records, standing
from returnml.sources.landing_writer import delivering, parquet_bytes
from returnml_tests.landed import land_day, last_version

DAY = date(2025, 3, 1)


def _frame(*quantities: int) -> pl.DataFrame:
    n = len(quantities)
    return pl.DataFrame(
        {
            "return_id": [f"r{i}" for i in range(n)],
            "returned_at": [datetime(2025, 3, 1, 12, 0, n - i) for i in range(n)],
            "quantity": list(quantities),
            "refund_cents": [100] * n,
            "currency": ["EUR"] * n,
            "line_id": ["l"] * n,
            "zebra": ["z"] * n,
            "apple": ["a"] * n,
        }
    )


def _write(folder: Path, frame: pl.DataFrame, now: int = 7, mode: Mode = "replace") -> LandingFile:
    return land_day(folder, RETURNS, DAY, frame, VirtualClock(now), mode=mode)


def test_file_and_sidecar_say_what_was_delivered(tmp_path: Path) -> None:
    file = _write(tmp_path, _frame(1, 2))
    content = file.path.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    assert file.path == tmp_path / "returns" / "2025-03-01" / f"0001-{digest[:12]}.parquet"
    assert msgspec.json.decode(file.path.with_suffix(".json").read_bytes()) == {
        "stream": "returns",
        "day": "2025-03-01",
        "version": 1,
        "sha256": digest,
        "rows": 2,
        "source": "a test",
        "delivered_at_us": 7,
        "mode": "replace",
        "delivery": 1,
        "has_own_ids": False,
        "changes": {"new": 2, "replaced": 0, "unchanged": 0, "lost": 0},
    }
    assert history(tmp_path, "returns", DAY) == [file]
    [record] = records(tmp_path)
    assert (record.delivery, record.delivered_at_us, record.files) == (1, 7, ("returns/2025-03-01/0001",))
    assert sorted(os.listdir(file.path.parent)) == sorted([file.path.name, file.path.with_suffix(".json").name])


def test_columns_follow_the_contract_and_rows_follow_time_and_id(tmp_path: Path) -> None:
    file = _write(tmp_path, _frame(1, 2))
    frame = pl.read_parquet(file.path)
    assert frame.columns == [*RETURNS.column_names, "apple", "zebra"]
    assert frame["return_id"].to_list() == ["r1", "r0"]
    assert frame.schema["returned_at"] == pl.Datetime("us")
    assert frame["reason"].to_list() == [None, None]
    assert frame.schema["is_cancellation"] == pl.Boolean


def test_same_rows_in_another_order_are_the_same_bytes() -> None:
    frame = _frame(1, 2, 3)
    assert parquet_bytes(RETURNS, frame) == parquet_bytes(RETURNS, frame.reverse().select(reversed(frame.columns)))


def test_a_day_is_its_last_replacement_and_what_was_appended_since(tmp_path: Path) -> None:
    files = [_write(tmp_path, _frame(n), mode=mode) for n, mode in enumerate(("append", "append", "replace", "append"), 1)]
    assert history(tmp_path, "returns") == files
    assert [file.version for file in files] == [1, 2, 3, 4]
    assert [standing(files[:n]) for n in range(1, 5)] == [files[:1], files[:2], files[2:3], files[2:]]
    assert standing([]) == []


def test_a_sidecar_of_before_deliveries_is_a_replacement_of_its_day(tmp_path: Path) -> None:
    file = _write(tmp_path, _frame(1))
    sidecar = msgspec.json.decode(file.path.with_suffix(".json").read_bytes())
    old = {name: sidecar[name] for name in ("stream", "day", "version", "sha256", "rows", "source", "delivered_at_us")}
    file.path.with_suffix(".json").write_bytes(msgspec.json.encode(old))
    (tmp_path / "deliveries" / "000001.json").unlink()
    [found] = history(tmp_path, "returns")
    assert (found.mode, found.delivery, found.has_own_ids, found.changes) == ("replace", None, False, None)
    assert days(tmp_path, "returns") == [DAY]


def test_days_that_were_copied_without_their_records_are_seen(tmp_path: Path) -> None:
    file = _write(tmp_path / "one", _frame(1))
    shutil.copytree(tmp_path / "one" / "returns", tmp_path / "other" / "returns")
    [found] = history(tmp_path / "other", "returns")
    assert (found.sha256, days(tmp_path / "other", "returns")) == (file.sha256, [DAY])
    assert _write(tmp_path / "other", _frame(2)).version == 2
    assert [f.version for f in history(tmp_path / "other", "returns")] == [1, 2]


def test_nothing_delivered(tmp_path: Path) -> None:
    assert days(tmp_path, "returns") == history(tmp_path, "returns", DAY) == records(tmp_path) == []


class KilledError(BaseException):
    """What a kill does: nothing after it runs."""


STEPS = ("write_synced", "sync_folder", "replace")


def _killed_after(steps: int, patch: pytest.MonkeyPatch) -> None:
    left = iter(range(steps))

    def counted(function: Callable[..., None]) -> Callable[..., None]:
        def run(*args: object) -> None:
            if next(left, None) is None:
                raise KilledError
            return function(*args)

        return run

    for name in STEPS:
        place = landing_writer.os if name == "replace" else landing_writer
        patch.setattr(place, name, counted(getattr(place, name)))


@pytest.mark.parametrize("surviving_steps", range(10))
def test_killed_writer_leaves_the_old_state_and_the_next_one_succeeds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, surviving_steps: int
) -> None:
    """The steps: three for the pending record, five for the file and its sidecar, two for the record's number."""
    old = _write(tmp_path, _frame(1))
    with monkeypatch.context() as patch:
        _killed_after(surviving_steps, patch)
        with pytest.raises(KilledError):
            _write(tmp_path, _frame(2))
    is_there = surviving_steps == 9
    assert (last_version(tmp_path, "returns", DAY) == old) != is_there
    assert len(records(tmp_path)) == 1 + is_there
    assert days(tmp_path, "returns") == [DAY]

    _write(tmp_path, _frame(2))
    assert [pl.read_parquet(f.path)["quantity"].to_list() for f in history(tmp_path, "returns", DAY)][1:] == [[2]] * (
        1 + is_there
    )
    assert len(os.listdir(old.path.parent)) == 4 + 2 * is_there


@pytest.mark.parametrize("surviving_steps", range(10))
def test_a_first_delivery_that_was_killed_is_none_and_so_is_one_whose_clearing_was_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, surviving_steps: int
) -> None:
    with monkeypatch.context() as patch:
        _killed_after(8, patch)
        with pytest.raises(KilledError):
            _write(tmp_path, _frame(2))
    with monkeypatch.context() as patch:
        _killed_after(surviving_steps, patch)
        with contextlib.suppress(KilledError), delivering(tmp_path):
            pass
        assert days(tmp_path, "returns") == history(tmp_path, "returns", DAY) == []
    file = _write(tmp_path, _frame(1))
    assert history(tmp_path, "returns") == [file]
    assert sorted(os.listdir(file.path.parent)) == sorted([file.path.name, file.path.with_suffix(".json").name])


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda path: path.unlink(), r"\.json: .*\.parquet is missing beside it \[landing_pair\]"),
        (lambda path: path.with_suffix(".json").unlink(), r"\.parquet: .*\.json is missing beside it \[landing_pair\]"),
        (lambda path: path.with_name("notes.txt").touch(), r"notes\.txt: the name is not .* \[landing_file_name\]"),
        (lambda path: path.with_suffix(".json").write_text("{"), r"\.json: .* \[landing_sidecar\]"),
        (lambda path: path.with_suffix(".json").write_bytes(b'{"stream":"\xff"}'), r"\.json: .* \[landing_sidecar\]"),
        (
            lambda path: path.with_suffix(".json").write_text(path.with_suffix(".json").read_text().replace("returns", "orders")),
            r"contradicts its name or place \[landing_sidecar\]",
        ),
    ],
)
def test_damaged_day_is_refused_by_file_and_rule(tmp_path: Path, damage: Callable[[Path], object], message: str) -> None:
    file = _write(tmp_path, _frame(1))
    damage(file.path)
    with pytest.raises(LandingError, match=message):
        history(tmp_path, "returns", DAY)
    with pytest.raises(LandingError):
        _write(tmp_path, _frame(2))


def test_two_files_for_one_version_are_refused(tmp_path: Path) -> None:
    one = _write(tmp_path, _frame(1))
    other = _write(tmp_path / "elsewhere", _frame(2))
    for suffix in (".parquet", ".json"):
        source = other.path.with_suffix(suffix)
        (one.path.parent / source.name).write_bytes(source.read_bytes())
    with pytest.raises(LandingError, match=r"claims version 1 too \[landing_version\]"):
        history(tmp_path, "returns", DAY)


def test_folder_that_is_no_day_and_unknown_stream_are_refused(tmp_path: Path) -> None:
    (tmp_path / "returns" / "20250301").mkdir(parents=True)
    with pytest.raises(LandingError, match=r"20250301: .*YYYY-MM-DD \[landing_day\]"):
        days(tmp_path, "returns")
    with pytest.raises(LandingError, match=r"'refunds': expected one of orders, returns, inspections"):
        days(tmp_path, "refunds")


def test_frame_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"'line_id' is missing \[required_column\]"):
        _write(tmp_path, _frame(1).drop("line_id"))
    with pytest.raises(ValueError, match=r"'quantity' cannot be integer: .* \[column_type\]"):
        _write(tmp_path, _frame(1).with_columns(quantity=pl.lit("many")))
    assert days(tmp_path, "returns") == []
