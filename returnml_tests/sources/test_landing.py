"""The landing format: versions, atomicity, and what is refused."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from datetime import date, datetime
from pathlib import Path

import msgspec
import polars as pl
import pytest

from returnml.clock import VirtualClock
from returnml.contracts.columns import RETURNS
from returnml.sources import landing as landing_module
from returnml.sources.landing import LandingError, LandingFile, current_file, days, history, parquet_bytes, write_day

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


def _write(folder: Path, frame: pl.DataFrame, now: int = 7) -> LandingFile | None:
    return write_day(folder, RETURNS, DAY, frame, "a test", VirtualClock(now))


def test_file_and_sidecar_say_what_was_delivered(tmp_path: Path) -> None:
    file = _write(tmp_path, _frame(1, 2))
    assert file is not None
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
    }
    assert current_file(tmp_path, "returns", DAY) == file
    assert sorted(os.listdir(file.path.parent)) == sorted([file.path.name, file.path.with_suffix(".json").name])


def test_columns_follow_the_contract_and_rows_follow_time_and_id(tmp_path: Path) -> None:
    file = _write(tmp_path, _frame(1, 2))
    assert file is not None
    frame = pl.read_parquet(file.path)
    assert frame.columns == [*RETURNS.column_names, "apple", "zebra"]
    assert frame["return_id"].to_list() == ["r1", "r0"]
    assert frame.schema["returned_at"] == pl.Datetime("us")
    assert frame["reason"].to_list() == [None, None]
    assert frame.schema["is_cancellation"] == pl.Boolean


def test_same_rows_in_another_order_are_the_same_bytes() -> None:
    frame = _frame(1, 2, 3)
    assert parquet_bytes(RETURNS, frame) == parquet_bytes(RETURNS, frame.reverse().select(reversed(frame.columns)))


def test_redelivery_is_a_new_version_only_where_bytes_differ(tmp_path: Path) -> None:
    first = _write(tmp_path, _frame(1))
    assert _write(tmp_path, _frame(1), now=8) is None
    second = _write(tmp_path, _frame(2), now=9)
    back = _write(tmp_path, _frame(1), now=10)
    assert first is not None
    assert second is not None
    assert back is not None
    assert (second.version, back.version, back.sha256) == (2, 3, first.sha256)
    assert history(tmp_path, "returns") == [first, second, back]
    assert current_file(tmp_path, "returns", DAY) == back
    assert first.path.exists()


def test_nothing_delivered(tmp_path: Path) -> None:
    assert days(tmp_path, "returns") == []
    assert current_file(tmp_path, "returns", DAY) is None


@pytest.mark.parametrize("surviving_steps", range(5))
def test_killed_writer_leaves_the_old_state_and_the_next_one_succeeds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, surviving_steps: int
) -> None:
    """The steps: two temporary files, two renames, one folder sync; after the last one the new state is there."""
    old = _write(tmp_path, _frame(1))
    steps = iter(range(surviving_steps))

    class KilledError(BaseException):
        pass

    def counted(function: Callable[..., None]) -> Callable[..., None]:
        def run(*args: object) -> None:
            if next(steps, None) is None:
                raise KilledError
            return function(*args)

        return run

    with monkeypatch.context() as patch:
        patch.setattr(landing_module, "write_synced", counted(landing_module.write_synced))
        patch.setattr(landing_module.os, "replace", counted(os.replace))
        patch.setattr(landing_module, "sync_folder", counted(landing_module.sync_folder))
        with pytest.raises(KilledError):
            _write(tmp_path, _frame(2))
    renamed_both = surviving_steps == 4
    current = current_file(tmp_path, "returns", DAY)
    assert current is not None
    assert (current == old) != renamed_both
    assert days(tmp_path, "returns") == [DAY]

    written = _write(tmp_path, _frame(2))
    assert (written is None) == renamed_both
    current = current_file(tmp_path, "returns", DAY)
    assert current is not None
    assert pl.read_parquet(current.path)["quantity"].to_list() == [2]
    assert len(os.listdir(current.path.parent)) == 4


def test_killed_first_delivery_is_no_delivery(tmp_path: Path) -> None:
    file = _write(tmp_path, _frame(1))
    assert file is not None
    file.path.rename(file.path.with_name(f".{file.path.name}.tmp"))
    assert days(tmp_path, "returns") == []
    assert current_file(tmp_path, "returns", DAY) is None


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
    assert file is not None
    damage(file.path)
    with pytest.raises(LandingError, match=message):
        current_file(tmp_path, "returns", DAY)
    with pytest.raises(LandingError):
        _write(tmp_path, _frame(2))


def test_two_files_for_one_version_are_refused(tmp_path: Path) -> None:
    one = _write(tmp_path, _frame(1))
    other = _write(tmp_path / "elsewhere", _frame(2))
    assert one is not None
    assert other is not None
    for suffix in (".parquet", ".json"):
        source = other.path.with_suffix(suffix)
        (one.path.parent / source.name).write_bytes(source.read_bytes())
    with pytest.raises(LandingError, match=r"claims version 1 too \[landing_version\]"):
        current_file(tmp_path, "returns", DAY)


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
