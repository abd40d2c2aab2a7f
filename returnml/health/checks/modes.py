"""Who may read the keys, and who may write the rest."""

from __future__ import annotations

import shlex
import stat
from collections.abc import Iterator
from pathlib import Path

from returnml.clock import Clock
from returnml.findings import Finding
from returnml.settings import Settings


def find(settings: Settings, clock: Clock) -> Iterator[Finding]:
    """Keys are the owner's alone; nothing that decides may be written by everybody."""
    paths = settings.paths
    private = [paths.keys] if paths.keys.exists() else []
    private += [Path(settings.trail.signing_key)] if settings.trail.signing_key else []
    for secret in private:
        opened = [path for path in _below(secret) if _mode(path) & (stat.S_IRWXG | stat.S_IRWXO)]
        if opened:
            yield Finding(
                code="keys_not_private",
                where=str(secret),
                what=f"{len(opened)} files or folders are open to others than their owner, {opened[0].name} among them",
                meaning="Who reads the keyring can link customers to all that is known of them; who reads the signing key can "
                "put a release into force.",
                mend=f"chmod -R go-rwx {shlex.quote(str(secret))}",
            )
    for folder in (paths.root, paths.deployments, paths.releases, paths.store, paths.ledger, paths.landing):
        opened = [path for path in (folder, *_within(folder)) if path.exists() and _mode(path) & stat.S_IWOTH]
        if opened:
            yield Finding(
                code="writable_by_everybody",
                where=str(folder),
                what=f"{len(opened)} files or folders may be written by everybody, {opened[0].name} among them",
                meaning="Every user of this machine can change what is served, learnt from or recorded.",
                mend=f"chmod -R o-w {shlex.quote(str(folder))}",
            )


def _below(path: Path) -> list[Path]:
    return [path, *(found for found in sorted(path.rglob("*")) if not found.is_symlink())] if path.is_dir() else [path]


def _within(folder: Path) -> list[Path]:
    """What lies directly in a folder: its own right to be written decides about the rest."""
    return [path for path in sorted(folder.iterdir()) if not path.is_symlink()] if folder.is_dir() else []


def _mode(path: Path) -> int:
    return path.stat().st_mode
