"""Which tasks there are: every module of ``returnml.tasks.declared``. There is no list to edit."""

from __future__ import annotations

import pkgutil
from functools import cache
from importlib import import_module
from types import ModuleType

from returnml.attributes import Attributes
from returnml.features.sets.attributed import UnusableAttribute
from returnml.settings import Settings, SettingsError
from returnml.tasks import declared
from returnml.tasks.attribute_tasks import with_attributes
from returnml.tasks.declaration import Task, TaskError
from returnml.tasks.serving_needs import serving_problems


def tasks_of(package: ModuleType) -> dict[str, Task]:
    """The tasks of a package by name, in alphabetical order.

    Raises:
        TaskError: naming the module that has no ``TASK`` or another task's name, or two tasks with one table or prefix, or with
            different feature sets of one name; or a feature that the service cannot compute or explain.
    """
    found: dict[str, Task] = {}
    for module in sorted(pkgutil.iter_modules(package.__path__), key=lambda m: m.name):
        name = f"{package.__name__}.{module.name}"
        task = getattr(import_module(name), "TASK", None)
        if not isinstance(task, Task):
            raise TaskError(f"{name}: declares no TASK")
        if task.name != module.name:
            raise TaskError(f"{name}: its TASK is named {task.name!r}; file and task have one name")
        for other in found.values():
            for shared in ("score_table", "asset_prefix"):
                if getattr(other, shared) == getattr(task, shared):
                    raise TaskError(f"{name}: has the {shared} of {other.name}, {getattr(task, shared)!r}")
            if other.feature_set.name == task.feature_set.name and other.feature_set.hash != task.feature_set.hash:
                raise TaskError(f"{name}: its feature set {task.feature_set.name} is another than that of {other.name}")
        problems = serving_problems(task)
        if problems:
            raise TaskError(f"{name}: {'; '.join(problems)}")
        found[task.name] = task
    return found


@cache
def tasks(attributes: Attributes = ()) -> dict[str, Task]:
    """The registered tasks by name, as they are in a shop with these attributes.

    Raises:
        UnusableAttribute: naming the attribute of which no features can be made.
    """
    found = tasks_of(declared) if not attributes else tasks()
    return {name: with_attributes(task, attributes) for name, task in found.items()}


def task_named(name: str, attributes: Attributes = ()) -> Task:
    """
    Raises:
        TaskError: naming those that there are.
        UnusableAttribute: see ``tasks``.
    """
    try:
        return tasks(attributes)[name]
    except KeyError:
        raise TaskError(f"there is no task {name!r}: {', '.join(tasks())}") from None


def refuse_unknown(settings: Settings) -> None:
    """
    Raises:
        SettingsError: if the settings speak of a task that there is not, or of an attribute of which no features can be made.
    """
    try:
        tasks(settings.shop_attributes)
    except UnusableAttribute as error:
        raise SettingsError(f"settings: {error}") from error
    for name in settings.tasks:
        if name not in tasks():
            raise SettingsError(f"settings: tasks.{name}: there is no such task; there are {', '.join(tasks())}")
