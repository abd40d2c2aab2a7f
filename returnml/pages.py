"""Self-contained HTML pages, and tables as HTML or Markdown: the one look of all reports.

Must not be here: what a report says.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from html import escape

_STYLE = """
body{font:15px/1.5 system-ui,sans-serif;color:#222;max-width:980px;margin:2rem auto;padding:0 1rem}
h1{font-size:1.5rem}h2{font-size:1.15rem;margin-top:2rem}
table{border-collapse:collapse}td,th{padding:.25rem .8rem;border-bottom:1px solid #ddd;text-align:left;vertical-align:top}
.n{text-align:right;white-space:nowrap;font-variant-numeric:tabular-nums}
img{max-width:100%}code{background:#f4f4f4;padding:0 .2rem}
"""

_NUMBER = r"[-+]?\d[\d,]*(\.\d+)?(e[-+]?\d+)?%?"
_FIGURE = re.compile(rf"(-|{_NUMBER}( (to|\+) {_NUMBER})?)?")


def page(title: str, body: str) -> bytes:
    """A self-contained page: its heading, then HTML."""
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{escape(title)}</title><style>{_STYLE}</style>'
        f"<h1>{escape(title)}</h1>{body}</html>\n"
    ).encode()


def html_images(plots: Mapping[str, bytes]) -> str:
    """PNG by name, embedded below a heading each."""
    return "".join(f"<h2>{escape(name.capitalize())}</h2>{html_image(name, png)}" for name, png in plots.items())


def html_image(name: str, png: bytes) -> str:
    """A PNG, embedded."""
    return f'<img alt="{escape(name)}" src="data:image/png;base64,{base64.b64encode(png).decode()}">'


def table(head: list[str], rows: list[list[str]]) -> str:
    """Cells are escaped; without any heading there is no row of them. Columns of figures are flush right."""
    kinds = [' class="n"' if all(_FIGURE.fullmatch(cell) for cell in column) else "" for column in zip(*rows, strict=True)]
    kinds = kinds or [""] * len(head)
    return f"<table>{_row('th', head, kinds) if any(head) else ''}{''.join(_row('td', row, kinds) for row in rows)}</table>"


def markdown_table(head: list[str], rows: list[list[str]]) -> str:
    """The same as Markdown; a cell's bars, which would end it, become slashes."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', '/') for cell in line)} |" for line in lines)


def _row(tag: str, cells: list[str], kinds: list[str]) -> str:
    return f"<tr>{''.join(f'<{tag}{kind}>{escape(cell)}</{tag}>' for cell, kind in zip(cells, kinds, strict=True))}</tr>"
