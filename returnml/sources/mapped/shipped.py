"""The mappings that ship, by name: package data in ``shipped/``."""

from __future__ import annotations

from pathlib import Path

from returnml.sources.import_error import SourceError

FOLDER = Path(__file__).parent / "shipped"


def shipped_mappings() -> list[str]:
    """Their names."""
    return sorted(path.stem for path in FOLDER.glob("*.toml"))


def mapping_path(named: str) -> Path:
    """The file that a person means: a path, or the name of a mapping that ships.

    >>> mapping_path("shopify").name, mapping_path("mine.toml").name
    ('shopify.toml', 'mine.toml')

    Raises:
        SourceError: where there is neither.
    """
    if named in shipped_mappings():
        return FOLDER / f"{named}.toml"
    if Path(named).suffix or "/" in named:
        return Path(named)
    raise SourceError(named, "mapping", f"is no file; mappings that ship are {', '.join(shipped_mappings())}")
