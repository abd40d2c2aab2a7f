"""What a folder is made of is on disk before the folder is there."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from returnml.files import new_file, new_folder


def test_a_folder_gets_its_name_after_all_of_it_was_flushed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    flushed: list[str] = []

    def fsync(descriptor: int) -> None:
        flushed.append(Path(os.readlink(f"/proc/self/fd/{descriptor}")).name)

    replace = os.replace

    def renamed(source: Path, target: Path) -> None:
        flushed.append("renamed")
        replace(source, target)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "replace", renamed)
    with new_folder(tmp_path / "target") as folder:
        (folder / "plots").mkdir()
        (folder / "plots" / "a.png").write_bytes(b"a")
        (folder / "rows.parquet").write_bytes(b"rows")
    at = flushed.index("renamed")
    assert {*flushed[:at]} == {"plots", "a.png", "rows.parquet", folder.name}
    assert flushed[at + 1 :] == [tmp_path.name]
    assert sorted(path.name for path in (tmp_path / "target").iterdir()) == ["plots", "rows.parquet"]


def test_what_fails_leaves_nothing(tmp_path: Path):
    def fill() -> None:
        with new_folder(tmp_path / "target") as folder:
            (folder / "rows.parquet").write_bytes(b"rows")
            raise OSError("the disk is full")

    with pytest.raises(OSError, match="full"):
        fill()
    assert list(tmp_path.iterdir()) == []


def test_a_file_gets_its_name_after_it_was_flushed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    target, done = tmp_path / "copy.duckdb", []
    target.write_bytes(b"old")
    fsync, replace = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda fd: (done.append(Path(os.readlink(f"/proc/self/fd/{fd}")).name), fsync(fd)))
    monkeypatch.setattr(os, "replace", lambda a, b: (done.append("renamed"), replace(a, b)))
    with new_file(target) as file:
        file.write_bytes(b"new")
        assert target.read_bytes() == b"old"
    assert done == [file.name, "renamed", tmp_path.name]
    assert (target.read_bytes(), list(tmp_path.iterdir())) == (b"new", [target])


def test_a_file_that_fails_leaves_the_old_one(tmp_path: Path):
    target = tmp_path / "copy.duckdb"
    target.write_bytes(b"old")

    def fill() -> None:
        with new_file(target) as file:
            file.write_bytes(b"half")
            raise OSError("the disk is full")

    with pytest.raises(OSError, match="full"):
        fill()
    assert (target.read_bytes(), list(tmp_path.iterdir())) == (b"old", [target])
