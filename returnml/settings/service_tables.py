"""Tables of ``returnml.toml`` that say how the service runs and with what it is connected."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec


class LimitSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How much the service takes at once. It refuses more, and says so.

    These are the operator's choice. What a field may hold is the contract's: lengths of ids and texts, quantities, amounts
    (``ledger/events.py``, ``serving/wire.py``).

    Attributes:
        body_bytes, events_body_bytes: of a request; of one with events. An event's record has 16 MiB at most.
        lines: of one order.
        explained_lines: of an order that asks for reasons; half a millisecond each, in which the worker answers nobody else.
        events: in one request.
        waiting_events: that may wait in a worker's memory to be written; then requests are 503. 0: none is taken in.
        waiting_log_lines: order lines that may wait for the inference log; 3 KB each.
        log_seconds: how long an answer waits for the log under ``log_policy = "require"``.
    """

    body_bytes: Annotated[int, msgspec.Meta(ge=1 << 10, le=1 << 30)] = 1 << 20
    events_body_bytes: Annotated[int, msgspec.Meta(ge=1 << 10, le=1 << 30)] = 16 << 20
    lines: Annotated[int, msgspec.Meta(ge=1, le=100_000)] = 200
    explained_lines: Annotated[int, msgspec.Meta(ge=0, le=100_000)] = 20
    events: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)] = 10_000
    waiting_events: Annotated[int, msgspec.Meta(ge=0)] = 50_000
    waiting_log_lines: Annotated[int, msgspec.Meta(ge=1)] = 20_000
    log_seconds: Annotated[float, msgspec.Meta(gt=0.0, le=60.0)] = 2.0


class ServingSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How the service listens, answers and speaks of itself.

    Attributes:
        log_level: the least that its log (stderr) says.
        log_format: ``json``: an object a line. ``text``: for people.
        log_policy: ``require``: an answer is given only once its record is on disk, else 503. ``shed``: it is given at
            once; if its record cannot be written, that is counted and shown.
        stale_features: while the store's server is away, ``refuse``: 503. ``allow``: answers are made from the last
            generation in this host's folder, and marked.
        keep_log_days: how many days of the inference log ``returnml logs prune`` keeps; default: all.
    """

    host: str = "127.0.0.1"
    port: int = 8300
    workers: int = 1
    limits: LimitSettings = LimitSettings()
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["json", "text"] = "json"
    log_policy: Literal["require", "shed"] = "shed"
    stale_features: Literal["refuse", "allow"] = "refuse"
    keep_log_days: Annotated[int, msgspec.Meta(ge=1)] | None = None


class StoreSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where the online store is kept.

    Attributes:
        backend: ``lmdb``: below the data root, for one host. ``redis``: on a server that several hosts score from.
        redis_url: ``redis://``, ``rediss://`` (TLS) or ``unix://``; user and password may be in it.
        redis_prefix: of all keys; its hash tag keeps them on one node of a cluster.
        scrub_every_hours: how often the service reads generation and ledger whole, to find what was damaged; 0: never.
        scrub_megabytes_per_second: how fast it reads then.
    """

    backend: Literal["lmdb", "redis"] = "lmdb"
    redis_url: str = "redis://127.0.0.1:6379/0"
    redis_prefix: str = "{returnml}:"
    scrub_every_hours: Annotated[float, msgspec.Meta(ge=0.0)] = 24.0
    scrub_megabytes_per_second: Annotated[float, msgspec.Meta(gt=0.0)] = 16.0


class KafkaSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Events from a Kafka topic, and scores to one.

    Attributes:
        bootstrap_servers: ``host:port,...``; empty: there is no Kafka.
        dead_letter_topic: where messages go that are no events; none: into a log below the data root.
        scores_topic: where the service sends every answer; none: nowhere.
        scores_waiting: answers that may wait for the brokers. The service drops and counts further ones.
        options: further properties of librdkafka; ``_`` stands for ``.`` in their names.
    """

    bootstrap_servers: str = ""
    topic: str = "returnml.events"
    group_id: str = "returnml"
    dead_letter_topic: str | None = None
    batch_size: Annotated[int, msgspec.Meta(ge=1)] = 1_000
    scores_topic: str | None = None
    daily_scores_topic: str = "returnml.daily_scores"
    scores_waiting: Annotated[int, msgspec.Meta(ge=1)] = 10_000
    options: dict[str, str | int | float | bool] = {}


class TrailSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Who vouches for the audit trails.

    Attributes:
        signing_key: PEM file of an Ed25519 private key: every record is signed. For hosts that change what serves.
        public_key: PEM file of its public key. Every host that has it refuses records without its signature.
    """

    signing_key: str | None = None
    public_key: str | None = None
