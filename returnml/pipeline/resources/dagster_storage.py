"""Dagster's SQLite storage with kept connections.

The stock storage opens and disposes of an engine for every event, and writes each partition's materialization to two files:
a run over 305 days of twenty assets spends minutes there. Here a file's connection is kept, and commits rely on SQLite's
write-ahead log (``synchronous=NORMAL``: safe against kills, consistent after a power cut). The files are the same: the
stock class reads what this one wrote. Paths are escaped, which Dagster does not do: a data root may have any character in
its name. See docs/decisions/dagster-storage.md.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dagster._core.storage.event_log.sqlite import sqlite_event_log
from dagster._core.storage.event_log.sqlite.sqlite_event_log import SqliteEventLogStorage
from dagster._core.storage.runs.sqlite import sqlite_run_storage
from dagster._core.storage.schedules.sqlite import sqlite_schedule_storage
from dagster._core.storage.sqlite import SQLITE_BUSY_TIMEOUT_SECONDS
from dagster._core.storage.sqlite_storage import DagsterSqliteStorage
from sqlalchemy import create_engine, event
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.pool import QueuePool

from returnml.files import sqlite_url


def escaped_url(base_dir: str, name: str) -> str:
    """In place of Dagster's ``create_db_conn_string``, which takes the path for a part of a URL as it is."""
    return sqlite_url(Path(base_dir).absolute() / f"{name}.db")


# Its storages make their URLs where nothing can be overridden. Of a path without special characters the URL is the same.
_STORAGES: tuple[Any, ...] = (sqlite_event_log, sqlite_run_storage, sqlite_schedule_storage)
for _module in _STORAGES:
    _module.create_db_conn_string = escaped_url


class KeptSqliteEventLogStorage(SqliteEventLogStorage):
    """One engine per file for the life of the process."""

    def __init__(self, base_dir: str, inst_data: Any = None) -> None:
        self._engines: dict[str, Engine] = {}
        super().__init__(base_dir, inst_data)

    @contextmanager
    def _connect(self, shard: str) -> Iterator[Connection]:
        with self._db_lock:
            engine = self._engines.get(shard)
            if engine is None:
                engine = self._engines[shard] = _engine(self.conn_string_for_shard(shard))
            if shard not in self._initialized_dbs:
                self._initdb(engine)
                self._initialized_dbs.add(shard)
            with engine.connect() as connection, connection.begin():
                yield connection

    def dispose(self) -> None:
        for engine in self._engines.values():
            engine.dispose()
        self._engines.clear()
        super().dispose()


class KeptSqliteStorage(DagsterSqliteStorage):
    """What ``dagster.yaml`` names under ``storage``; the same folders as the stock ``sqlite`` storage."""

    def __init__(self, base_dir: str, inst_data: Any = None) -> None:
        super().__init__(base_dir, inst_data)
        stock = self._event_log_storage
        self._event_log_storage = KeptSqliteEventLogStorage(stock._base_dir)
        stock.dispose()

    @classmethod
    def from_config_value(cls, inst_data: Any, config_value: Any) -> "KeptSqliteStorage":
        return cls(inst_data=inst_data, **config_value)


def _engine(url: str) -> Engine:
    engine = create_engine(
        url, poolclass=QueuePool, connect_args={"timeout": SQLITE_BUSY_TIMEOUT_SECONDS, "check_same_thread": False}
    )

    @event.listens_for(engine, "connect")
    def rely_on_the_log(connection: Any, _: Any) -> None:
        connection.execute("PRAGMA synchronous=NORMAL")

    return engine
