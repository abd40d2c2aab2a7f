"""A blocking call of the client library that may last longer than anybody can wait for it."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from threading import Thread
from typing import TypeVar

T = TypeVar("T")


def begin(action: Callable[[], T], name: str) -> Future[T]:
    """Run ``action`` in a thread of its own. Who gives up waiting leaves it behind: it keeps no process from ending.

    >>> begin(lambda: 3, "three").result(60)
    3
    """
    future: Future[T] = Future()

    def run() -> None:
        try:
            future.set_result(action())
        except Exception as error:
            future.set_exception(error)

    Thread(target=run, name=name, daemon=True).start()
    return future
