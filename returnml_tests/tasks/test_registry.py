"""A file in the package is a task; a file that is none is named."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest

from returnml.settings import Settings, SettingsError, TaskSettings
from returnml.tasks import CHECKOUT
from returnml.tasks.declaration import TaskError
from returnml.tasks.registry import refuse_unknown, task_named, tasks, tasks_of

QUICK = """
from dataclasses import replace
from returnml.tasks.declared import return_risk
TASK = replace(return_risk.TASK, name={name!r}, asset_prefix=({prefix!r},), score_table={table!r}, reason_table=None)
"""

OTHER_FEATURES = "TASK = replace(TASK, feature_set=replace(TASK.feature_set, version=99))\n"

Package = Callable[[dict[str, str]], ModuleType]


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Package]:
    """A package of these files."""

    def make(files: dict[str, str]) -> ModuleType:
        folder = tmp_path / "made_up_tasks"
        folder.mkdir()
        for name, text in {"__init__": "", **files}.items():
            (folder / f"{name}.py").write_text(text)
        monkeypatch.syspath_prepend(tmp_path)
        return importlib.import_module("made_up_tasks")

    yield make
    for name in [n for n in sys.modules if n.partition(".")[0] == "made_up_tasks"]:
        del sys.modules[name]


def quick(name: str, prefix: str = "", table: str = "") -> str:
    return QUICK.format(name=name, prefix=prefix or name, table=table or f"scores.{name}")


def test_the_checkouts_task_is_registered():
    assert tasks()[CHECKOUT].score_table == "scores.daily"
    assert all(name == task.name for name, task in tasks().items())


def test_a_file_is_a_task(package: Package):
    found = tasks_of(package({"slow": quick("slow"), "fast": quick("fast")}))
    assert [(name, task.score_table) for name, task in found.items()] == [("fast", "scores.fast"), ("slow", "scores.slow")]


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"fast": "TASKS = []"}, r"made_up_tasks\.fast: declares no TASK"),
        ({"fast": quick("slow")}, r"made_up_tasks\.fast: its TASK is named 'slow'"),
        (
            {"fast": quick("fast"), "slow": quick("slow", table="scores.fast")},
            r"slow: has the score_table of fast, 'scores\.fast'",
        ),
        ({"fast": quick("fast"), "slow": quick("slow", prefix="fast")}, r"slow: has the asset_prefix of fast"),
        ({"Fast": quick("Fast")}, "task 'Fast': lower case"),
        (
            {"fast": quick("fast"), "slow": quick("slow") + OTHER_FEATURES},
            "slow: its feature set order_line is another than that of fast",
        ),
        ({"fast": quick("fast", table="fast")}, "task fast: 'fast' must be schema.table"),
    ],
)
def test_what_is_wrong_with_a_file_is_named(package: Package, files: dict[str, str], message: str):
    made = package(files)
    with pytest.raises(TaskError, match=message):
        tasks_of(made)


def test_a_task_that_there_is_not_is_refused():
    with pytest.raises(TaskError, match=f"there is no task 'return_rsk': .*{CHECKOUT}"):
        task_named("return_rsk")
    refuse_unknown(Settings(tasks={CHECKOUT: TaskSettings()}))
    with pytest.raises(SettingsError, match=r"tasks\.return_rsk: there is no such task"):
        refuse_unknown(Settings(tasks={"return_rsk": TaskSettings()}))
