"""Kafka clients made from the settings: the only module that imports the client library, when one is made."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any

from returnml.errors import Refusal
from returnml.settings import KafkaSettings

logger = logging.getLogger(__name__)
# The client logs every attempt to connect, twenty a second; what is wrong comes by ``error_cb`` as well.
logger.addFilter(lambda record: not record.getMessage().startswith("FAIL "))

Tell = Callable[[str], None]
"""Is told what is wrong with the brokers."""


class StreamingError(Refusal):
    """Kafka cannot be used as the settings say; the message says why."""


# What must hold for nothing to be lost is not for the options to change.
_FIXED = ("bootstrap.servers", "group.id", "enable.auto.commit", "enable.auto.offset.store", "enable.partition.eof", "acks")


def library() -> ModuleType:
    """The client library.

    Raises:
        StreamingError: where the extra is not installed.
    """
    try:
        import confluent_kafka
    except ImportError as error:
        raise StreamingError("Kafka needs the extra `kafka`: pip install 'returnml[kafka]'") from error
    return confluent_kafka


def consumer(settings: KafkaSettings, tell: Tell, committed: Callable[[Any, Sequence[Any]], None]) -> Any:
    """A consumer that commits nothing by itself.

    Args:
        committed: is told by ``poll`` and ``close`` what became of a commit: the error, if it failed, and the offsets.

    Raises:
        StreamingError: where the extra is missing or an option is wrong.
    """
    own = {
        "group.id": settings.group_id,
        "enable.auto.commit": False,
        "enable.auto.offset.store": False,
        "enable.partition.eof": True,
        "on_commit": committed,
    }
    return _client("Consumer", settings, {"auto.offset.reset": "earliest"}, own, tell)


def producer(settings: KafkaSettings, tell: Tell, **defaults: str | int) -> Any:
    """A producer whose messages reach all replicas, perhaps twice, or are reported as failed.

    Not an idempotent one: that can meet errors after which it never delivers again.

    Args:
        defaults: properties of librdkafka that the options may change, ``_`` for ``.``.

    Raises:
        StreamingError: where the extra is missing or an option is wrong.
    """
    return _client("Producer", settings, _named(defaults), {"acks": "all"}, tell)


def _client(kind: str, settings: KafkaSettings, defaults: dict[str, Any], own: dict[str, Any], tell: Tell) -> Any:
    kafka = library()
    if not settings.bootstrap_servers:
        raise StreamingError("kafka.bootstrap_servers is not set")
    options = _named(settings.options)
    for name in _FIXED:
        if name in options:
            raise StreamingError(f"kafka.options: {name} is not for options to change")
    properties = defaults | options | own | {"bootstrap.servers": settings.bootstrap_servers}
    try:
        return getattr(kafka, kind)(properties | {"error_cb": lambda error: tell(error.str())}, logger=logger)
    except (kafka.KafkaException, TypeError, ValueError) as error:
        raise StreamingError(f"kafka.options: {reason(error)}") from error


def _named(options: dict[str, Any]) -> dict[str, Any]:
    """
    >>> _named({"sasl_password": "x", "check.crcs": True})
    {'sasl.password': 'x', 'check.crcs': 'true'}
    """
    return {n.replace("_", "."): str(v).lower() if isinstance(v, bool) else v for n, v in options.items()}


def reason(error: Exception) -> str:
    """What the client library says."""
    found = error.args[0] if error.args else error
    return found.str() if hasattr(found, "str") else str(found)
