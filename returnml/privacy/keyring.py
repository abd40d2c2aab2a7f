"""The keyring: the only thing that links a customer to the pseudonym that everything else knows them by.

    <keys>/master          secret of the keyring
    <keys>/keyring.sqlite  HMAC-SHA256(master, customer id) -> the customer's key, 80 random bits; the pseudonym says it in hex

A customer id is stored nowhere. A key that is destroyed leaves no way from the person to the pseudonym or back: what
carries the pseudonym has become anonymous. SQLite, because what it deletes can be overwritten while others read
(``docs/decisions/erasure.md``).
"""

from __future__ import annotations

import hmac
import re
import secrets
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from returnml.errors import Refusal
from returnml.files import (
    create_private,
    locked,
)

MASTER_FILE = "master"
DATABASE_FILE = "keyring.sqlite"
LOCK_FILE = ".opening.lock"
KEY_BYTES = 10
PREFIX = "c_"
_PSEUDONYM = re.compile(f"{PREFIX}[0-9a-f]{{{2 * KEY_BYTES}}}")
_BUSY_MS = 10_000
_AT_ONCE = 500
_CHECKED = b"returnml keyring"
_FINGERPRINT = b"returnml keyring of a root"
_TAKEN = "SELECT key FROM forgotten UNION SELECT key FROM forgetting"
_TABLES = """
CREATE TABLE IF NOT EXISTS about (mark BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS customers (tag BLOB PRIMARY KEY, key BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS forgetting (key BLOB PRIMARY KEY, tag BLOB NOT NULL, by TEXT NOT NULL, why TEXT NOT NULL,
    at_us INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS forgotten (key BLOB PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS forgotten_lines (line_id TEXT PRIMARY KEY, key BLOB NOT NULL) WITHOUT ROWID;
"""

DrawKey = Callable[[str], bytes]
"""The key of a new customer, ``KEY_BYTES`` long."""


class KeyringError(Refusal):
    """A keyring that cannot be used; the message names the file and why."""


@dataclass(frozen=True)
class Forgetting:
    """A customer whose key answers no more and is not destroyed yet: who asked for it, why and when."""

    pseudonym: str
    by: str
    why: str
    at_us: int


def random_key(_: str) -> bytes:
    """``KEY_BYTES`` that nobody can foresee."""
    return secrets.token_bytes(KEY_BYTES)


def pseudonym_of(key: bytes) -> str:
    """
    >>> pseudonym_of(bytes(10))
    'c_00000000000000000000'
    """
    return PREFIX + key.hex()


def is_pseudonym(customer_id: str) -> bool:
    """Whether an id has the form of a pseudonym: where the shop's ids are asked for, it is none.

    >>> is_pseudonym(pseudonym_of(bytes(10))), is_pseudonym("c_1"), is_pseudonym("c_0000000000000000000G")
    (True, False, False)
    """
    return _PSEUDONYM.fullmatch(customer_id) is not None


