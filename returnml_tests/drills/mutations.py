"""Does a change of code that decides feature values show? Mutants of every such module against hashes and golden vectors.

    python -m returnml_tests.drills.mutations [--each 5] [--only features.windows] [--report FILE]

A mutant is a copy of the package with one operator, constant or sign changed. It *shows* if the code no longer loads, if a
feature set has another hash, or if the golden vectors differ. A mutant that shows in neither way survived: it is listed.
As the other way round, a copy whose comments, docstrings, local names and a module's place were changed must not show.
"""

from __future__ import annotations

import argparse
import ast
import copy
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from rich.progress import Progress

ROOT = Path(__file__).resolve().parents[2]
DECIDE_NOTHING = {
    "features/catalogue.py": "prints what is declared",
    "features/families.py": "names reasons",
    "features/sets/order_line_families.py": "names reasons",
    "warehouse/features/feature_errors.py": "errors",
}
"""Modules of the rooms below that no feature value depends on."""


def _deciding(*rooms: str) -> Iterator[str]:
    for room in rooms:
        for path in sorted((ROOT / "returnml" / room).glob("[a-z]*.py")):
            module = f"{room}/{path.name}"
            if module not in DECIDE_NOTHING:
                yield module


MODULES = (
    *_deciding("features", "features/sets", "features/sql", "features/tiles", "store/reading", "warehouse/features"),
    "warehouse/ingest/core_sql.py",
    "warehouse/ingest/outcomes.py",
)
SWAPPED: dict[type, type] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.FloorDiv,
    ast.FloorDiv: ast.Mult,
    ast.Div: ast.Mult,
}
IN_TEXT = (
    (" < ", " <= "),
    (" <= ", " < "),
    (" > ", " >= "),
    (" + ", " - "),
    (" - ", " + "),
    ("sum(", "max("),
    ("max(", "min("),
    (" 1 ", " 2 "),
)
"""Changes of SQL: the first that a text has."""


@dataclass(frozen=True)
class Mutant:
    """One change: the module, the line, what was and what is."""

    module: str
    line: int
    what: str
    source: str


def mutants(module: str) -> Iterator[Mutant]:
    """Every single change of a module, in the order of its nodes."""
    source = (ROOT / "returnml" / module).read_text()
    tree = ast.parse(source)
    spoken = _documentation(tree)
    for index, node in enumerate(ast.walk(tree)):
        if node in spoken:
            continue
        for variant in range(3):
            if _change(copy.deepcopy(node), variant) is None:
                continue
            changed = ast.parse(source)
            target = next(islice(ast.walk(changed), index, None))
            what = _change(target, variant)
            yield Mutant(module, getattr(node, "lineno", 0), what or "", ast.unparse(changed))


def _change(node: ast.AST, variant: int) -> str | None:
    """Change a node in place; what was changed, None where the node has no such variant."""
    if isinstance(node, ast.Compare) and variant < len(node.ops) and type(node.ops[variant]) in SWAPPED:
        was = node.ops[variant]
        node.ops[variant] = SWAPPED[type(was)]()
        return f"{type(was).__name__} -> {type(node.ops[variant]).__name__}"
    if isinstance(node, ast.BinOp) and variant == 0 and type(node.op) in SWAPPED:
        was = node.op
        node.op = SWAPPED[type(was)]()
        return f"{type(was).__name__} -> {type(node.op).__name__}"
    if isinstance(node, ast.UnaryOp) and variant == 0 and isinstance(node.op, ast.USub):
        node.op = ast.UAdd()
        return "-x -> +x"
    if not isinstance(node, ast.Constant):
        return None
    if isinstance(node.value, int) and not isinstance(node.value, bool) and variant < 2:
        was = node.value
        node.value = was + (1, -1)[variant]
        return f"{was} -> {node.value}"
    if isinstance(node.value, float) and variant == 0:
        was = node.value
        node.value = was * 1.001 + 1e-9
        return f"{was} -> {node.value}"
    if isinstance(node.value, str) and variant == 0:
        for old, new in IN_TEXT:
            if old in node.value:
                node.value = node.value.replace(old, new, 1)
                return f"{old!r} -> {new!r} in text"
    return None


