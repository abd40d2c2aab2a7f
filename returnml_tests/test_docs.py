"""What the pages refer to is there: files, commands and their options, targets, modules, settings, routes and tables."""

import ast
import re
import shlex
from pathlib import Path

import msgspec
import pytest
import typer

from returnml.cli import app
from returnml.settings import Settings
from returnml.tasks.registry import tasks
from returnml_tests.roots import rooted
from serving.app import create_app

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", ROOT / "data" / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
NO_DEFAULT = {"none", "(none)", "all", "first landed day, or with events"}


def page_id(page: Path) -> str:
    return str(page.relative_to(ROOT))


def code(text: str) -> list[str]:
    """What stands in code: spans, and the lines of fenced and indented blocks."""
    fenced = re.findall(r"```\w*\n(.*?)```", text, re.DOTALL)
    rest = re.sub(r"```\w*\n.*?```", "", text, flags=re.DOTALL)
    indented = re.findall(r"^ {4,}(\S.*)$", rest, re.MULTILINE)
    return [*re.findall(r"`([^`\n]+)`", rest), *indented, *(line for block in fenced for line in block.splitlines())]


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_links_lead_to_files(page):
    targets = re.findall(r"\]\(([^)\s]+)\)", page.read_text())
    missing = [t for t in targets if "://" not in t and not (page.parent / t.split("#")[0]).exists()]
    assert missing == []


def command_errors(words: list[str]) -> str | None:
    """Why the command line would not take these words (arguments are anything); none if it would."""
    command = typer.main.get_command(app)
    options: set[str] = set()
    for word in words:
        below = getattr(command, "commands", None)
        if below is not None and not word.startswith("-"):
            if word not in below:
                return f"no command {word!r}"
            command = below[word]
        elif word.startswith("--"):
            options.add(word.split("=")[0])
    known = {name for parameter in command.params for name in [*parameter.opts, *parameter.secondary_opts]} | {"--help"}
    return f"no option {sorted(options - known)}" if options - known else None


def commands_in(text: str) -> list[list[str]]:
    """Each command in its words; of ``a|b`` and ``[...]`` every choice."""
    found = []
    for snippet in code(text):
        match = re.match(r"(?:\$ )?(?:[A-Z_]+=\S+ )*(?:\.venv/bin/)?returnml ([a-z].*)", snippet)
        if not match:
            continue
        line = re.split(r"  +#|\s[;&|>]\s|\s{3,}", match[1])[0].replace("[", "").replace("]", "").replace("...", "")
        words = shlex.split(line)
        choices = [[]]
        for word in words:
            choices = [[*before, part] for before in choices for part in word.split("|")]
        found += choices
    return found


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_returnml_commands_and_options_exist(page):
    wrong = {" ".join(words): error for words in commands_in(page.read_text()) if (error := command_errors(words))}
    assert wrong == {}


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_modules_and_their_options_exist(page):
    wrong = []
    for module, rest in re.findall(r"python -m ((?:benchmarks|returnml_tests|returnml)[\w.]*)([^`\n]*)", page.read_text()):
        path = ROOT / Path(*module.split("."))
        file = path.with_suffix(".py") if path.with_suffix(".py").exists() else path / "__main__.py"
        if not file.exists():
            wrong.append(module)
            continue
        options = set(re.findall(r"(?<=\s)(--[a-z-]+)", re.split(r"\s[#;&|>]|\)", rest)[0]))
        nodes = list(ast.walk(ast.parse(file.read_text())))
        # a benchmark may share another's options
        imported = {node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)}
        for other in (name for name in imported if name.startswith("benchmarks.")):
            nodes += ast.walk(ast.parse(ROOT.joinpath(*other.split(".")).with_suffix(".py").read_text()))
        taken = {node.value for node in nodes if isinstance(node, ast.Constant)}
        names = {node.arg for node in nodes if isinstance(node, ast.arg)}
        wrong += [f"{module} {o}" for o in options if o not in taken and o[2:].replace("-", "_") not in names]
    assert wrong == []


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_make_targets_exist(page):
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = {match[1] for snippet in code(page.read_text()) if (match := re.match(r"make ([a-z-]+)", snippet))}
    assert named <= targets


def defaults(settings: msgspec.Struct, prefix: str = "") -> dict[str, object]:
    found: dict[str, object] = {}
    for name in settings.__struct_fields__:
        value = getattr(settings, name)
        found |= defaults(value, f"{prefix}{name}.") if isinstance(value, msgspec.Struct) else {f"{prefix}{name}": value}
    return found


def documented_defaults() -> dict[str, str]:
    found = {}
    for line in (ROOT / "docs" / "settings.md").read_text().splitlines():
        if not line.startswith("| `"):
            continue
        names, default, *_ = re.split(r"(?<!\\)\|", line)[1:]
        listed = re.findall(r"`([\w.]+)`", names)
        table = listed[0].rpartition(".")[0]
        full = [name if "." in name or not table else f"{table}.{name}" for name in listed]
        values = [default.strip()] if len(full) == 1 else [value.strip() for value in default.split(",")]
        found |= dict(zip(full, (value.strip("`") for value in values), strict=True))
    return found


def same(stated: str, value: object) -> bool:
    if stated in NO_DEFAULT:
        return value is None or value in ("", {})
    if isinstance(value, bool):
        return stated == str(value).lower()
    if isinstance(value, tuple):
        return stated.split(", ") == list(value)
    return float(stated.replace(",", "")) == value if isinstance(value, int | float) else stated == value


def test_settings_are_documented_with_their_defaults():
    stated, real = documented_defaults(), defaults(Settings())
    assert sorted(stated) == sorted(real)
    assert {name: (stated[name], value) for name, value in real.items() if not same(stated[name], value)} == {}


def test_routes_are_documented(tmp_path):
    table = re.findall(r"^\| `([A-Z]+) (\S+?)` \|", (ROOT / "docs" / "serving.md").read_text(), re.MULTILINE)
    documented = {(method, re.sub(r"\{\w+\}", "{}", path)) for method, path in table}
    service = create_app(Settings(data=str(rooted(tmp_path / "data"))))
    served = {
        (method, re.sub(r"\{[\w:]+\}", "{}", route.path))
        for route in service.routes
        for method in getattr(route, "methods", ())
        if method not in ("OPTIONS", "HEAD") and not route.path.startswith("/schema")
    }
    assert documented - {("GET", "/schema")} == served


def test_tables_are_documented():
    """Those that have a name of their own in the code; the others come from the contracts, the tasks and the feature groups."""
    folders = ("warehouse", "tasks")
    source = "\n".join(path.read_text() for folder in folders for path in (ROOT / "returnml" / folder).rglob("*.py"))
    scored = {table for task in tasks().values() for table in (task.score_table, task.reason_table, task.spine.table) if table}
    named = [*scored]
    named += re.findall(r"CREATE TABLE IF NOT EXISTS ([a-z_]+\.[a-z_]+)", source)
    for constants in re.findall(r"^[A-Z_, ]+ = (\".*)$", source, re.MULTILINE):
        named += re.findall(r"\"([a-z_]+\.[a-z_]+)\"", constants)
    page = (ROOT / "docs" / "architecture.md").read_text()
    documented = set(re.findall(r"^\| `([a-z_]+\.[a-z_<>]+)` \|", page, re.MULTILINE))
    schemas = {table.split(".")[0] for table in documented}
    assert {table for table in named if table.split(".")[0] in schemas} - documented == set()
    assert {table for table in documented if table.split(".")[1].rstrip(">").split("<")[0] not in source} == set()
