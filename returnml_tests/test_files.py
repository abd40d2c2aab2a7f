"""What a folder is made of is on disk before the folder is there."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from returnml.files import new_folder


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
