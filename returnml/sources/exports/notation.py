"""How a shop writes its files."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Notation:
    """What must be known to read a file as texts.

    Attributes:
        separator: of CSV files; an Excel line ``sep=;`` overrules it for its file.
        encoding: of CSV and JSON files.
        decimal: what numbers of typed files (Parquet, Excel, JSON) are written with, so that they read like the texts of others.
        unnest: arrays that rows are made of, from the outside in: ``("orders", "line_items")`` makes a row for each
            item; only JSON.
        wanted: the values that are taken then, as dotted paths (``line_items.sku``, ``codes.0.code``).
    """

    separator: str = ","
    encoding: str = "utf-8-sig"
    decimal: str = "."
    unnest: tuple[str, ...] = ()
    wanted: tuple[str, ...] = ()