def _documentation(tree: ast.AST) -> set[ast.AST]:
    """Docstrings, texts that stand alone, what errors say, and sizes of caches."""
    found: set[ast.AST] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            found.add(node.value)
        if isinstance(node, ast.Raise):
            found.update(ast.walk(node))
        if isinstance(node, ast.FunctionDef):
            found.update(child for decorator in node.decorator_list for child in ast.walk(decorator))
    return found


def chosen(module: str, each: int) -> list[Mutant]:
    """Some of a module's mutants, spread over its length."""
    found = list(mutants(module))
    step = max(len(found) / each, 1.0)
    return [found[int(i * step)] for i in range(min(each, len(found)))]


CHECK = """
import json, sys
from returnml_tests.features.golden.vectors import FILE, hashes, computed
golden = json.loads(FILE.read_text())
if hashes() != golden["hashes"]:
    sys.exit(11)
sys.exit(0 if computed()["vectors"] == golden["vectors"] else 12)
"""
SHOWN = {11: "hash", 12: "vectors", 0: "SURVIVED"}


def verdict(changes: dict[str, str], moved: dict[str, str] | None = None) -> str:
    """How a copy with changed files shows: ``hash``, ``vectors``, ``error``, or not at all."""
    with tempfile.TemporaryDirectory() as name:
        tree = Path(name)
        for part in ("returnml", "returnml_tests", "serving"):
            shutil.copytree(ROOT / part, tree / part, ignore=shutil.ignore_patterns("__pycache__"))
        for path, source in changes.items():
            (tree / "returnml" / path).write_text(source)
        for old, new in (moved or {}).items():
            (tree / "returnml" / old).rename(tree / "returnml" / new)
        environ = {**os.environ, "PYTHONPATH": name, "PYTHONDONTWRITEBYTECODE": "1"}
        ran = subprocess.run([sys.executable, "-c", CHECK], cwd=tree, env=environ, capture_output=True, text=True)
        return SHOWN.get(ran.returncode, "error")


def harmless() -> dict[str, str]:
    """Two modules without docstrings and comments, and with other names of what is local to them."""
    found = {}
    for module in ("features/fit_codes.py", "features/vector.py"):
        tree = ast.parse((ROOT / "returnml" / module).read_text())
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef):
                node.body = [b for b in node.body if not (isinstance(b, ast.Expr) and isinstance(b.value, ast.Constant))]
                _rename_locals(node)
        found[module] = "# another comment\n" + ast.unparse(tree)
    return found


def _rename_locals(function: ast.FunctionDef) -> None:
    names = {n.id for n in ast.walk(function) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
    for node in ast.walk(function):
        if isinstance(node, ast.Name) and node.id in names:
            node.id = f"{node.id}_renamed"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--each", type=int, default=5, help="mutants of each module")
    parser.add_argument("--only", default="", help="modules whose path has this")
    parser.add_argument("--report", type=Path, help="a file for every mutant and how it showed")
    args = parser.parse_args()
    if (found := verdict(harmless())) != "SURVIVED":
        raise SystemExit(f"changed comments, docstrings and names show: {found}")
    print("other comments, docstrings and local names: nothing shows, as it should be")
    drawn = [m for module in MODULES if args.only in module for m in chosen(module, args.each)]
    with Progress() as progress, ThreadPoolExecutor(os.cpu_count()) as pool:
        bar = progress.add_task("mutants", total=len(drawn))
        results = []
        for mutant, how in zip(drawn, pool.map(lambda m: verdict({m.module: m.source}), drawn), strict=True):
            results.append((mutant, how))
            progress.advance(bar)
    lines = [f"{how:9} {m.module}:{m.line}  {m.what}" for m, how in results]
    if args.report:
        args.report.write_text("\n".join(lines) + "\n")
    for module in dict.fromkeys(m.module for m in drawn):
        counts = [how for m, how in results if m.module == module]
        print(f"{module:45} {len(counts)} mutants: " + ", ".join(f"{counts.count(h)} {h}" for h in sorted(set(counts))))
    survivors = [line for line in lines if line.startswith("SURVIVED")]
    print(f"{len(results)} mutants, {len(survivors)} survived", *survivors, sep="\n  ")


if __name__ == "__main__":
    main()