class Keyring:
    """Finds, makes and destroys keys. Several processes may have it open.

    Args:
        folder: of the keyring.
        is_created: whether it is made where there is none: only as a part of making a data root (``root_making``).

    Raises:
        KeyringError: where there is none or a part of it is missing, or it cannot be opened, or the master secret is not its own.
    """

    def __init__(self, folder: Path, *, is_created: bool = False) -> None:
        self.folder = folder
        if not is_created:
            _require_whole(folder)
        with self._explained():
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._master = _master(folder)
            # A database that is there is opened by SQLite alone: a process that closes any descriptor of the file loses its
            # locks on it, and another that closes the database then deletes the log that the first goes on writing to.
            for name in (DATABASE_FILE, LOCK_FILE):
                create_private(folder / name, b"")
            self._con = sqlite3.connect(
                folder / DATABASE_FILE, isolation_level=None, check_same_thread=False, timeout=_BUSY_MS / 1_000
            )
            # Of two processes that turn to the write-ahead log at once SQLite lets one fail, however long it may wait.
            with locked(folder / LOCK_FILE):
                self._con.execute("PRAGMA journal_mode = WAL")
            self._con.execute("PRAGMA synchronous = FULL")
            self._con.execute("PRAGMA secure_delete = ON")
            self._con.execute("PRAGMA temp_store = MEMORY")
            with self._writing():
                for statement in _TABLES.split(";"):
                    self._con.execute(statement)
                self._check_master()

    @property
    def fingerprint(self) -> str:
        """Tells this keyring from any other, and says nothing of its secret: 32 hex digits."""
        return hmac.digest(self._master, _FINGERPRINT, "sha256").hex()[:32]

    def find(self, customer_id: str) -> str | None:
        """The customer's pseudonym; None for a customer without a key."""
        with self._explained():
            row = self._con.execute("SELECT key FROM customers WHERE tag = ?", (self._tag(customer_id),)).fetchone()
        return None if row is None else pseudonym_of(row[0])

    def register(self, customer_ids: Iterable[str], draw: DrawKey = random_key) -> dict[str, str]:
        """The pseudonyms of customers; whoever has none gets one. Durable at the return.

        Args:
            draw: a key that belongs to somebody forgotten is not taken from it, a random one is.
        """
        tags = {self._tag(customer_id): customer_id for customer_id in dict.fromkeys(customer_ids)}
        with self._explained():
            keys = self._keys(list(tags))
            new = [tag for tag in tags if tag not in keys]
            if new:
                with self._writing():
                    taken = {row[0] for row in self._con.execute(_TAKEN)}
                    drawn = {tag: self._new_key(tags[tag], draw, taken) for tag in sorted(new)}
                    # Another process may have been faster: its keys stand.
                    made = self._con.executemany("INSERT OR IGNORE INTO customers VALUES (?, ?)", drawn.items()).rowcount
                    keys |= drawn if made == len(drawn) else self._keys(new)
        return {customer_id: pseudonym_of(keys[tag]) for tag, customer_id in tags.items()}

    def begin_forgetting(self, customer_id: str, lines: Iterable[str], by: str, why: str, at_us: int) -> bool:
        """From the return on the customer is unknown; ``finish_forgetting`` is owed. False where there was no key.

        Args:
            lines: the customer's order lines: what is said of them later belongs to the old pseudonym.
        """
        tag = self._tag(customer_id)
        with self._explained(), self._writing():
            row = self._con.execute("SELECT key FROM customers WHERE tag = ?", (tag,)).fetchone()
            if row is None:
                return False
            self._con.execute("DELETE FROM customers WHERE tag = ?", (tag,))
            self._con.execute("INSERT INTO forgetting VALUES (?, ?, ?, ?, ?)", (row[0], tag, by, why, at_us))
            self._con.executemany("INSERT OR IGNORE INTO forgotten_lines VALUES (?, ?)", ((line, row[0]) for line in lines))
        return True

    def is_being_forgotten(self, customer_id: str) -> bool:
        """Whether the forgetting of this customer has begun and is not finished."""
        with self._explained():
            found = self._con.execute("SELECT 1 FROM forgetting WHERE tag = ?", (self._tag(customer_id),)).fetchone()
        return found is not None

    def pending(self) -> list[Forgetting]:
        """Whose forgetting has begun and is not finished, oldest first."""
        with self._explained():
            rows = self._con.execute("SELECT key, by, why, at_us FROM forgetting ORDER BY at_us, key").fetchall()
        return [Forgetting(pseudonym_of(key), *rest) for key, *rest in rows]

    def finish_forgetting(self, pseudonym: str) -> None:
        """Destroy the key."""
        key = _key_of(pseudonym)
        with self._explained(), self._writing():
            self._con.execute("DELETE FROM forgetting WHERE key = ?", (key,))
            self._con.execute("INSERT OR IGNORE INTO forgotten VALUES (?)", (key,))

    def purge(self) -> None:
        """Overwrite what was deleted: afterwards no byte of it is in the keyring's files.

        Raises:
            KeyringError: where another process keeps a snapshot open for seconds; to be called again.
        """
        with self._explained():
            # Overwritten alone would not do: pages that were split keep copies of rows in their free space.
            self._con.execute("VACUUM")
            (is_busy, _, _) = self._con.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        if is_busy:
            raise KeyringError(f"{self.folder / DATABASE_FILE}: in use, what was deleted is not overwritten yet: try again")

    def forgotten(self) -> list[str]:
        """The pseudonyms of whoever was forgotten or is just being forgotten."""
        with self._explained():
            rows = self._con.execute(f"{_TAKEN} ORDER BY key").fetchall()
        return [pseudonym_of(key) for (key,) in rows]

    def forgotten_lines(self) -> dict[str, str]:
        """The order lines of whoever was forgotten, with the pseudonym that they lie under."""
        with self._explained():
            rows = self._con.execute("SELECT line_id, key FROM forgotten_lines").fetchall()
        return {line_id: pseudonym_of(key) for line_id, key in rows}

    def forgotten_line(self, line_id: str) -> str | None:
        """The pseudonym that this order line of somebody forgotten lies under."""
        with self._explained():
            row = self._con.execute("SELECT key FROM forgotten_lines WHERE line_id = ?", (line_id,)).fetchone()
        return None if row is None else pseudonym_of(row[0])

    def keep_lines(self, pseudonym: str, lines: Iterable[str]) -> None:
        """Add order lines to those of somebody who is being forgotten."""
        key = _key_of(pseudonym)
        with self._explained(), self._writing():
            self._con.executemany("INSERT OR IGNORE INTO forgotten_lines VALUES (?, ?)", ((line, key) for line in lines))

    def remove(self, pseudonyms: Iterable[str]) -> int:
        """Destroy the keys of these pseudonyms, where there are any: after an old copy of the keyring was restored.

        Returns:
            How many there were.
        """
        keys = [(_key_of(pseudonym),) for pseudonym in pseudonyms]
        with self._explained(), self._writing():
            removed = self._con.executemany("DELETE FROM customers WHERE key = ?", keys).rowcount
            self._con.executemany("INSERT OR IGNORE INTO forgotten VALUES (?)", keys)
        return max(removed, 0)

    def close(self) -> None:
        self._con.close()

    def _tag(self, customer_id: str) -> bytes:
        return hmac.digest(self._master, customer_id.encode("utf-8", "surrogatepass"), "sha256")

    def _keys(self, tags: list[bytes]) -> dict[bytes, bytes]:
        found: dict[bytes, bytes] = {}
        tags = sorted(tags)  # neighbours lie on one page
        for start in range(0, len(tags), _AT_ONCE):
            part = tags[start : start + _AT_ONCE]
            places = ", ".join("?" * len(part))
            found.update(self._con.execute(f"SELECT tag, key FROM customers WHERE tag IN ({places})", part))
        return found

    @staticmethod
    def _new_key(customer_id: str, draw: DrawKey, taken: set[bytes]) -> bytes:
        key = draw(customer_id)
        return random_key(customer_id) if key in taken else key

    def _check_master(self) -> None:
        mark = hmac.digest(self._master, _CHECKED, "sha256")
        row = self._con.execute("SELECT mark FROM about").fetchone()
        if row is None:
            self._con.execute("INSERT INTO about VALUES (?)", (mark,))
        elif row[0] != mark:
            raise KeyringError(f"{self.folder / MASTER_FILE}: is not the secret that {DATABASE_FILE} was made with")

    @contextmanager
    def _writing(self) -> Iterator[None]:
        self._con.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._con.execute("ROLLBACK")
            raise
        self._con.execute("COMMIT")

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            raise KeyringError(f"{self.folder}: {error}") from error


def _key_of(pseudonym: str) -> bytes:
    return bytes.fromhex(pseudonym.removeprefix(PREFIX))


def _require_whole(folder: Path) -> None:
    """A keyring without its master secret, or without its customers, would know nobody and say nothing."""
    missing = [name for name in (MASTER_FILE, DATABASE_FILE) if not (folder / name).exists()]
    if len(missing) == 2:
        raise KeyringError(
            f"{folder}: there is no keyring: it is made with the data root; bring it back from a backup, or on another host copy "
            'the folder from the one that imports; a shop that sends pseudonyms sets privacy.customer_ids = "as_delivered"'
        )
    if missing:
        raise KeyringError(f"{folder / missing[0]}: is missing: the keyring is the whole folder, bring it back or copy all of it")


def _master(folder: Path) -> bytes:
    """The master secret; made, whole or not at all, by whoever comes first."""
    path = folder / MASTER_FILE
    create_private(path, secrets.token_bytes(32).hex().encode() + b"\n")
    try:
        master = bytes.fromhex(path.read_text())
    except ValueError:
        master = b""
    if len(master) != 32:
        raise KeyringError(f"{path}: is no master secret: 64 hex digits expected")
    return master
