"""Requests and replies on a bare connection, against a real server over TCP, a unix socket and TLS."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
import redis as redis_py
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from redis.exceptions import ConnectionError as ConnectionLost
from redis.exceptions import ResponseError
from redis.exceptions import TimeoutError as TimedOut

from returnml.store.redis.round_trip import Exchange
from returnml.store.redis.server import encode
from returnml_tests.ports import free_port
from returnml_tests.waiting import PATIENCE_SECONDS, eventually

Connect = Callable[[float], Exchange]


def make_certificate(folder: Path) -> tuple[Path, Path]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "redis of a test")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), now, now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    certificate, private = folder / "redis.crt", folder / "redis.key"
    certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    pem = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    private.write_bytes(key.private_bytes(*pem))
    return certificate, private


@pytest.fixture(scope="module")
def urls(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """One server's three ways in."""
    program = shutil.which("redis-server")
    assert program is not None, "redis-server is not installed: make redis-server"
    folder = tmp_path_factory.mktemp("redis")
    certificate, private = make_certificate(folder)
    tcp, tls, path = free_port(), free_port(), folder / "redis.sock"
    options = ["--port", tcp, "--tls-port", tls, "--unixsocket", path, "--bind", "127.0.0.1", "--dir", folder, "--save", ""]
    trust = ["--tls-cert-file", certificate, "--tls-key-file", private, "--tls-auth-clients", "no"]
    server = subprocess.Popen([program, *map(str, options + trust)], stdout=subprocess.DEVNULL)
    found = {
        "tcp": f"redis://127.0.0.1:{tcp}/0",
        "unix": f"unix://{path}",
        "tls": f"rediss://127.0.0.1:{tls}/0?ssl_ca_certs={certificate}",
    }
    try:
        eventually(lambda: answers(found["tcp"]))
        yield found
    finally:
        server.kill()
        server.wait()


def answers(url: str) -> bool:
    try:
        return bool(redis_py.Redis.from_url(url).ping())
    except ConnectionLost:
        return False


@pytest.fixture(params=["tcp", "unix", "tls"])
def connect(request: pytest.FixtureRequest, urls: dict[str, str]) -> Iterator[Connect]:
    made: list[Exchange] = []

    def connected(seconds: float) -> Exchange:
        connection = redis_py.Redis.from_url(urls[request.param], protocol=2).connection_pool.make_connection()
        connection.connect()
        made.append(Exchange(connection, seconds))
        return made[-1]

    yield connected
    for exchange in made:
        exchange.close()


def test_all_replies_in_order(connect):
    exchange = connect(PATIENCE_SECONDS)
    request = encode(b"HSET", b"h", b"a", b"1", b"b", b"") + encode(b"HMGET", b"h", b"a", b"b", b"c")
    for _ in range(3):
        assert exchange.ask(request, 2)[1] == [b"1", b"", None]


def test_a_reply_that_comes_later_than_anyone_spins_for(connect):
    exchange = connect(PATIENCE_SECONDS)
    assert exchange.ask(encode(b"BLPOP", b"never", b"0.05"), 1) == [None]
    assert exchange.ask(encode(b"PING"), 1) == [b"PONG"]


def test_megabytes_there_and_back(connect):
    exchange = connect(PATIENCE_SECONDS)
    value = bytes(range(256)) * 40_000
    request = encode(b"SET", b"large", value) + encode(b"GET", b"large")
    assert exchange.ask(request, 2) == [b"OK", value]


def test_a_server_that_does_not_answer_in_time(connect):
    exchange = connect(0.05)
    with pytest.raises(TimedOut):
        exchange.ask(encode(b"BLPOP", b"never", b"0"), 1)


def test_after_an_error_the_replies_that_follow_are_read(connect):
    exchange = connect(PATIENCE_SECONDS)
    request = encode(b"SET", b"text", b"1") + encode(b"HMGET", b"text", b"1") + encode(b"PING")
    with pytest.raises(ResponseError, match="wrong kind of value"):
        exchange.ask(request, 3)
    assert exchange.ask(encode(b"PING"), 1) == [b"PONG"]


def test_the_first_error_of_many_replies_is_told(connect):
    exchange = connect(PATIENCE_SECONDS)
    with pytest.raises(ResponseError, match="unknown command 'NONSENSE'"):
        exchange.ask(encode(b"PING") + encode(b"NONSENSE") + encode(b"HGET"), 3)


def test_a_connection_that_the_server_closes(connect):
    exchange = connect(PATIENCE_SECONDS)
    [me] = exchange.ask(encode(b"CLIENT", b"ID"), 1)
    connect(PATIENCE_SECONDS).ask(encode(b"CLIENT", b"KILL", b"ID", str(me).encode()), 1)
    with pytest.raises(ConnectionLost):
        exchange.ask(encode(b"PING"), 1)
