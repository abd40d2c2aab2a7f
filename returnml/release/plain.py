"""What a file names is read inside its own folder: plain names, plain files, and no link on the way.

Who can write a manifest, a state or a pointer can write any name into it. Whatever such a name leads to is reached
through the functions here, and nothing else joins it to a path.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

from returnml.errors import Refusal


class NotPlain(Refusal):
    """A name or a file that leads elsewhere; the message names it and the rule."""


def plain(name: str) -> str:
    """The name itself, if it is one of a file or folder directly in another.

    >>> plain("return_risk-20231114-0a1b2c3d4e5f")
    'return_risk-20231114-0a1b2c3d4e5f'

    Raises:
        NotPlain: for an empty name, one that is hidden, nested or absolute, `..`, or with characters that cannot be printed.
    """
    if not name or name.startswith(".") or any(c in "/\\" or not c.isprintable() for c in name) or len(name) > 200:
        raise NotPlain(f"{name[:200]!r} is no plain name (one file or folder, neither hidden nor nested)")
    return name


def plain_parts(name: str) -> list[str]:
    """The parts of a name that may have one folder level.

    >>> plain_parts("plots/roc.png")
    ['plots', 'roc.png']

    Raises:
        NotPlain: if one of them is no plain name, or there are more.
    """
    parts = [plain(part) for part in name.split("/")]
    if len(parts) > 2:
        raise NotPlain(f"{name[:200]!r}: nested deeper than one folder")
    return parts


def read_plain(folder: Path, name: str) -> bytes:
    """The content of a file.

    Args:
        name: of a file in ``folder``, or in a folder in it (``plots/roc.png``).

    Raises:
        NotPlain: for another name; where the folder or the file is a link; for a pipe, a device or a socket.
        OSError: where it cannot be read.
    """
    parts = plain_parts(name)
    descriptor = _opened(os.fspath(folder), os.O_DIRECTORY, None, folder)
    try:
        for part in parts[:-1]:
            inner = _opened(part, os.O_DIRECTORY, descriptor, folder / part)
            os.close(descriptor)
            descriptor = inner
        file = _opened(parts[-1], os.O_NONBLOCK, descriptor, folder / name)
    finally:
        os.close(descriptor)
    with open(file, "rb") as content:
        if not stat.S_ISREG(os.fstat(file).st_mode):
            raise NotPlain(f"{folder / name}: no plain file")
        return content.read()


def plain_files(folder: Path) -> dict[str, Path]:
    """Every file below a folder by the name that ``read_plain`` takes.

    Raises:
        NotPlain: naming the first entry that is neither file nor folder, and the folder itself if it is a link.
        OSError: where a folder cannot be read.
    """
    if folder.is_symlink():
        raise NotPlain(f"{folder}: a link")
    found: dict[str, Path] = {}
    waiting = [folder]
    while waiting:
        with os.scandir(waiting.pop()) as entries:
            for entry in sorted(entries, key=lambda e: e.name):
                path = Path(entry.path)
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(path)
                elif entry.is_file(follow_symlinks=False):
                    found[path.relative_to(folder).as_posix()] = path
                else:
                    raise NotPlain(f"{path}: {'a link' if entry.is_symlink() else 'no plain file'}")
    return found


def _opened(name: str, flags: int, within: int | None, path: Path) -> int:
    try:
        return os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | flags, dir_fd=within)
    except OSError as error:
        is_link = path.is_symlink()
        if is_link or error.errno in (errno.ELOOP, errno.ENXIO):
            raise NotPlain(f"{path}: {'a link' if is_link else 'no plain file'}") from error
        raise
