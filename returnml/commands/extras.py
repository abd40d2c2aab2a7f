"""Which optional part of the installation (an extra of ``pyproject.toml``) a missing module belongs to."""

from __future__ import annotations

import re
from importlib.metadata import requires

DISTRIBUTION = "returnml"
_NAMED_OTHERWISE = {"sklearn": "scikit-learn", "skl2onnx": "onnxmltools", "swagger_ui": "swagger-ui-py"}
"""Modules that are not called as their distribution is."""
_LISTED_FIRST = ("serve", "line")
"""Of several extras that bring a module, the one that is named: the first of these."""


def missing_extra(error: ModuleNotFoundError) -> str | None:
    """The extra that brings the module that was not found; None where no extra does.

    >>> missing_extra(ModuleNotFoundError("No module named 'duckdb'", name="duckdb"))
    'line'
    >>> missing_extra(ModuleNotFoundError("No module named 'litestar'", name="litestar.handlers"))
    'serve'
    >>> missing_extra(ModuleNotFoundError("No module named 'nothing'", name="nothing"))
    """
    module = (error.name or "").partition(".")[0]
    wanted = _NAMED_OTHERWISE.get(module, module).replace("_", "-").lower()
    found = [extra for name, extra in _extras() if name == wanted and extra != "dev"]
    return next((extra for extra in (*_LISTED_FIRST, *found) if extra in found), None)


def extra_command(extra: str) -> str:
    """What installs an extra.

    >>> extra_command("line")
    'pip install "returnml[line]"'
    """
    return f'pip install "{DISTRIBUTION}[{extra}]"'


def _extras() -> list[tuple[str, str]]:
    """Distribution and extra of every optional requirement, as the installed metadata lists them."""
    found = []
    for requirement in requires(DISTRIBUTION) or []:
        name = re.match(r"[A-Za-z0-9._-]+", requirement)
        extra = re.search(r"""extra\s*==\s*['"]([^'"]+)['"]""", requirement)
        if name and extra:
            found.append((name[0].replace("_", "-").lower(), extra[1]))
    return found
