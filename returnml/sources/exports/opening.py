"""From what a person names (a file, a folder, ``-``) to the files in it, unpacked."""

from __future__ import annotations

import gzip
import io
import sys
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

from returnml.sources.import_error import SourceError

STDIN = "-"
PACKED = {".gz", ".zip"}


def contents(path: Path) -> Iterator[tuple[str, bytes]]:
    """The files of a path with their bytes: of a folder and an archive those in them, by name; hidden ones are left out.

    Raises:
        SourceError: where a file is absent, empty or cannot be unpacked, or a folder or archive has none.
    """
    if str(path) == STDIN:
        yield from _unpacked("stdin", sys.stdin.buffer.read())
        return
    if path.is_dir():
        files = sorted(file for file in path.iterdir() if file.is_file() and not file.name.startswith("."))
        if not files:
            raise SourceError(path, "no_files", "there are no files in the folder")
        for file in files:
            yield from contents(file)
        return
    try:
        content = path.read_bytes()
    except OSError as error:
        raise SourceError(path, "unreadable_file", error.strerror or str(error)) from error
    yield from _unpacked(str(path), content)


def _unpacked(name: str, content: bytes) -> Iterator[tuple[str, bytes]]:
    if content.startswith(b"\x1f\x8b"):
        try:
            content = gzip.decompress(content)
        except (OSError, EOFError, zlib.error) as error:
            raise SourceError(name, "unreadable_gz", str(error)) from error
    elif content.startswith(b"PK\x03\x04") and not name.lower().endswith((".xlsx", ".xlsm", ".xlsb", ".ods")):
        yield from _members(name, content)
        return
    if not content.strip():
        raise SourceError(name, "empty_file", "the file is empty")
    yield name, content


def _members(name: str, content: bytes) -> Iterator[tuple[str, bytes]]:
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            members = sorted(m for m in archive.namelist() if not m.endswith("/") and not m.startswith(("__MACOSX/", ".")))
            if not members:
                raise SourceError(name, "no_files", "there are no files in the archive")
            for member in members:
                yield from _unpacked(f"{name}/{member}", archive.read(member))
    except (zipfile.BadZipFile, RuntimeError, zlib.error) as error:  # RuntimeError: it is encrypted
        raise SourceError(name, "unreadable_zip", str(error)) from error
