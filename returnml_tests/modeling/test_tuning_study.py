"""The study's file."""

from pathlib import Path

import pytest

from returnml.modeling.training.tuning_study import (
    STUDY_FILE,
    open_study,
)


@pytest.mark.parametrize("name", ["50%41 off", "a #1", "straße?x=1", "[x] {y}", "o'k & co"])
def test_a_study_lies_in_a_folder_of_any_name(tmp_path: Path, name: str):
    folder = tmp_path / name
    folder.mkdir()
    for _ in range(2):
        assert open_study(folder, "study").study_name == "study"
    assert [path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()] == [f"{name}/{STUDY_FILE}"]
