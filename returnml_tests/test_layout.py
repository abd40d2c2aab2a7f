"""Packages stay small and say what they are for."""

from __future__ import annotations

import ast
import builtins
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = sorted(init.parent for top in ("returnml", "serving") for init in (ROOT / top).rglob("__init__.py"))
MOST_MODULES = 20


def modules(package: Path) -> set[str]:
    return {file.stem for file in package.glob("*.py")} - {"__init__"}


def name_of(package: Path) -> str:
    return ".".join(package.relative_to(ROOT).parts)


@pytest.mark.parametrize("package", [p for p in PACKAGES if p.name != "commands"], ids=name_of)
def test_no_package_is_a_hall(package):
    assert len(modules(package)) <= MOST_MODULES


@pytest.mark.parametrize("package", PACKAGES, ids=name_of)
def test_no_module_is_named_like_a_package_beside_it(package):
    assert modules(package) & {p.name for p in PACKAGES if p.parent == package} == set()


@pytest.mark.parametrize("package", PACKAGES, ids=name_of)
def test_every_package_says_what_it_is_for(package):
    assert ast.get_docstring(ast.parse((package / "__init__.py").read_text()))


def test_every_module_is_in_a_package():
    homeless = [
        p for top in ("returnml", "serving") for p in (ROOT / top).rglob("*.py") if not (p.parent / "__init__.py").exists()
    ]
    assert homeless == []


def test_a_modules_name_occurs_once():
    """Commands and the assets of a stage apart: they are named after what they call."""
    named_after_others = {ROOT / "returnml" / "commands", ROOT / "returnml" / "pipeline" / "assets"}
    packages = {package.name for package in PACKAGES if package != ROOT / "returnml" / "features" / "sql"}  # spelled by `sql`
    places: dict[str, list[str]] = {}
    for package in PACKAGES:
        for name in modules(package) if package not in named_after_others else ():
            places.setdefault(name, []).append(name_of(package))
    assert {name: where for name, where in places.items() if len(where) > 1 or name in packages} == {}


def exceptions_of(module: Path) -> list[tuple[str, set[str]]]:
    """A module's exception classes for others, with the names of their bases."""
    found = [node for node in ast.parse(module.read_text()).body if isinstance(node, ast.ClassDef)]
    classes = [(node.name, {ast.unparse(base) for base in node.bases}) for node in found]
    return [(name, bases) for name, bases in classes if not name.startswith("_") and any(map(is_exception, bases))]


def is_exception(base: str) -> bool:
    kind = getattr(builtins, base, None)
    return isinstance(kind, type) and issubclass(kind, BaseException)


def test_every_error_is_a_refusal_or_says_what_is_away():
    """An AssertionError is a defect of ours, and keeps its traceback."""
    own = {"Refusal", "Unavailable"}
    modules = [p for top in ("returnml", "serving") for p in (ROOT / top).rglob("*.py")]
    homeless = {
        name
        for module in modules
        for name, bases in exceptions_of(module)
        if name not in own and not bases & {*own, "AssertionError"}
    }
    assert homeless == set()
